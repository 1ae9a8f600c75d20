"""The loss of a training conversation, from its files to its three terms, against the reference (section 10, 7 and 8).

The language model is transformers' Qwen3 on both sides, one conversation at a time in the reference; everything around
it is the plain functions of ``reference``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reference.chat import IMAGE, expanded_position, image_tokens, splice, text_to_image
from reference.clip import block_outputs, split
from reference.labels import IGNORED, encode, expand
from reference.losses import code_mask_losses, resize, token_entropies
from reference.official_names import official_state
from reference.perceiver import perceive
from reference.preprocessing import pixel_values
from reference.seeding import seed_every_parameter
from tiny_model import tiny_model
from torch import Tensor

from medsight_core.data.records import Conversation, Turn
from medsight_core.training.conversation_task import ConversationTask
from medsight_core.training.datasets import ConversationDataset, collate_conversations

SIDE, CELLS, FIRST_CODE, CODES = 56, 32, 258, 576
TOKENS = 4 * 4 + 5  # patches and regions of one image


@dataclass
class Terms:
    """What one conversation adds up to: entropies of its supervised tokens, sums over its codes, and their numbers."""

    text: Tensor
    dice: Tensor
    entropy: Tensor
    tokens: int
    codes: int


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, and masks at two sizes; all square, so that no policy of cropping takes part."""
    folder = tmp_path_factory.mktemp("conversations")
    for side in (80, CELLS):
        y, x = np.mgrid[:side, :side] * (80 / side)
        for name, picture in {
            "first": 127 + 90 * np.sin(x / 11) * np.cos(y / 6),
            "second": 3 * y,
            "disc": 255 * ((x - 30) ** 2 + (y - 45) ** 2 < 300),
            "band": 255 * (abs(x - y) < 9),
            "corner": 255 * ((x > 50) & (y < 20)),
            "nothing": 0 * x,
        }.items():
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"{name}-{side}.png")
    return folder


def conversation(
    folder: Path, images: list[str], turns: list[tuple[str, str]], masks: list[str] | None = None, mask_side: int = 80
) -> Conversation:
    return Conversation(
        id="test",
        images=tuple(folder / f"{name}-80.png" for name in images),
        turns=tuple(Turn(question, answer) for question, answer in turns),
        masks=tuple((folder / f"{name}-{mask_side}.png",) for name in masks or []),
        codes=tuple(piece.split("]")[0] for _, answer in turns for piece in answer.split("[")[1:]),
    )


def grounded(folder: Path, mask_side: int = 80) -> Conversation:
    """Three codes over two turns, one of an empty mask, the last one right before the end of its turn."""
    turns = [("Outline both.", "One [M0_16], two [M3_1]."), ("And the\nlast?", "[M17_31]")]
    return conversation(folder, ["first"], turns, ["disc", "nothing", "band"], mask_side)


