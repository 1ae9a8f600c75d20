"""Ids and label mask of a training conversation against the reference, both policies (section 10, test 7)."""

import pytest
from reference.chat import IMAGE
from reference.labels import IGNORED, encode, expand
from tiny_model import tiny_config, tiny_tokenizer

from medsight_core.data.encoding import encode_conversation, spliced_length
from medsight_core.data.records import Turn
from medsight_core.model.medsight import IMAGE_SENTINEL
from medsight_core.model.processor import MedSightProcessor

CONVERSATION = [
    ("Here is a slice.\n\nOutline the liver.\nPlease.", "The liver is\nsegmented as [M0_16]."),
    ("And the spleen?", "[M0_7]"),
]


@pytest.fixture(scope="module")
def processor() -> MedSightProcessor:
    """One token a byte, but two newlines are joined, as real tokenizers do: the pair is not "the newline"."""
    config = tiny_config()
    tokenizer = tiny_tokenizer(config.codebook_config.code_tokens)
    tokenizer.add_tokens(["\n\n"])
    return MedSightProcessor(config, tokenizer)


def encoded(processor, slots: int, official: bool, conversation=CONVERSATION):
    turns = [Turn(question, answer) for question, answer in conversation]
    return encode_conversation(processor, turns, slots, official_labels=official)


def learned(processor, official: bool) -> str:
    """The text of the supervised tokens of the two turns."""
    labels = [label for label in encoded(processor, 1, official).labels if label != IGNORED]
    return processor.tokenizer.decode(labels)


@pytest.mark.parametrize("official", [True, False], ids=["official", "ours"])
@pytest.mark.parametrize("slots", [0, 1, 3])
def test_ids_and_labels(processor, slots, official):
    ours = encoded(processor, slots, official)
    ids, labels = encode(processor.tokenizer, CONVERSATION, slots, official)
    assert IMAGE_SENTINEL == IMAGE
    assert ids.count(IMAGE) == slots
    assert processor.tokenizer.convert_tokens_to_ids("\n\n") in ids, "the example must hold a joined newline"
    assert ours.ids == ids
    assert ours.labels == labels


def test_our_labels_are_the_assistant_turns(processor):
    assert learned(processor, official=False) == (
        "<|im_start|>assistant\nThe liver is\nsegmented as [M0_16].<|im_end|>\n"
        "<|im_start|>assistant\n[M0_7]<|im_end|>\n"
    )


def test_official_labels_add_control_tokens_and_single_newlines_of_the_other_turns(processor):
    assert learned(processor, official=True) == (
        "<|im_start|>\n<|im_end|>\n"  # system
        "<|im_start|>\n\n\n<|im_end|>\n"  # after "user", after the image, before "Please"; not the joined two
        "<|im_start|>assistant\nThe liver is\nsegmented as [M0_16].<|im_end|>\n"
        "<|im_start|>\n<|im_end|>\n"
        "<|im_start|>assistant\n[M0_7]<|im_end|>\n"
    )


@pytest.mark.parametrize("official", [True, False], ids=["official", "ours"])
def test_image_markers_in_the_text_make_no_slot(processor, official):
    marked = [("Here is<image> a slice.", "Yes."), ("<image>\nAnd now?", "Still.")]
    ours = encoded(processor, 1, official, marked)
    assert (ours.ids, ours.labels) == encode(processor.tokenizer, marked, 1, official)
    assert ours.ids.count(IMAGE) == 1


@pytest.mark.parametrize(("slots", "tokens"), [(0, 596), (1, 596), (3, 596), (1, 3 * 596)])
def test_spliced_length(processor, slots, tokens):
    """The last case is the official one for three images: one slot holds them all."""
    ours = encoded(processor, slots, official=True)
    text = sum(token != IMAGE for token in ours.ids)
    assert spliced_length(ours, tokens) == text + tokens * slots
    assert spliced_length(ours, tokens) == len(expand(ours.labels, ours.ids, tokens, IGNORED))


def test_no_label_stands_on_an_image_slot(processor):
    for official in (True, False):
        ours = encoded(processor, 2, official)
        assert [label for token, label in zip(ours.ids, ours.labels, strict=True) if token == IMAGE] == [IGNORED] * 2
