"""Sequences whose items are read when they are asked for: slices and selections stay lazy.

Knows nothing of files.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, Union, overload

T = TypeVar("T")


class LazySequence(Sequence[T]):
    """A sequence that reads item by item; a slice of it is a `Selection` that has read nothing yet."""

    @abstractmethod
    def read(self, index: int) -> T:
        """The item of an index 0 <= index < len."""

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Selection[T]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[T, Selection[T]]:
        """The item of an index, from the end when it is negative (IndexError beyond), or a lazy slice."""
        places = range(len(self))[index]
        return Selection(self, places) if isinstance(places, range) else self.read(places)


class Selection(LazySequence[T]):
    """Some items of another sequence, in the order of ``places``."""

    def __init__(self, source: Sequence[T], places: Sequence[int]) -> None:
        self.source, self.places = source, places

    def __len__(self) -> int:
        """Number of items selected."""
        return len(self.places)

    def read(self, index: int) -> T:
        """The selected item of an index."""
        return self.source[self.places[index]]