def reference_terms(model, params, tokenizer, record: Conversation, official: bool, own: bool) -> Terms:
    """Terms of one conversation; gradients reach the language model and every tensor of ``params``."""
    seen = []
    for path in record.images:
        blocks = block_outputs(params, pixel_values(Image.open(path), SIDE)[None], heads=2, depth=2)
        _, patches = split(blocks[-1])
        seen.append((patches, perceive(params, patches, heads=2, stages=3).queries))
    vectors = [image_tokens(params, patches, regions)[0] for patches, regions in seen]
    if official and vectors:
        vectors = [torch.cat(vectors)]  # all images stand in one slot
    per_slot = len(vectors[0]) if vectors else 0
    turns = [(turn.question, turn.answer) for turn in record.turns]
    ids, labels = encode(tokenizer, turns, len(vectors), official)
    embeds = splice(model.language.model.embed_tokens.weight, ids, vectors)
    output = model.language(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
    text = token_entropies(output.logits[0].double(), expand(labels, ids, per_slot, IGNORED))

    places = [
        expanded_position(ids, index, per_slot)
        for index, token in enumerate(ids)
        if FIRST_CODE <= token < FIRST_CODE + CODES
    ]
    zero = torch.zeros((), dtype=torch.float64)
    if not places:
        return Terms(text.sum(), zero, zero, len(text), 0)
    states = output.hidden_states[-1][:, [place if own else place - 1 for place in places]]
    masks = perceive(params, seen[0][0], 2, 3, text_to_image(params, states)).masks[-1][0]
    pixels = [torch.tensor(np.asarray(Image.open(path)) / 255.0 > 0.5).double() for (path,) in record.masks]
    dice, entropy = code_mask_losses(masks.double(), resize(torch.stack(pixels), CELLS, CELLS))
    return Terms(text.sum(), dice, entropy, len(text), len(places))


def compare(records: list[Conversation], official: bool, code_state: str = "own", atol: float = 1e-5):
    """Every term of a batch and the gradients of their sum, ours against the reference's; returns our terms."""
    model, processor = tiny_model(code_state=code_state)
    seed_every_parameter(model, seed=54)
    params = official_state(model.state_dict())
    names = ["model.token_projection.0.weight", "model.token_projection.2.bias", "model.mm_projector.0.weight"]
    for name in names:
        params[name] = params[name].detach().requires_grad_()
    parts = [
        reference_terms(model, params, processor.tokenizer, record, official, code_state == "own") for record in records
    ]
    tokens, codes = sum(part.tokens for part in parts), max(sum(part.codes for part in parts), 1)
    wanted = {
        "text": sum(part.text for part in parts) / tokens,
        "dice": sum(part.dice for part in parts) / codes,
        "entropy": sum(part.entropy for part in parts) / codes,
    }

    dataset = ConversationDataset(records, processor, max_length=2048, official=official)
    batch = collate_conversations([dataset[index] for index in range(len(records))])
    task = ConversationTask(model, trainable=("",), with_masks=True)
    ours = task.losses(batch, torch.tensor(task.count(batch)))
    for name, value in wanted.items():
        torch.testing.assert_close(ours.get(name, torch.zeros(())).double(), value, atol=atol, rtol=0.0)
    torch.testing.assert_close(ours["loss"].double(), sum(wanted.values()), atol=atol, rtol=0.0)

    shared = [model.language.lm_head.weight, model.language.model.embed_tokens.weight]
    own = [model.text_to_image[0].weight, model.text_to_image[2].bias, model.image_to_text[0].weight]
    found = torch.autograd.grad(ours["loss"], [*shared, *own], allow_unused=True)
    expected = torch.autograd.grad(
        sum(wanted.values()), [*shared, *(params[name] for name in names)], allow_unused=True
    )
    for part, target in zip(found, expected, strict=True):
        if part is None or target is None:  # a loss of zero may or may not hang on its parameters
            assert not any(gradient is not None and gradient.any() for gradient in (part, target))
        else:
            torch.testing.assert_close(part, target, atol=atol, rtol=1e-4)
    return ours


@pytest.mark.parametrize("code_state", ["own", "previous"])
def test_a_grounded_conversation(files, code_state):
    ours = compare([grounded(files)], official=True, code_state=code_state)
    assert min(ours["dice"], ours["entropy"]) > 0.1


def test_a_grounded_conversation_with_our_labels(files):
    """Masks as large as the maps: made smaller, ours are smoothed and the official ones are not."""
    compare([grounded(files, mask_side=CELLS)], official=False)


@pytest.mark.parametrize("official", [True, False], ids=["one slot", "a slot each"])
def test_two_images(files, official):
    record = conversation(files, ["first", "second"], [("Compare.", "Alike.")])
    ours = compare([record], official)
    assert ours["loss"] == ours["text"]


@pytest.mark.slow
def test_a_ragged_batch_is_the_mean_over_its_tokens_and_codes(files):
    """Lengths, images and codes differ; the reference reads each conversation alone and so needs no padding."""
    records = [
        conversation(files, ["second"], [("Where?", "[M5_0]")], ["corner"]),
        conversation(files, [], [("Which organ is this about?", "None at all, for there is no picture.")]),
        conversation(files, ["second", "first"], [("Compare.", "Alike.")]),
        grounded(files),
    ]
    compare(records, official=True)


def test_only_empty_masks_teach_nothing_but_words(files):
    ours = compare([conversation(files, ["first"], [("Where?", "[M5_0]")], ["nothing"])], official=True)
    assert ours["loss"] == ours["text"]


@pytest.mark.parametrize("images", [0, 1, 3])
@pytest.mark.parametrize("official", [True, False], ids=["one slot", "a slot each"])
def test_positions_and_labels_of_a_sample(files, official, images):
    _, processor = tiny_model()
    turns = [("Look.\nThere.", "Seen."), ("Well?", "Well.")]
    record = conversation(files, ["first"] * images, turns)
    sample = ConversationDataset([record], processor, max_length=2048, official=official)[0]
    slots = min(images, 1) if official else images
    ids, labels = encode(processor.tokenizer, turns, slots, official)
    assert len(sample["input_ids"]) == len(ids) + TOKENS * images - slots
    per_slot = TOKENS * images // max(slots, 1)
    assert sample["input_ids"].tolist() == expand(ids, ids, per_slot, IMAGE)
    assert sample["labels"].tolist() == expand(labels, ids, per_slot, IGNORED)
