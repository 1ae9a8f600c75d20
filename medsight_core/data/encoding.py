"""A conversation as token ids with labels: what the language model reads, and which of it it must learn to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medsight_core.data.records import Turn
from medsight_core.model.medsight import IMAGE_SENTINEL
from medsight_core.model.processor import END, MedSightProcessor

IGNORED = -100  # label of what is not learned


@dataclass(frozen=True)
class EncodedConversation:
    """ids: tokens, one `IMAGE_SENTINEL` per image slot. labels: the ids to be learned, `IGNORED` elsewhere."""

    ids: list[int]
    labels: list[int]


def encode_conversation(
    processor: MedSightProcessor, turns: Sequence[Turn], num_images: int, official_labels: bool = False
) -> EncodedConversation:
    """Ids and labels of all turns, complete with the last answer (model-spec section 4).

    num_images: slots at the start of the first question.
    official_labels: teach the control tokens and newlines of the system's and the user's turns too, as the authors do;
        otherwise only what the assistant says.
    """
    scaffolding: set[int] = set()
    if official_labels:
        tokenizer = processor.tokenizer
        newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
        scaffolding = {*newline, *tokenizer.convert_tokens_to_ids(["<|im_start|>", END])}

    def unlearned(ids: list[int]) -> list[int]:
        return [token if token in scaffolding else IGNORED for token in ids]

    ids = processor.prompt_start()
    labels = unlearned(ids)
    for index, turn in enumerate(turns):
        question = processor.question_ids(turn.question, num_images if index == 0 else 0)
        answer = processor.answer_ids(turn.answer)
        ids = ids + question + answer
        labels += unlearned(question) + answer
    return EncodedConversation(ids, labels)


def spliced_length(encoded: EncodedConversation, image_tokens: int) -> int:
    """Positions that the conversation fills when every image slot holds ``image_tokens``."""
    slots = encoded.ids.count(IMAGE_SENTINEL)
    return len(encoded.ids) + slots * (image_tokens - 1)
