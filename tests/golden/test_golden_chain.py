"""Code states and the whole chain from pixels to masks against the reference (model-spec section 10, test 8).

The language model is transformers' Qwen3 on both sides; the reference runs it without a cache, one full forward per
token, and everything around it is the plain functions of ``reference``.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from reference.chat import IMAGE, image_tokens, splice, text_to_image, turns
from reference.clip import block_outputs, split
from reference.official_names import official_state
from reference.perceiver import Perceived, perceive
from reference.preprocessing import pixel_values
from reference.seeding import seed_every_parameter
from tiny_model import tiny_model
from torch import Tensor

from medsight_core.imaging.visible_box import VisibleBox

QUESTION, SIDE, NEW_TOKENS = "Outline both lungs.", 56, 13
FIRST_CODE, CODES = 258, 576


@dataclass
class Reply:
    """What the reference says: new ids, the place of each decoded code in them, its state, and its masks."""

    ids: list[int]
    places: list[int]
    states: Tensor
    perceived: Perceived


def seeded_model(**overrides):
    """Every parameter drawn; letters get a slightly louder output head, so that the reply mixes them with codes."""
    model, processor = tiny_model(**overrides)
    seed_every_parameter(model, seed=54)
    with torch.no_grad():
        model.language.lm_head.weight[:FIRST_CODE] *= 1.2
    return model, processor


def picture() -> Image.Image:
    y, x = np.mgrid[:90, :130]
    return Image.fromarray((127 + 90 * np.sin(x / 11) * np.cos(y / 6) + 30 * (x > 60)).astype(np.uint8))


def prompt_ids(tokenizer) -> list[int]:
    ids: list[int] = []
    for turn in [*turns(QUESTION), "<|im_start|>assistant\n"]:
        for index, piece in enumerate(turn.split("<image>")):
            ids += [IMAGE] * (index > 0) + tokenizer(piece, add_special_tokens=False)["input_ids"]
    return ids


@torch.no_grad()
def reference_reply(model, tokenizer, eos: int, layer: int, own: bool) -> Reply:
    params = official_state(model.state_dict())
    blocks = block_outputs(params, pixel_values(picture(), SIDE)[None], heads=2, depth=2)
    _, patches = split(blocks[layer])
    regions = perceive(params, patches, heads=2, stages=3).queries
    table = model.language.model.embed_tokens.weight
    prompt = splice(table, prompt_ids(tokenizer), list(image_tokens(params, patches, regions)))

    embeds, ids = prompt, []
    while len(ids) < NEW_TOKENS:
        output = model.language(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
        token = int(output.logits[0, -1].argmax())
        if token == eos:
            break
        ids.append(token)
        embeds = torch.cat([embeds, table[token][None, None]], dim=1)
    # One forward over prompt and reply holds the state of every position, the very last code's too.
    output = model.language(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
    states = output.hidden_states[-1][0, prompt.shape[1] - 1 :]  # states[t] predicted ids[t], states[t + 1] read it
    places = [place for place, token in enumerate(ids) if FIRST_CODE <= token < FIRST_CODE + CODES]
    chosen = states[[place + own for place in places]]
    return Reply(ids, places, chosen, perceive(params, patches, 2, 3, text_to_image(params, chosen)[None]))


@pytest.mark.parametrize("layer", [-1, -2])
@pytest.mark.parametrize("code_state", ["own", "previous"])
@torch.no_grad()
def test_pixels_to_masks(code_state, layer):
    model, processor = seeded_model(code_state=code_state, vision_layer=layer)
    reference = reference_reply(model, processor.tokenizer, processor.eos_token, layer, own=code_state == "own")
    assert 2 <= len(reference.places) < len(reference.ids) - 1, "the seed must give codes and letters"
    assert reference.places[0] == 0, "the first token must be a code: its previous state is the prompt's last"
    assert reference.places[-1] < NEW_TOKENS - 1, "the last code must have been read"

    image = VisibleBox.of(90, 130, SIDE).apply(picture())
    features = model.encode(processor.pixel_values(image)[None])
    ids = processor.prompt_ids(QUESTION)
    ours = model.generate(ids, features, processor.eos_token, max_new_tokens=NEW_TOKENS)[0]
    assert ours.ids == reference.ids
    assert ours.code_positions == reference.places
    torch.testing.assert_close(ours.code_states, reference.states, atol=1e-4, rtol=0.0)
    decoded = model.decode(features.patches, ours.code_states[None])
    torch.testing.assert_close(decoded.masks, reference.perceived.masks[-1], atol=1e-3, rtol=0.0)
    torch.testing.assert_close(decoded.classes, reference.perceived.classes, atol=1e-3, rtol=0.0)
