"""How one of our tensors is made of official ones: as it is, a third of it, a stack, with rows replaced, or resized.

Each origin names its sources, says which shapes they must have to give a tensor of ours, and makes it. It knows nothing
of files; which origin belongs to which name is `names`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]
Read = Callable[[str], Tensor]


class Origin(Protocol):
    """What every origin offers."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Official names of the tensors that are needed."""

    def needs(self, shape: Shape, found: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """The shapes that the sources must have to give ours of ``shape``; found: those that they have."""

    def make(self, read: Read, shape: Shape, dtype: torch.dtype) -> Tensor:
        """Our tensor of ``shape`` and ``dtype``; ``read`` gives a source, which may be a view of a file."""


@dataclass(frozen=True)
class Copy:
    """The official tensor as it is."""

    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        """See `Origin`."""
        return (self.source,)

    def needs(self, shape: Shape, found: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """See `Origin`."""
        return (shape,)

    def make(self, read: Read, shape: Shape, dtype: torch.dtype) -> Tensor:
        """See `Origin`."""
        return read(self.source).to(dtype).contiguous()


@dataclass(frozen=True)
class Third(Copy):
    """One of the three equal parts of packed query, key and value weights; ``part`` is 0, 1 or 2."""

    part: int

    def needs(self, shape: Shape, found: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """See `Origin`."""
        return ((3 * shape[0], *shape[1:]),)

    def make(self, read: Read, shape: Shape, dtype: torch.dtype) -> Tensor:
        """See `Origin`."""
        return read(self.source).chunk(3)[self.part].to(dtype, copy=True)


@dataclass(frozen=True)
class Positions(Copy):
    """A learned position table (1 + n * n, D), class position first, resized when the image has another grid."""

    def needs(self, shape: Shape, found: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """See `Origin`; any square grid will do."""
        rows = found[0][0] if found[0] else 0
        square = rows > 1 and math.isqrt(rows - 1) ** 2 == rows - 1
        return ((rows if square else shape[0], *shape[1:]),)

    def make(self, read: Read, shape: Shape, dtype: torch.dtype) -> Tensor:
        """See `Origin`; bicubic as OpenCLIP does it (model-spec section 1)."""
        table = read(self.source)
        if len(table) == shape[0]:
            return table.to(dtype, copy=True)
        old, new = math.isqrt(len(table) - 1), math.isqrt(shape[0] - 1)
        grid = table[1:].float().T.unflatten(1, (old, old))[None]  # (1, D, old, old)
        grid = F.interpolate(grid, size=(new, new), mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([table[:1].float(), grid[0].flatten(1).T]).to(dtype)


@dataclass(frozen=True)
class Stack:
    """Official tensors of one shape, stacked in order."""

    sources: tuple[str, ...]

    def needs(self, shape: Shape, found: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """See `Origin`."""
        return (shape[1:],) * len(self.sources)

    def make(self, read: Read, shape: Shape, dtype: torch.dtype) -> Tensor:
        """See `Origin`."""
        return torch.stack([read(source).to(dtype) for source in self.sources])


@dataclass(frozen=True)
class Override:
    """A base table whose ``count`` rows from ``first`` on come from another one (stage-4 checkpoints)."""

    base: str
    rows: str
    first: int
    count: int

    @property
    def sources(self) -> tuple[str, ...]:
        """See `Origin`."""
        return (self.base, self.rows)

    def needs(self, shape: Shape, found: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """See `Origin`."""
        return (shape, (self.count, *shape[1:]))

    def make(self, read: Read, shape: Shape, dtype: torch.dtype) -> Tensor:
        """See `Origin`."""
        table = read(self.base).to(dtype, copy=True)
        table[self.first : self.first + self.count] = read(self.rows)
        return table
