"""The benchmark of replies in one batch: that it notices replies which are not the single ones."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.batching import PROMPTS, measure, report
from medsight_core.engine.engine import Engine
from medsight_core.imaging.volume import Volume


@pytest.fixture
def engine(tiny_model_dir) -> Engine:
    return Engine.load(tiny_model_dir)


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(-1000, 400, (20, 24, 18)).astype(np.int16)
    return Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "CT")


def test_a_batch_gives_the_replies_that_single_prompts_give(engine, volume):
    figures = measure(engine, volume, repeats=2)
    assert figures.alike
    assert figures.tokens >= PROMPTS
    assert len(figures.together) == len(figures.one_by_one) == 2
    assert f"{PROMPTS} prompts, {figures.tokens} tokens" in report(figures)
    assert report(figures).endswith("yes |")


def test_replies_that_change_places_in_a_batch_are_noticed(engine, volume, monkeypatch):
    generate = engine.model.generate

    def careless(*arguments, **options):
        first, *others = generate(*arguments, **options)
        if others:
            first.ids.append(engine.processor.eos_token)
        return [*others, first]

    monkeypatch.setattr(engine.model, "generate", careless)
    figures = measure(engine, volume, repeats=1)
    assert not figures.alike
    assert report(figures).endswith("NO |")
