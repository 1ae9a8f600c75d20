"""Conversations about images, as the published training files hold them (model-spec section 5).

PubMedVision's files have the same fields without masks. Knows fields, roles and codes; reads no pixels.

A record::

    {"id": "ct-000123",
     "image": "ct/slice88.png",                          one name, a list of them, or null
     "conversations": [{"from": "human", "value": "Outline the liver."},
                       {"from": "assistant", "value": "Liver: [M0_16]."}],
     "mask_orders": [871],                               one mask for each code, in the text's order
     "mask_files": {"871": "ct_mask/slice88_liver.png"}, one name, or a list whose union is the mask; [] if it is empty
     "mask_codes": {"871": "M0_16"},                     what each mask's code should be
     "mask_names": {"871": "liver"}}                     what each mask shows, where it is known; ours
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from medsight_core.data.images import inside, relative
from medsight_core.data.record_file import RecordFile
from medsight_core.data.sequence import LazySequence
from medsight_core.errors import InputError

CODE = re.compile(r"\[(M\d+_\d+)\]")
MODALITIES, CODES_PER_MODALITY = 18, 32  # of the published codebook (model-spec 3.1)
MAX_IMAGES = 4  # that the authors keep of a record

_QUESTIONS, _ANSWERS = ("human", "user"), ("gpt", "assistant")


@dataclass(frozen=True)
class Turn:
    """A question and its answer; the answer holds region codes such as "[M0_16]"."""

    question: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """A record, its files below one folder.

    images: at most `MAX_IMAGES`; none when it is about text only.
    masks: for each code over all turns the files whose union is its mask; no files where nothing is to be outlined.
    codes: names without brackets ("M0_16") in the order in which the turns hold them.
    names: of what each code stands for, "" where the record does not say.
    """

    id: str
    images: tuple[Path, ...]
    turns: tuple[Turn, ...]
    masks: tuple[tuple[Path, ...], ...] = ()
    codes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Conversations(LazySequence[Conversation]):
    """The conversations of a ``.json`` or ``.jsonl`` file, parsed when they are asked for.

    root: folder that the files' names start from; the file's own folder when None.
    A record without an id is known by its number. Errors name the file and the record.
    """

    def __init__(self, path: Union[str, Path], root: Union[str, Path, None] = None) -> None:
        self.records = RecordFile(path)
        self.root = self.records.path.parent if root is None else Path(root)

    def __len__(self) -> int:
        """Number of conversations."""
        return len(self.records)

    def __iter__(self) -> Iterator[Conversation]:
        """All conversations in order, through one opening of the file."""
        for index, record in enumerate(self.records):
            yield self._parse(index, record)

    def read(self, index: int) -> Conversation:
        """The conversation of an index. Raises InputError for one that `parse_conversation` refuses."""
        return self._parse(index, self.records[index])

    def _parse(self, index: int, record: dict[str, Any]) -> Conversation:
        try:
            return parse_conversation({"id": index, **record}, self.root)
        except InputError as error:
            raise InputError(f"Record {index} of '{self.records.path}': {error}") from error


def parse_conversation(record: Mapping[str, Any], root: Union[str, Path]) -> Conversation:
    """The conversation in a record whose file names start from ``root``.

    Image placeholders are taken out of the text; images beyond `MAX_IMAGES` are left out, as the authors do.
    Raises InputError, naming the record's id, for missing or wrong fields, names that leave ``root``, and another
    number of masks than of codes.
    """
    name = str(record.get("id"))
    turns = _turns(record.get("conversations"), name)
    codes = tuple(code for turn in turns for code in CODE.findall(f"{turn.question}\n{turn.answer}"))
    masks = tuple(tuple(inside(root, file) for file in files) for files in _mask_files(record, name))
    if len(codes) != len(masks):
        raise InputError(
            f"{name!r} has {len(codes)} region codes ({', '.join(codes) or 'none'}) and {len(masks)} masks: "
            "list one mask a code in mask_orders, in the order of the text."
        )
    images = _names(record.get("image") or [], "image", name)[:MAX_IMAGES]
    said = record.get("mask_names") or {}
    shown = tuple(str(said.get(str(mask), "")) for mask in record.get("mask_orders") or []) if said else ()
    return Conversation(name, tuple(inside(root, image) for image in images), turns, masks, codes, shown)


def to_record(conversation: Conversation, root: Union[str, Path]) -> dict[str, Any]:
    """The record that `parse_conversation` reads as this conversation; masks are numbered in their order.

    Raises InputError for a file outside ``root``.
    """
    images = [relative(root, path) for path in conversation.images]
    record: dict[str, Any] = {
        "id": conversation.id,
        "image": images if len(images) > 1 else next(iter(images), None),
        "conversations": [
            {"from": role, "value": text}
            for turn in conversation.turns
            for role, text in (("human", turn.question), ("assistant", turn.answer))
        ],
    }
    if conversation.masks:
        files = [[relative(root, path) for path in paths] for paths in conversation.masks]
        record["mask_orders"] = list(range(len(files)))
        record["mask_files"] = {str(n): paths[0] if len(paths) == 1 else paths for n, paths in enumerate(files)}
        record["mask_codes"] = {str(n): code for n, code in enumerate(conversation.codes)}
    if any(conversation.names):
        record["mask_names"] = {str(n): name for n, name in enumerate(conversation.names)}
    return record


def split_code(code: str) -> tuple[int, int]:
    """Modality and number of a code: (0, 16) of "M0_16"."""
    modality, number = code[1:].split("_")
    return int(modality), int(number)


def _turns(messages: Any, name: str) -> tuple[Turn, ...]:
    if not isinstance(messages, list) or not messages or len(messages) % 2:
        raise InputError(f"{name!r} is not questions and answers by turns: give one answer to each question.")
    texts = []
    for number, message in enumerate(messages):
        roles = _ANSWERS if number % 2 else _QUESTIONS
        role, text = (message.get("from"), message.get("value")) if isinstance(message, dict) else (None, None)
        if role not in roles or not isinstance(text, str):
            raise InputError(
                f"Message {number} of {name!r} is from {role!r}: it should be a text from {' or '.join(roles)}."
            )
        texts.append(text.replace("<image>", "").strip() if "<image>" in text else text)
    return tuple(Turn(question, answer) for question, answer in zip(texts[::2], texts[1::2]))


def _mask_files(record: Mapping[str, Any], name: str) -> Iterator[list[str]]:
    """The files of each mask, in the order of the masks."""
    order, files = record.get("mask_orders") or [], record.get("mask_files") or {}
    if not isinstance(order, list):
        raise InputError(f"{name!r} has {order!r} in mask_orders: give a list of masks.")
    if not isinstance(files, dict):
        raise InputError(f"{name!r} has {files!r} in mask_files: give an object of files by mask.")
    for mask in order:
        if files.get(str(mask)) in (None, ""):
            raise InputError(f"{name!r} lists the mask {mask} and gives no file for it: add it to mask_files.")
        yield _names(files[str(mask)], "mask_files", name)


def _names(value: Any, field: str, name: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(file, str) for file in names):
        raise InputError(f"{name!r} has {value!r} in {field}: give a file name or a list of them.")
    return names
