"""A tiny model asked about pictures: batches change nothing, and maps are those of the engine's path."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from evaluation.fixtures import picture
from tiny_model import save_tiny_model, tiny_model

from medsight_core.errors import InputError
from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.predict import Options, Predictor, case_key, fingerprint, in_batches
from medsight_core.imaging.visible_box import VisibleBox


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for number, cols in enumerate((40, 64, 40, 50)):
        picture(root / f"{number}.png", 40, cols, seed=number, mode="RGB" if number % 2 else "L")
    return root


def case(folder, number, prompt="Outline the liver.", masks=True, images=None):
    files = tuple(folder / f"{image}.png" for image in (images or [number]))
    return Case(f"c{number}", files, prompt, "", "outline", masks=(files,) if masks else ())


@functools.cache
def built():
    return tiny_model()


def ask(cases, options=None, parts=None):
    predictor = Predictor(*(parts or built()), options or Options(), "f")
    for each in cases:
        predictor.check(each)
    return predictor.predict(cases, [each.pictures() for each in cases])


def test_a_batch_gives_what_each_case_gives_alone(folder):
    cases = [case(folder, 0), case(folder, 1, "Is there a mass?"), case(folder, 2), case(folder, 3)]
    together = ask(cases)
    for each, found in zip(cases, together):
        (alone,) = ask([each])
        assert (found.id, found.key, found.reply, found.codes, found.shape) == (
            alone.id, alone.key, alone.reply, alone.codes, alone.shape,
        )  # fmt: skip
        np.testing.assert_allclose(found.maps, alone.maps, atol=2e-3, rtol=2e-3)  # float16
        np.testing.assert_allclose(found.presence, alone.presence, atol=1e-4)


def test_maps_are_the_models_own_for_what_it_saw(folder):
    (found,) = ask([case(folder, 1)])
    model, processor = built()
    (image,) = case(folder, 1).pictures()
    pixels = processor.pixel_values(VisibleBox.of(40, 64, 56).apply(image))[None]
    with torch.inference_mode():
        features = model.encode(pixels)
        (reply,) = model.generate(processor.prompt_ids("Outline the liver."), features, processor.eos_token, 8)
        masks = model.decode(features.patches, reply.code_states[None]).masks[0]
    assert found.shape == (40, 64)
    assert len(found.codes) == len(reply.code_states) > 0
    np.testing.assert_allclose(found.maps, masks.numpy(), atol=0.01, rtol=1e-3)
    assert found.maps.dtype == np.float16
    assert found.dummy is None


def test_a_reply_without_codes_has_the_authors_dummy(folder):
    # One token: a code there has no state of its own yet, so nothing can be decoded.
    (found,) = ask([case(folder, 0)], Options(max_new_tokens=1))
    assert (found.codes, found.maps) == ((), None)
    model, processor = built()
    (image,) = case(folder, 0).pictures()
    with torch.inference_mode():
        features = model.encode(processor.pixel_values(VisibleBox.of(40, 40, 56).apply(image))[None])
        ids = processor.prompt_start() + processor.question_ids("Outline the liver.", 1)
        _, states = model(model.splice(ids, model.image_tokens(features))[None])
        masks = model.decode(features.patches, states[:, -1:]).masks[0]
    np.testing.assert_allclose(found.dummy, masks.numpy(), atol=0.01, rtol=1e-3)


def test_without_masks_nothing_is_decoded(folder):
    (found,) = ask([case(folder, 0, masks=False)])
    assert (found.codes, found.shape, found.maps, found.dummy) == ((), None, None, None)
    assert found.reply == ask([case(folder, 0)])[0].reply


def test_a_question_about_two_pictures_sees_both(folder):
    replies = {
        images: ask([case(folder, 9, "Compare them.", masks=False, images=list(images))])[0].reply
        for images in ((0, 1), (0, 2), (3, 1), (1, 0))
    }
    assert all(replies.values())
    assert len(set(replies.values())) > 1


def test_options_change_replies(folder):
    plain, short = ask([case(folder, 0)])[0].reply, ask([case(folder, 0)], Options(max_new_tokens=2))[0].reply
    assert plain.startswith(short)
    assert len(short) < len(plain)


def test_questions_that_cannot_be_asked(folder):
    with pytest.raises(InputError, match="it has masks and 2 pictures where one is expected"):
        ask([case(folder, 0, images=[0, 1])])
    text = {**built()[0].config.text_config.to_dict(), "max_position_embeddings": 80}
    with pytest.raises(InputError, match="its question is too long for this model"):
        ask([case(folder, 0, "x" * 60)], parts=tiny_model(text_config=text))


def test_keys_tell_models_options_and_questions_apart(folder, tmp_path):
    save_tiny_model(tmp_path / "a")
    save_tiny_model(tmp_path / "b", seed=1)
    model, _ = built()
    base = fingerprint(tmp_path / "a", model, Options())
    assert base == fingerprint(tmp_path / "a", model, Options())
    assert base != fingerprint(tmp_path / "b", model, Options())
    assert base != fingerprint(tmp_path / "a", model, Options(repetition_penalty=1.2))
    (tmp_path / "a" / "README.md").write_text("a card")
    assert base == fingerprint(tmp_path / "a", model, Options())
    keys = {
        case_key(base, case(folder, 0)), case_key("x", case(folder, 0)), case_key(base, case(folder, 1)),
        case_key(base, case(folder, 0, "Else?")), case_key(base, case(folder, 0, masks=False)),
    }  # fmt: skip
    assert len(keys) == 5


def test_equal_questions_are_asked_together(folder):
    cases = [case(folder, number, "ab"[number % 2]) for number in range(4)]
    assert [[each.id for each in batch] for batch in in_batches(cases, 2)] == [["c0", "c2"], ["c1", "c3"]]
