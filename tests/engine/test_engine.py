"""The engine on a tiny random model: its answers mean nothing, their form must be right."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import save_tiny_model

from medsight_core.answer import NOTICE, Answer
from medsight_core.engine.engine import Engine
from medsight_core.errors import InputError, ModelError, TooLargeError
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import PlaneRequest


@pytest.fixture(scope="module")
def engine(tiny_model_dir):
    return Engine.load(tiny_model_dir)


@pytest.fixture(scope="module")
def volume():
    voxels = np.random.default_rng(0).integers(-1000, 400, (20, 24, 18)).astype(np.int16)
    return Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "CT")


def check_form(answer: Answer, volume: Volume) -> None:
    assert answer.notice == NOTICE
    assert [region.label for region in answer.regions] == list(range(1, len(answer.regions) + 1))
    for region in answer.regions:
        assert answer.text[slice(*region.span)].lower() == region.name.lower()
        assert f"[{region.label}]" in answer.text
        assert region.mask.shape == volume.shape
        assert region.mask.dtype == bool
        assert region.mask.any(), "a region is never empty"
        assert 0 <= region.confidence <= 1
        touched = np.flatnonzero(region.mask.any(axis=(0, 1)))
        assert region.slices == (touched[0], touched[-1])
        assert region.volume_ml == pytest.approx(region.mask.sum() * 0.012)
        assert region.name not in answer.absent
    assert json.loads(json.dumps(answer.to_json())) == answer.to_json()
    assert Answer.from_json(answer.to_json()).text == answer.text


def test_a_question_about_a_volume(engine, volume):
    answer = engine.ask(volume, "Outline the right lung.")
    assert answer.scope == "volume"
    assert answer.regions, "the seed must make the random model outline something"
    assert {"encode", "generate", "decode", "total"} <= answer.timings.keys()
    check_form(answer, volume)


def test_a_question_about_a_plane_stays_on_that_plane(engine, volume):
    answer = engine.ask(volume, "Outline the right lung.", scope="plane", plane=PlaneRequest("axial", 5))
    assert answer.regions
    check_form(answer, volume)
    for region in answer.regions:
        assert region.slices == (5, 5)


def test_answers_are_repeatable_and_cached_features_change_nothing(tiny_model_dir, volume):
    engine = Engine.load(tiny_model_dir)
    first, second = (engine.ask(volume, "Outline the right lung.") for _ in range(2))
    assert first == second
    for a, b in zip(first.regions, second.regions):
        assert np.array_equal(a.mask, b.mask)
    assert second.timings["encode"] < first.timings["encode"]


def test_two_images_never_share_features(engine, volume):
    voxels = volume.voxels.copy()
    voxels[3, 3, 9] += 1
    engine.ask(volume, "Outline the right lung.")
    before = len(engine.cache._entries)
    engine.ask(Volume(voxels, volume.affine, "CT"), "Outline the right lung.")
    assert len(engine.cache._entries) == before + 1


def test_progress_is_told_by_phase(engine, volume):
    told = []
    engine.ask(Volume(volume.voxels + 1, volume.affine, "CT"), "Where?", progress=lambda *step: told.append(step))
    assert [phase for phase in dict.fromkeys(phase for phase, _ in told)] == ["encode", "generate", "decode"]
    assert all(0 <= done <= 1 for _, done in told)


def test_an_orientation_the_model_never_saw_is_refused(tmp_path, volume):
    engine = Engine.load(save_tiny_model(tmp_path, orientations=("axial", "coronal")))
    with pytest.raises(InputError, match="not trained on sagittal planes: ask about an axial or coronal plane"):
        engine.ask(volume, "Outline it.", scope="plane", plane=PlaneRequest("sagittal", 5))


@pytest.mark.parametrize(
    ("prompt", "kind", "sentence"),
    [
        ("  ", InputError, "The prompt is empty"),
        ("x" * 10_000, TooLargeError, "10000 characters and the limit is 2000"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused(engine, volume, prompt, kind, sentence):
    with pytest.raises(kind, match=sentence):
        engine.ask(volume, prompt)


def test_a_plane_question_needs_a_plane(engine, volume):
    with pytest.raises(InputError, match="no plane is given: add plane, for example axial:42"):
        engine.ask(volume, "Outline it.", scope="plane")


def test_a_prompt_too_long_for_the_model_is_refused(tmp_path, volume):
    engine = Engine.load(save_tiny_model(tmp_path))
    engine.config.text_config.max_position_embeddings = 60
    with pytest.raises(TooLargeError, match="The prompt is too long for this model: ask a shorter question"):
        engine.ask(volume, "Outline it.")


def test_a_long_conversation_forgets_its_beginning(tmp_path, volume):
    engine = Engine.load(save_tiny_model(tmp_path))
    engine.config.text_config.max_position_embeddings = 300
    history = [("Where is the lung?", "The lung is outlined. " * 5)] * 20
    assert engine.ask(volume, "Outline it.", history=history).text


def test_an_empty_reply_is_told(tmp_path, volume):
    engine = Engine.load(save_tiny_model(tmp_path))
    engine.processor.eos_token = engine.model.generate(
        engine.processor.prompt_ids("Outline it."),
        engine.model.encode(torch.zeros(1, 3, 56, 56)),
        eos_token=engine.processor.eos_token,
        max_new_tokens=1,
    )[0].ids[0]  # the first word that this model always says now ends its reply
    answer = engine.ask(volume, "Outline it.")
    assert answer.text == "The model gave no answer: ask in other words."
    assert answer.regions == ()


def test_a_missing_model_folder_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"There is no model in .*: give a folder with config.json"):
        Engine.load(tmp_path / "nothing")


def test_another_kind_of_model_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ModelError, match="is a 'gpt2', not a MedSIGHT model"):
        Engine.load(tmp_path)


def test_a_damaged_config_is_told(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config.json in .* cannot be read"):
        Engine.load(tmp_path)


def test_missing_weights_are_told(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"The weights in .* cannot be loaded"):
        Engine.load(folder)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 64])
def test_damaged_weights_are_told(tiny_model_dir, tmp_path, content):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"The weights in .* cannot be loaded"):
        Engine.load(folder)


@pytest.mark.parametrize("content", ["{", "{}", '{"model_type": "medsight", "text_config": {"hidden_size": 3}}'])
def test_a_damaged_configuration_is_told(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config.json in .* cannot be read"):
        Engine.load(tmp_path)


def test_a_damaged_tokenizer_is_told(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="No usable tokenizer in the model folder"):
        Engine.load(folder)


def test_a_device_that_is_not_there_is_told(tiny_model_dir):
    with pytest.raises(ModelError, match="The device 'nonsense' is not available here: use cpu"):
        Engine.load(tiny_model_dir, device="nonsense")


def test_a_missing_key_is_named(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["perceiver.queries"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"do not fit this version \(1 keys, the first is perceiver.queries\)"):
        Engine.load(folder)


def test_pickled_weights_are_never_read(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        Engine.load(folder)


def test_the_description_needs_no_weights(engine):
    offered = engine.describe()
    assert offered["model"] == {"id": "medsight", "version": "tiny", "licence": "Apache-2.0"}
    assert offered["scopes"] == ["plane", "volume"]
    assert offered["names"]["CT"] == ["right lung", "left lung"]
    assert "Outline the right lung and the left lung." in offered["suggestions"]["CT"]


@pytest.fixture
def detecting(tmp_path):
    names = ("", "right lung", "left lung", "left thalamus")

    def build(threshold: float) -> Engine:
        folder = save_tiny_model(
            tmp_path / f"{threshold:g}", class_names=names, presence="detected", show_detections=True,
            presence_threshold=threshold,
        )  # fmt: skip
        return Engine.load(folder)

    return build


def test_a_model_that_detects_tells_how_surely_each_name_is_there(detecting, volume, engine):
    scores = detecting(0.0).detect(volume)
    assert list(scores) == ["right lung", "left lung", "left thalamus"]
    assert all(0 < score < 1 for score in scores.values())
    one = detecting(0.5).detect(volume, "plane", PlaneRequest("axial", 5))
    assert list(one) == list(scores)
    assert engine.detect(volume) == {}, "another model has no such opinion"
    with pytest.raises(InputError, match=r"^The scope is 'plane' but no plane is given"):
        detecting(0.0).detect(volume, "plane")


def test_nothing_is_outlined_that_is_not_detected(detecting, volume):
    assert detecting(0.0).ask(volume, "Outline the right lung.").regions
    assert not detecting(1.1).ask(volume, "Outline the right lung.").regions


def test_the_language_model_is_told_what_was_detected(detecting, volume, monkeypatch):
    told = []
    for threshold in (0.0, 1.1):
        engine = detecting(threshold)
        ids_of = engine.processor.prompt_ids
        monkeypatch.setattr(
            engine.processor, "prompt_ids", lambda *args, ids_of=ids_of, **kw: told.append(kw) or ids_of(*args, **kw)
        )
        engine.ask(volume, "Outline the right lung.")
    assert [each["context"] for each in told] == [
        "Seen on this axial CT: right lung, left lung, left thalamus.\n",
        "Seen on this axial CT: nothing known.\n",
    ]
