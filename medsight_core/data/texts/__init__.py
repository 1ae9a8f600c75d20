"""Sentences and names as people write them, in plain files: too many for tables in the code.

Written by hand, a line each. A line in brackets is the heading of those that follow it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def lines(name: str) -> tuple[str, ...]:
    """The lines of one of these files, without empty ones."""
    text = Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


@cache
def sections(name: str) -> dict[str, tuple[str, ...]]:
    """The lines of one of these files under each of its headings."""
    found: dict[str, list[str]] = {}
    for line in lines(name):
        if line.startswith("[") and line.endswith("]"):
            under = found.setdefault(line[1:-1], [])
        else:
            under.append(line)
    return {heading: tuple(under) for heading, under in found.items()}
