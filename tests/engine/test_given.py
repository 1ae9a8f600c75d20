"""The code of a thing whose name is given, on a tiny random model."""

from __future__ import annotations

import pytest
import torch
from tiny_model import tiny_model

from medsight_core.engine.given import given_name
from medsight_core.errors import CancelledError

NAMES = {"M5_0": "right lung", "M5_1": "left lung", "M10_0": "left lung"}
PLANES = (4, 7)


@pytest.fixture(params=[NAMES, {}, "all"])
def names(request) -> dict[str, str]:
    if request.param != "all":
        return request.param
    words = tiny_model()[0].config.codebook_config.code_tokens
    return {word.strip("[]"): "heart" for word in words}


@pytest.fixture
def asked(names):
    model, processor = tiny_model(names_of_codes=names)
    size = model.config.vision_config.image_size
    features = model.eval().encode(torch.randn(len(PLANES), 3, size, size))
    ids = processor.prompt_ids("Outline the left lung.")
    return model, processor, ids, model.read(ids, features)


@torch.inference_mode()
def test_each_plane_gets_a_code_that_may_mean_the_name(asked, names):
    model, processor, ids, memory = asked
    steps: list[int] = []
    found = given_name(model, processor, "left lung", ids, memory, PLANES, lambda so_far: steps.append(so_far.shape[1]))
    assert [(each.name, each.plane) for each in found] == [("left lung", plane) for plane in PLANES]
    meant = [code for code, name in names.items() if name == "left lung"]
    for each in found:
        assert each.code in meant or (not meant and (each.code not in names or "heart" in names.values()))
    assert steps == list(range(1, len(steps) + 1))


@torch.inference_mode()
def test_the_code_has_the_state_that_writing_the_same_sentence_gives_it(asked):
    model, processor, ids, memory = asked
    for place, each in enumerate(given_name(model, processor, "left lung", ids, memory, PLANES, lambda so_far: None)):
        written = processor.text_ids(f"The left lung [{each.code}]")
        again = model.generate(
            ids, None, processor.eos_token, memory=memory[place : place + 1], max_new_tokens=len(written) + 1,
            prefix_allowed_tokens_fn=lambda _, so_far, written=written: [[*written, processor.eos_token][len(so_far)]],
        )[0]  # fmt: skip
        assert again.ids == written
        assert torch.allclose(again.code_states[0], each.state, atol=1e-5)


@torch.inference_mode()
def test_a_question_that_is_taken_back_ends_there(asked):
    model, processor, ids, memory = asked

    def stop(so_far):
        raise CancelledError("The question was cancelled.")

    with pytest.raises(CancelledError):
        given_name(model, processor, "left lung", ids, memory, PLANES, stop)
