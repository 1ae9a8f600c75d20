"""The version that is served answers the next question, whoever is still busy with the one before."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from versions import publish, retrained

from medsight_core.engine.engine import Engine
from medsight_core.engine.registry import Registry
from medsight_core.engine.served import ServedModel
from medsight_core.errors import ModelError
from medsight_core.imaging.volume import Volume


@pytest.fixture
def registry(tmp_path, tiny_model_dir) -> Registry:
    return Registry(tmp_path / "models", tiny_model_dir)


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(-1000, 400, (20, 24, 6)).astype(np.int16)
    return Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "CT")


def fingerprint(engine: Engine, volume: Volume) -> tuple:
    """All that an answer says, to the bit."""
    answer = engine.ask(volume, "Outline the right lung.")
    found = [(region.name, region.confidence, region.mask.tobytes()) for region in answer.regions]
    seen = engine.impression(volume)
    return answer.text, answer.model, answer.absent, found, (seen.vector.tobytes(), seen.outlines)


def test_promotion_changes_the_next_answer_and_rollback_brings_the_old_one_back(registry, volume):
    served = ServedModel(registry)
    before = fingerprint(served.engine(), volume)
    assert before[1].version == "tiny"
    publish(registry)
    assert fingerprint(served.engine(), volume) == before, "published is not promoted"
    registry.promote("v1")
    assert not served.loaded
    assert served.config().version == "tiny+v1"
    after = fingerprint(served.engine(), volume)
    assert served.loaded
    assert after[1].version == "tiny+v1"
    assert after[-1] != before[-1], "another perceiver draws other outlines"
    registry.rollback()
    assert fingerprint(served.engine(), volume) == before


def test_who_holds_the_old_engine_keeps_it_and_nobody_else(registry, volume):
    served = ServedModel(registry)
    held, asked, go_on, answers = served.engine(), threading.Event(), threading.Event(), []

    def progress(phase: str, done: float) -> None:
        asked.set()
        assert go_on.wait(60)

    def ask(engine: Engine) -> None:
        answers.append(engine.ask(volume, "Outline the right lung.", progress=progress))

    thread = threading.Thread(target=ask, args=(held,))
    thread.start()
    assert asked.wait(60)
    publish(registry)
    registry.promote("v1")
    new = served.engine()
    go_on.set()
    thread.join(60)
    assert answers[0].model.version == "tiny"
    assert new.ask(volume, "Outline the right lung.").model.version == "tiny+v1"
    old = weakref.ref(held.model)
    del held, thread
    gc.collect()
    assert old() is None, "nothing but a question holds an old model"


def test_the_old_model_is_let_go_before_the_new_one_is_read(registry, monkeypatch):
    served = ServedModel(registry)
    old = weakref.ref(served.engine().model)
    publish(registry)
    registry.promote("v1")
    load, seen = Engine.load, []

    def watched(*arguments) -> Engine:
        seen.append(old())
        return load(*arguments)

    monkeypatch.setattr(Engine, "load", watched)
    served.engine()
    assert seen == [None]


def test_what_it_sees_changes_with_tower_and_perceiver_only(registry):
    served = ServedModel(registry)
    before = served.sight()
    publish(registry)  # its perceiver changed
    registry.promote("v1")
    assert served.sight() != before
    registry.rollback()
    assert served.sight() == before


def test_a_missing_version_is_told_with_the_way_out(registry, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "CURRENT").write_text("v3\n")
    served = ServedModel(registry)
    with pytest.raises(ModelError, match="The model version v3 is to be served and is not there: 'medsight models"):
        served.engine()
    registry.rollback("base")
    assert served.engine().config.version == "tiny"


def test_a_version_that_was_damaged_later_says_so_and_the_way_back_works(registry):
    version = publish(registry)
    registry.promote("v1")
    (version.folder / "model.safetensors").write_bytes(b"damaged")
    served = ServedModel(registry)
    for _ in range(2):
        with pytest.raises(ModelError, match="cannot be loaded"):
            served.engine()
    registry.rollback()
    assert served.engine().config.version == "tiny"


def test_a_registry_of_another_base_is_another(tmp_path, tiny_model_dir):
    first = Registry.of_studies(tmp_path, tiny_model_dir)
    publish(first)
    first.promote("v1")
    other = Registry.of_studies(tmp_path, retrained(tiny_model_dir, tmp_path / "other", seed=9))
    assert ServedModel(other).config().version == "tiny"
    assert ServedModel(first).config().version == "tiny+v1"
