"""Sequences that read nothing before an item is asked for."""

from __future__ import annotations

import pytest

from medsight_core.data.sequence import LazySequence, Selection


class Squares(LazySequence[int]):
    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 5

    def read(self, index: int) -> int:
        self.asked.append(index)
        return index * index


def test_items_are_read_by_index_from_both_ends():
    squares = Squares()
    assert (squares[3], squares[-1]) == (9, 16)
    assert squares.asked == [3, 4]
    assert list(squares) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("index", [5, -6])
def test_an_index_beyond_the_ends_is_an_index_error(index):
    squares = Squares()
    with pytest.raises(IndexError):
        squares[index]
    assert squares.asked == []


def test_slices_and_selections_read_nothing_by_themselves():
    squares = Squares()
    part = squares[1:][::2]
    chosen = Selection(part, [1, 0])
    assert (len(part), len(chosen), squares.asked) == (2, 2, [])
    assert (list(part), list(chosen)) == ([1, 9], [9, 1])
