"""Reference of the training text and its label mask: section 4 of the specification ("Chat format", "Labels").

A conversation is a list of (question, answer) turns. The authors give all images of a sample one slot in training; with
several slots each is a marker and a newline, as in their chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reference.chat import IMAGE

IGNORED = -100


def training_turns(conversation: Sequence[tuple[str, str]], slots: int) -> list[tuple[str, str]]:
    """(role, text) of every turn; the text's own image markers are dropped, the slots stand first."""
    turns = [("system", "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")]
    for number, (question, answer) in enumerate(conversation):
        marks = "<image>\n" * slots if number == 0 else ""
        question = question.replace("<image>", "")
        turns.append(("user", f"<|im_start|>user\n{marks}{question}<|im_end|>\n"))
        turns.append(("assistant", f"<|im_start|>assistant\n{answer}<|im_end|>\n"))
    return turns


def tokenise(tokenizer: Any, text: str) -> list[int]:
    """Ids of one turn; a marker is one token of its own, so the text is cut there and nowhere else."""
    ids: list[int] = []
    for number, piece in enumerate(text.split("<image>")):
        ids += [IMAGE] if number else []
        ids += tokenizer(piece, add_special_tokens=False)["input_ids"]
    return ids


def encode(
    tokenizer: Any, conversation: Sequence[tuple[str, str]], slots: int, official: bool
) -> tuple[list[int], list[int]]:
    """Ids and labels, the image slots not yet expanded.

    Every token of an assistant turn is supervised, header and final newline included. The official policy also
    supervises the newline and the two control tokens wherever else they stand.
    """
    everywhere = {
        *tokenizer("\n", add_special_tokens=False)["input_ids"],
        tokenizer.convert_tokens_to_ids("<|im_start|>"),
        tokenizer.convert_tokens_to_ids("<|im_end|>"),
    }
    ids: list[int] = []
    labels: list[int] = []
    for role, text in training_turns(conversation, slots):
        for token in tokenise(tokenizer, text):
            supervised = role == "assistant" or (official and token in everywhere)
            ids.append(token)
            labels.append(token if supervised else IGNORED)
    return ids, labels


def expand(values: Sequence[int], ids: Sequence[int], tokens_in_slot: int, filling: int) -> list[int]:
    """``values`` beside ``ids``, with ``filling`` for each image token in the place of a slot's one value."""
    expanded: list[int] = []
    for value, token in zip(values, ids, strict=True):
        expanded += [filling] * tokens_in_slot if token == IMAGE else [value]
    return expanded
