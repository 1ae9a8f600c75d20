"""The engine on a tiny random model: its answers mean nothing, their form must be right."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import save_tiny_model

from medsight_core.answer import NOTICE, Answer
from medsight_core.engine.engine import Engine
from medsight_core.engine.wording import readable
from medsight_core.errors import CancelledError, InputError, ModelError, TooLargeError
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import PlaneRange, PlaneRequest


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


@pytest.mark.parametrize(
    "where",
    [{}, {"scope": "plane", "plane": PlaneRequest("axial", 5)}, {"scope": "range", "plane": PlaneRange("axial", 3, 9)}],
    ids=["volume", "plane", "range"],
)
def test_soft_masks_give_the_outlines_and_let_their_edge_be_moved(engine, volume, where):
    plain, soft = engine.ask(volume, "Outline the right lung.", **where), None
    for region in plain.regions:
        assert region.soft is None
    answer = engine.ask(volume, "Outline the right lung.", soft=True, **where)
    assert answer.to_json() | {"timings": {}} == plain.to_json() | {"timings": {}}
    for region, other in zip(answer.regions, plain.regions):
        soft = region.soft
        assert np.array_equal(region.mask, other.mask)
        box = tuple(slice(start, start + size) for start, size in zip(soft.first, soft.shape))
        inside = np.zeros(volume.shape, bool)
        inside[box] = soft.mask(soft.threshold).T
        assert np.array_equal(inside, region.mask), "at its own threshold it is the outline, bit for bit"
        sizes = [int(soft.mask(threshold).sum()) for threshold in (0.1, 0.3, 0.5, 0.7, 0.9)]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] >= region.mask.sum()
    assert soft is not None
    assert answer.without_masks().regions[0].soft is None


def test_a_question_about_a_plane_stays_on_that_plane(engine, volume):
    answer = engine.ask(volume, "Outline the right lung.", scope="plane", plane=PlaneRequest("axial", 5))
    assert answer.regions
    check_form(answer, volume)
    for region in answer.regions:
        assert region.slices == (5, 5)


@pytest.mark.parametrize(
    ("orientation", "axis", "last"), [("sagittal", 0, 9), ("coronal", 1, 4), ("axial", 2, 3), ("axial", 2, 7)]
)
def test_a_question_about_a_range_stays_within_it(engine, volume, orientation, axis, last):
    told = []
    answer = engine.ask(
        volume, "Outline the right lung.", "range", PlaneRange(orientation, 3, last), progress=lambda *a: told.append(a)
    )
    assert answer.scope == "range"
    assert answer.regions
    check_form(answer, volume)
    for region in answer.regions:
        touched = np.flatnonzero(region.mask.any(axis=tuple({0, 1, 2} - {axis})))
        assert 3 <= touched[0] <= touched[-1] <= last
    assert [phase for phase in dict(told)] == ["encode", "generate", "decode"]


def test_a_range_of_all_axial_planes_is_the_whole_volume(engine, volume):
    """At one plane a slice, as here."""
    whole = engine.ask(volume, "Outline the right lung.")
    ranged = engine.ask(volume, "Outline the right lung.", "range", PlaneRange("axial", 0, volume.shape[2] - 1))
    assert replace(ranged, scope="volume") == whole
    for one, other in zip(whole.regions, ranged.regions, strict=True):
        assert np.array_equal(one.mask, other.mask)


def test_answers_are_repeatable_and_cached_features_change_nothing(tiny_model_dir, volume, monkeypatch):
    engine = Engine.load(tiny_model_dir)
    see, seen = engine.model.see, []
    monkeypatch.setattr(engine.model, "see", lambda pixels: seen.append(len(pixels)) or see(pixels))
    first, second = (engine.ask(volume, "Outline the right lung.") for _ in range(2))
    assert first == second
    for a, b in zip(first.regions, second.regions):
        assert np.array_equal(a.mask, b.mask)
    assert sum(seen) == volume.voxels.shape[2], "each plane is looked at once"


def with_noise(seed: int) -> Volume:
    voxels = np.random.default_rng(seed).integers(-1000, 400, (20, 24, 18)).astype(np.int16)
    return Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "CT")


def mixes_images_up(folder) -> bool:
    """Whether an image asked about after another gets another answer than alone, from any cache."""
    engine, where = Engine.load(folder), {"scope": "plane", "plane": PlaneRequest("axial", 9)}
    for seed in (1, 2):
        for place in ({}, where):
            alone = Engine.load(folder).ask(with_noise(seed), "Outline the right lung.", **place)
            if not same(engine.ask(with_noise(seed), "Outline the right lung.", **place), alone):
                return True
    return False


def test_an_image_is_never_answered_about_from_another_images_entries(tiny_model_dir, monkeypatch):
    assert not mixes_images_up(tiny_model_dir)
    monkeypatch.setattr(Volume, "fingerprint", lambda self: "the same for all")
    assert mixes_images_up(tiny_model_dir), "this test would not notice a cache without pixels in its keys"


def test_a_plane_of_a_volume_that_was_asked_about_is_known(tiny_model_dir, volume):
    engine = Engine.load(tiny_model_dir)
    engine.ask(volume, "Outline the right lung.")
    told = []
    plane = {"scope": "plane", "plane": PlaneRequest("axial", 5)}
    answer = engine.ask(volume, "Outline the right lung.", **plane, progress=lambda *now: told.append(now))
    assert [now for now in told if now[0] == "encode"] == [("encode", 0.0)], "nothing is looked at again"
    assert same(answer, Engine.load(tiny_model_dir).ask(volume, "Outline the right lung.", **plane))


def test_a_follow_up_does_not_read_the_image_again(tiny_model_dir, volume, monkeypatch):
    engine = Engine.load(tiny_model_dir)
    engine.ask(volume, "Outline the right lung.")
    monkeypatch.setattr(engine.model, "read", None)
    again = engine.ask(volume, "Is there a left lung?", history=[("Outline the right lung.", "It is outlined.")])
    alone = Engine.load(tiny_model_dir)
    assert same(
        again, alone.ask(volume, "Is there a left lung?", history=[("Outline the right lung.", "It is outlined.")])
    )


def test_two_images_never_share_features(engine, volume):
    voxels = volume.voxels.copy()
    voxels[3, 3, 9] += 1
    engine.ask(volume, "Outline the right lung.")
    before = len(engine.cache), len(engine.memories)
    engine.ask(Volume(voxels, volume.affine, "CT"), "Outline the right lung.")
    assert len(engine.cache) == before[0] + volume.shape[2]
    assert len(engine.memories) == before[1] + 5


def test_progress_is_told_by_phase(engine, volume):
    told = []
    engine.ask(Volume(volume.voxels + 1, volume.affine, "CT"), "Where?", progress=lambda *step: told.append(step))
    assert [phase for phase in dict.fromkeys(phase for phase, _ in told)] == ["encode", "generate", "decode"]
    assert all(0 <= done <= 1 for _, done in told)


def same(first: Answer, second: Answer) -> bool:
    """Bit by bit, masks included."""
    masks = all(np.array_equal(a.mask, b.mask) for a, b in zip(first.regions, second.regions))
    return masks and first == second


def test_watching_a_question_changes_no_bit_of_the_answer(tiny_model_dir, volume):
    for where in ({}, {"scope": "plane", "plane": PlaneRequest("axial", 5)}):
        alone = Engine.load(tiny_model_dir).ask(volume, "Outline the right lung.", **where)
        said = []
        watched = Engine.load(tiny_model_dir).ask(
            volume, "Outline the right lung.", **where, progress=lambda *_: None, say=said.append
        )
        assert alone.regions
        assert same(alone, watched)
        assert said


def test_the_words_come_one_after_another_as_the_first_plane_is_told(tiny_model_dir, volume, monkeypatch):
    engine = Engine.load(tiny_model_dir)
    names = {f"M{modality}_{code}": f"thing {modality} {code}" for modality in range(18) for code in range(32)}
    engine.config.names_of_codes = names  # a random model says codes more than words
    generate, told, said = engine.model.generate, [], []
    monkeypatch.setattr(engine.model, "generate", lambda *a, **kw: told.extend(generate(*a, **kw)) or told)
    engine.ask(volume, "Outline the right lung.", say=said.append)
    text = engine.processor.text_and_codes(told[0].ids)[0]
    assert "".join(said) == readable(text, engine.config.names_of_codes)
    assert len(said) > 4
    assert all("thing" in piece for piece in said[1:])


class StopAt:
    """Progress that cancels when a phase is told for the n-th time, and counts what is told after that."""

    def __init__(self, phase: str, times: int = 1) -> None:
        self.phase, self.times, self.after = phase, times, 0

    def __call__(self, phase: str, done: float) -> None:
        self.after += self.times == 0
        if phase == self.phase:
            self.times -= 1
            if self.times == 0:
                raise CancelledError("Enough.")


@pytest.mark.parametrize(
    ("phase", "times"),
    [("encode", 1), ("encode", 2), ("generate", 1), ("generate", 3), ("decode", 1), ("decode", 2), ("decode", 9)],
)
def test_a_cancelled_question_stops_there_and_spoils_nothing(tiny_model_dir, volume, phase, times, monkeypatch):
    halves = lambda n, _: [slice(0, n // 2), slice(n // 2, n)]  # noqa: E731
    for module in ("features", "volumetric"):
        monkeypatch.setattr(f"medsight_core.engine.{module}.plane_batches", halves)
    engine = Engine.load(tiny_model_dir)
    stop = StopAt(phase, times)
    with pytest.raises(CancelledError, match=r"^Enough\.$"):
        engine.ask(volume, "Outline the right lung.", progress=stop)
    assert stop.after == 0
    planes = volume.shape[2]
    assert len(engine.cache) == (planes if phase != "encode" else 0), "what was looked at is kept"
    assert same(
        engine.ask(volume, "Outline the right lung."),
        Engine.load(tiny_model_dir).ask(volume, "Outline the right lung."),
    )


def test_what_listens_to_the_words_may_stop_them(engine, volume):
    heard = []

    def enough(piece: str) -> None:
        heard.append(piece)
        raise CancelledError("Enough.")

    with pytest.raises(CancelledError):
        engine.ask(volume, "Outline the right lung.", say=enough)
    assert len(heard) == 1


def test_an_orientation_the_model_never_saw_is_refused(tmp_path, volume):
    engine = Engine.load(save_tiny_model(tmp_path, orientations=("axial", "coronal")))
    with pytest.raises(InputError, match="not trained on sagittal planes: ask about an axial or coronal plane"):
        engine.ask(volume, "Outline it.", scope="plane", plane=PlaneRequest("sagittal", 5))
    with pytest.raises(InputError, match="not trained on sagittal planes: ask about an axial or coronal plane"):
        engine.ask(volume, "Outline it.", scope="range", plane=PlaneRange("sagittal", 5, 6))
    with pytest.raises(InputError, match="There is no axial slice 99 in this volume: use 0 to "):
        engine.ask(volume, "Outline it.", scope="range", plane=PlaneRange("axial", 5, 99))


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
    assert offered["scopes"] == ["plane", "range", "volume"]
    assert offered["names"]["CT"] == ["right lung", "left lung"]
    assert "Outline the right lung and the left lung." in offered["suggestions"]["CT"]


def test_a_thing_is_suggested_with_its_side_or_with_none(tmp_path):
    names = ["right lung", "lung", "left lung", "heart"]
    offered = Engine.load(save_tiny_model(tmp_path, modality_names={"CT": names})).describe()
    assert offered["suggestions"]["CT"][:2] == ["Outline the right lung and the left lung.", "Is there a heart?"]


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


def test_the_question_may_say_how_sure_is_sure(detecting, volume):
    engine = detecting(0.5)
    found = {}
    for threshold in (0.0, 0.7, 1.0):
        answer = engine.ask(volume, "Outline the right lung.", threshold=threshold)
        assert all(region.presence >= threshold for region in answer.regions)
        found[threshold] = answer.regions
    assert found[0.0]
    assert not found[1.0]
    assert answer.absent
    assert engine.config.presence_threshold == 0.5


def test_planes_decoded_in_many_batches_are_those_of_one(detecting, volume, monkeypatch):
    engine = detecting(0.0)
    whole = engine.ask(volume, "Outline the right lung.")
    pairs = lambda n, _: [slice(start, min(start + 2, n)) for start in range(0, n, 2)]  # noqa: E731
    monkeypatch.setattr("medsight_core.engine.volumetric.plane_batches", pairs)
    again = engine.ask(volume, "Outline the right lung.")
    assert len(whole.regions) == len(again.regions) > 0
    for one, same_one in zip(whole.regions, again.regions):
        assert np.mean(one.mask != same_one.mask) < 1e-3


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


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_what_is_asked_for_and_detected_is_outlined_whatever_the_reply_leaves_out(tmp_path, volume, threshold):
    codes = {"M5_0": "right lung", "M10_1": "right lung", "M5_1": "left lung"}
    folder = save_tiny_model(
        tmp_path, class_names=("", "right lung", "left lung", "left thalamus"), presence="detected",
        show_detections=True, correct_words=True, presence_threshold=threshold, names_of_codes=codes,
    )  # fmt: skip
    engine = Engine.load(folder)
    question = "Outline the right lung and the left lung."
    answer = engine.ask(volume, question, history=[("Hello.", "Hello.")])
    assert {region.name for region in answer.regions} == ({"right lung", "left lung"} if threshold == 0.0 else set())
    assert all(codes[region.code] == region.name for region in answer.regions)
    check_form(answer, volume)


def test_that_sides_cannot_be_told_is_told(tmp_path, volume):
    folder = save_tiny_model(
        tmp_path, class_names=("", "right lung", "left lung", "lung"), presence="detected", correct_words=True,
        presence_threshold=1.1, modality_names={"CT": ["right lung", "left lung", "lung"]},
    )  # fmt: skip
    engine = Engine.load(folder)
    told = " Sides cannot be told on a sagittal plane: ask for the lung, or on another plane."
    assert engine.ask(volume, "Outline the left lung.", "plane", PlaneRequest("sagittal", 5)).text.endswith(told)
    for question, orientation in (("Outline the left lung.", "axial"), ("Outline the lung.", "sagittal")):
        assert told not in engine.ask(volume, question, "plane", PlaneRequest(orientation, 5)).text


def test_a_question_that_refers_to_the_turn_before_is_about_its_side(tmp_path, volume, monkeypatch):
    names = ["left lung", "right lung", "left kidney", "right kidney"]
    engine = Engine.load(save_tiny_model(tmp_path, correct_words=True, modality_names={"CT": names}))
    ids_of, read = engine.processor.prompt_ids, []
    monkeypatch.setattr(engine.processor, "prompt_ids", lambda *args, **kw: read.append(args[0]) or ids_of(*args, **kw))
    before = [("Outline the right lung.", "The right lung is not seen.")]
    engine.ask(volume, "And the kidney below it?", history=before)
    engine.ask(volume, "Only the kidney?", history=before)
    assert read == ["And the right kidney below it?", "Only the left kidney and right kidney?"]


@pytest.mark.parametrize("corrects", [True, False])
def test_questions_of_the_whole_conversation_are_corrected_where_the_model_says_so(
    tmp_path, volume, monkeypatch, corrects
):
    engine = Engine.load(save_tiny_model(tmp_path, correct_words=corrects))
    ids_of, read = engine.processor.prompt_ids, []
    monkeypatch.setattr(engine.processor, "prompt_ids", lambda *args, **kw: read.append(args) or ids_of(*args, **kw))
    engine.ask(volume, "And the rihgt lung?", history=[("Outline the lft pulmo.", "The lung is outlined.")])
    asked, earlier = ("right lung", "left lung") if corrects else ("rihgt lung", "lft pulmo")
    assert read == [(f"And the {asked}?", [(f"Outline the {earlier}.", "The lung is outlined.")])]
