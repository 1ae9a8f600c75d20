"""The perceiver's benchmark compares what is equal, on sizes that take no time."""

from __future__ import annotations

import pytest

from benchmarks import perceiver
from benchmarks.perceiver import Sizes, main, measure, table

SMALL = Sizes(width=32, grid=3, codes=2)


def test_both_ways_give_the_same_numbers():
    seconds, apart = measure(SMALL, repeats=2)
    assert list(seconds) == ["straightforward encode", "ours encode", "straightforward decode", "ours decode"]
    assert min(seconds.values()) > 0
    assert 0 < max(apart.values()) < 1e-5


def test_a_table_with_the_memory_of_processes_of_their_own(capsys):
    assert main(["--width", "32", "--grid", "3", "--codes", "2", "--repeats", "1"]) == 0
    text = capsys.readouterr().out
    assert "Width 32, 3 x 3 patches, 2 codes, float32, one thread, medians of 1" in text
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        "encode (s)", "encode and decode (s)", "peak memory, encode (MB)", "peak memory, decode (MB)",
    ]  # fmt: skip


def test_what_differs_is_not_compared(monkeypatch):
    monkeypatch.setattr(perceiver, "measure", lambda *_: ({}, {"decode": 0.1}))
    with pytest.raises(ArithmeticError, match=r"^The two ways to decode differ by 0\.1: nothing can be compared\.$"):
        table(SMALL, 1)
