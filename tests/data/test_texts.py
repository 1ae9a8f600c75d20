"""Written sentences: what is read of the files, and that each of them is a sentence of its own."""

from __future__ import annotations

import pytest

from medsight_core.data.texts import lines, sections
from medsight_core.engine.wording import find_codes


def test_lines_are_read_without_empty_ones_and_sections_by_their_headings():
    assert len(lines("off_topic")) > 1000
    assert all(line == line.strip() != "" for line in lines("off_topic"))
    assert "right now" not in sections("follow_ups")
    assert set(sections("descriptions")) >= {"liver", "thalamus", "fetal head"}
    assert not any(line.startswith("[") for forms in sections("reasons").values() for line in forms)


@pytest.mark.parametrize("name", ["off_topic", "asks", "lists"])
def test_each_line_stands_once(name):
    assert len(set(lines(name))) == len(lines(name))


@pytest.mark.parametrize("name", ["asks", "lists"])
def test_frames_have_room_for_what_is_asked_for_and_tell_nothing_of_it(name):
    for line in lines(name):
        assert "{x}" in line or "{n}" in line
        assert line.format(x="the liver", n="liver", it="it", be="is")
        assert not find_codes(line)
