"""A file of conversations grows line by line and can be gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from coded_builders import coded_images

from medsight_core.data.coded import CodedImage
from medsight_core.data.converse import write_conversations
from medsight_core.data.converse_by_template import TemplateAuthor
from medsight_core.data.records import Conversation, Conversations, Turn
from medsight_core.errors import InputError


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[CodedImage]:
    return coded_images(tmp_path_factory.mktemp("coded"))


@pytest.fixture
def write(images, tmp_path):
    """Writes to ``talk.jsonl`` with another number of conversations or author."""

    def run(author=None, per_image=3, **options):
        root = images[0].path.parents[1]
        author = author or TemplateAuthor(images, 0)
        return write_conversations(images, author, tmp_path / "talk.jsonl", root, per_image, **options)

    return run


def test_what_is_counted_is_what_is_in_the_file(images, write, tmp_path):
    fractions = []
    written = write(report=fractions.append)
    talk = list(Conversations(tmp_path / "talk.jsonl", images[0].path.parents[1]))
    assert len(talk) == written.conversations == 3 * len(images)
    assert len({conversation.id for conversation in talk}) == len(talk)
    assert written.turns == sum(len(conversation.turns) for conversation in talk)
    assert written.masks == sum(len(conversation.codes) for conversation in talk)
    answers = [turn.answer for conversation in talk for turn in conversation.turns]
    assert written.lacking == sum("not seen" in answer for answer in answers)
    assert written.requests == sum("not seen" in answer or "[M" in answer for answer in answers)
    assert (written.kept, written.left_out) == (0, 0)
    assert len(fractions) == len(images)
    assert fractions[-1] == 1


def test_going_on_gives_the_same_file_wherever_it_was_stopped(write, tmp_path):
    out = tmp_path / "talk.jsonl"
    write()
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept, rest in (
        (0, b""),
        (0, lines[0].rstrip(b"\n")),
        (5, b""),
        (5, lines[5][:40]),
        (5, lines[5].rstrip(b"\n")),
        (len(lines), b""),
    ):
        out.write_bytes(b"".join(lines[:kept]) + rest)
        written = write()
        assert out.read_bytes() == whole
        assert (written.kept, written.conversations) == (kept, len(lines) - kept)
    more = write(per_image=4)
    assert more.kept == len(lines)
    assert out.read_bytes().startswith(whole)


class Moody:
    """Writes all but the first conversation about an image, and fails after so many calls."""

    def __init__(self, after: int = 1000) -> None:
        self.left = after

    def write(self, image: CodedImage, number: int) -> Conversation | None:
        self.left -= 1
        if self.left < 0:
            raise InputError("Enough.")
        return Conversation(f"{image.id}-{number}", (image.path,), (Turn("Hello", "Hello"),)) if number else None


def test_what_the_author_leaves_out_is_counted_and_tried_again(images, write, tmp_path):
    written = write(Moody())
    assert (written.conversations, written.left_out) == (2 * len(images), len(images))
    assert written.requests == written.masks == 0
    again = write()
    assert (again.conversations, again.kept) == (len(images), 2 * len(images))


def test_what_was_written_before_an_error_stays(write, tmp_path):
    with pytest.raises(InputError, match="Enough"):
        write(Moody(after=5))
    assert [json.loads(line)["id"] for line in (tmp_path / "talk.jsonl").open()] == ["ct/00-1", "ct/00-2", "ct/01-1"]


def test_requests_that_cannot_be_met_are_refused(images, write, tmp_path):
    with pytest.raises(InputError, match="0 conversations an image cannot be written: give 1 or more"):
        write(per_image=0)
    with pytest.raises(InputError, match=r"'talk.json' does not end in .jsonl: conversations are written one record"):
        write_conversations(images, Moody(), Path("talk.json"), tmp_path, 1)
    for foreign in (b'{"id": "a", "masks": []}\n', b"a,b\n1,2", b"\x89PNG\r\n\x1a\n", b"[]\n", b'{"id": 1}', b"x"):
        (tmp_path / "talk.jsonl").write_bytes(foreign)
        with pytest.raises(InputError, match=r"Line 1 of '.*talk.jsonl' is not a conversation: give the name of a new"):
            write()
        assert (tmp_path / "talk.jsonl").read_bytes() == foreign  # another file is left as it was
