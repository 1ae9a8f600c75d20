"""Conversations about coded images, written one after another into a file that can be gone on with.

Who writes them is another's business (`converse_by_template`, `converse_by_model`); this module knows which are there
already, appends each as soon as it is written, and counts what they ask.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol, Sequence

from medsight_core.data.coded import CodedImage
from medsight_core.data.records import CODE, Conversation, to_record
from medsight_core.engine.wording import absent_names
from medsight_core.errors import InputError


class Author(Protocol):
    """Writes conversation ``number`` about an image, with the id `conversation_id`; None when it cannot."""

    def write(self, image: CodedImage, number: int) -> Conversation | None:
        """See the class."""


@dataclass
class Written:
    """What `write_conversations` did.

    kept: conversations that the file held before. left_out: those that the author could not write.
    requests: turns that ask for a structure; lacking: those of them that ask for one the image does not show.
    masks: codes in all answers.
    """

    kept: int = 0
    left_out: int = 0
    conversations: int = 0
    turns: int = 0
    requests: int = 0
    lacking: int = 0
    masks: int = 0

    def count(self, conversation: Conversation) -> None:
        """Add a new conversation."""
        self.conversations += 1
        self.turns += len(conversation.turns)
        self.masks += len(conversation.codes)
        for turn in conversation.turns:
            absent = bool(absent_names(turn.answer))
            self.requests += absent or bool(CODE.search(turn.answer))
            self.lacking += absent


def write_conversations(
    images: Sequence[CodedImage],
    author: Author,
    out: Path,
    root: Path,
    per_image: int,
    report: Callable[[float], None] = lambda fraction: None,
) -> Written:
    """Append ``per_image`` conversations about each image to the ``.jsonl`` file ``out``, but for those it holds.

    root: folder that the file names in ``out`` start from. report: called with the fraction that is done.
    A line that was cut off by a crash is written anew. Raises InputError for another extension, for ``per_image`` below
    1, and for images outside ``root``; what the author raises ends the work, and what is written stays.
    """
    if out.suffix != ".jsonl":
        raise InputError(f"'{out}' does not end in .jsonl: conversations are written one record a line.")
    if per_image < 1:
        raise InputError(f"{per_image} conversations an image cannot be written: give 1 or more.")
    written, there = Written(), _ids(out)
    with out.open("a", encoding="utf-8") as file:
        for index, image in enumerate(images):
            for number in range(per_image):
                if conversation_id(image, number) in there:
                    written.kept += 1
                elif conversation := author.write(image, number):
                    file.write(json.dumps(to_record(conversation, root), ensure_ascii=False) + "\n")
                    file.flush()
                    written.count(conversation)
                else:
                    written.left_out += 1
            report((index + 1) / len(images))
    return written


def conversation_id(image: CodedImage, number: int) -> str:
    """The id of conversation ``number`` about an image."""
    return f"{image.id}-{number}"


def _ids(out: Path) -> set[str]:
    """Ids of the conversations in a file, after a last line without an end was cut off."""
    if not out.exists():
        return set()
    ids: set[str] = set()
    end = 0
    with out.open("r+b") as file:
        for number, line in enumerate(file):
            whole = line.endswith(b"\n")
            if whole or not ids:  # the first line always tells whether this is our file
                identity = _id_of(line, number, out)
            if whole:
                ids.add(identity)
                end += len(line)
        file.truncate(end)
    return ids


def _id_of(line: bytes, number: int, out: Path) -> str:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "conversations" not in record:
        raise InputError(f"Line {number + 1} of '{out}' is not a conversation: give the name of a new file.")
    return str(record.get("id"))
