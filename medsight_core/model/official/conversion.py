"""What becomes of every tensor of the authors' files, decided from names and shapes before a number is read.

Each of our tensors needs an origin whose sources are there in the right shapes, and each of theirs is used or left out
for a stated reason; anything else is a `Fault`. It opens and writes no file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from medsight_core.errors import ModelError
from medsight_core.model.official.checkpoints import Checkpoint
from medsight_core.model.official.origins import Origin, Shape

KINDS = MISSING, UNEXPECTED, MISSHAPEN = "missing", "unexpected", "wrong shape"


@dataclass(frozen=True)
class Part:
    """Our tensors that come from one checkpoint.

    origins: by our name. drops: reasons by pattern of an official name.
    official: whether the tensors are the authors'; new ones fit by themselves, and nobody needs to be told of each.
    """

    checkpoint: Checkpoint
    origins: Mapping[str, Origin]
    drops: Mapping[str, str] = field(default_factory=dict)
    official: bool = True


@dataclass(frozen=True)
class Mapped:
    """An official tensor that is used, and what it becomes (a part of). source: the file or folder it is in."""

    key: str
    source: Path
    shape: Shape
    ours: tuple[str, ...]


@dataclass(frozen=True)
class Dropped:
    """An official tensor that is left out on purpose."""

    key: str
    source: Path
    reason: str


@dataclass(frozen=True)
class Fault:
    """An official tensor that is not as it must be.

    kind: one of `KINDS`. why: what is wrong, in a few words. fact, advice: the same as a clause, and what to do.
    similar: names among which the one that was meant may be.
    """

    kind: str
    key: str
    file: Path
    why: str
    fact: str
    advice: str
    similar: Collection[str] = ()

    @property
    def sentence(self) -> str:
        """What is wrong, with the nearest name (looked for only now, because that is slow), and what to do."""
        near = difflib.get_close_matches(self.key, self.similar, n=1, cutoff=0.0)
        hint = f" (the nearest name is {near[0]!r})" if near else ""
        return f"{self.fact}{hint}: {self.advice}."


class Conversion:
    """The fate of every tensor of some checkpoints, and our tensors on demand.

    parts: the checkpoints with what is wanted of them. shapes: of all our tensors, by name.
    """

    def __init__(self, parts: Sequence[Part], shapes: Mapping[str, Shape]) -> None:
        self.parts = tuple(parts)
        self.shapes = dict(shapes)
        self.mapped: list[Mapped] = []
        self.dropped: list[Dropped] = []
        self.faults: list[Fault] = []
        self._origin = {name: part for part in parts for name in part.origins}
        if unmade := self.shapes.keys() ^ self._origin.keys():
            raise ValueError(f"No origin, or no place, for {sorted(unmade)[0]}.")
        for part in parts:
            if part.official:
                self._judge(part)
        # What is missing comes first: a size that it would have told may make the shapes of others look wrong.
        self.faults.sort(key=lambda fault: KINDS.index(fault.kind))

    @property
    def names(self) -> list[str]:
        """Our names in the order of the parts, so that each checkpoint is read in one go."""
        return list(self._origin)

    def check(self) -> None:
        """Raise ModelError for the first fault: with its key, its file and the nearest known key."""
        if not self.faults:
            return
        sentence, count = self.faults[0].sentence, len(self.faults)
        more = "" if count == 1 else f" ({count} tensors are wrong; --dry-run lists them all.)"
        raise ModelError(sentence + more)

    def make(self, name: str, dtype: torch.dtype) -> Tensor:
        """One of our tensors. Raises KeyError for a name that is not ours."""
        part = self._origin[name]
        return part.origins[name].make(part.checkpoint.read, self.shapes[name], dtype)

    def _judge(self, part: Part) -> None:
        checkpoint, found, users = part.checkpoint, part.checkpoint.shapes, _users(part.origins)
        unknown = []
        for key in found:
            if key in users:
                continue
            reason = next((why for pattern, why in part.drops.items() if re.fullmatch(pattern, key)), None)
            if reason is None:
                unknown.append(key)
            else:
                self.dropped.append(Dropped(key, checkpoint.path, reason))
        self.faults += [_unexpected(key, checkpoint, users) for key in unknown]
        for key, ours in users.items():
            if key not in found:
                self.faults.append(_missing(key, checkpoint, unknown or list(found)))
                continue
            origin = part.origins[ours[0]]
            needs = origin.needs(self.shapes[ours[0]], tuple(found.get(source, ()) for source in origin.sources))
            needed = needs[origin.sources.index(key)]
            if found[key] == needed:
                self.mapped.append(Mapped(key, checkpoint.path, needed, ours))
            else:
                self.faults.append(_misshapen(key, checkpoint, needed))


def _users(origins: Mapping[str, Origin]) -> dict[str, tuple[str, ...]]:
    """Our names by the official one that they are made of."""
    users: dict[str, tuple[str, ...]] = {}
    for ours, origin in origins.items():
        for source in origin.sources:
            users[source] = (*users.get(source, ()), ours)
    return users


def _missing(key: str, checkpoint: Checkpoint, present: Collection[str]) -> Fault:
    fact = f"{checkpoint.path} lacks {key!r}"
    return Fault(MISSING, key, checkpoint.path, "it is needed", fact, "use the authors' complete file", present)


def _unexpected(key: str, checkpoint: Checkpoint, known: Collection[str]) -> Fault:
    file = checkpoint.files[key]
    fact = f"{file} holds {key!r}, which MedSIGHT does not know"
    return Fault(UNEXPECTED, key, file, "MedSIGHT does not know it", fact, "use the authors' unchanged file", known)


def _misshapen(key: str, checkpoint: Checkpoint, needed: Shape) -> Fault:
    file, why = checkpoint.files[key], f"{_written(checkpoint.shapes[key])} where {_written(needed)} is needed"
    advice = "use files that belong together, or give sizes that are not the official ones with --size-overrides"
    return Fault(MISSHAPEN, key, file, why, f"{key!r} in {file} is {why}", advice)


def _written(shape: Shape) -> str:
    return " x ".join(str(length) for length in shape) or "a single number"
