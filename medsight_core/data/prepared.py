"""Data that an operator prepared for the stages of training: a folder of a name, and what its files are called."""

from __future__ import annotations

from pathlib import Path

from medsight_core.errors import NotFoundError
from medsight_core.protocol import check_id

META, CONVERSATIONS = "meta.json", "conversations.jsonl"  # labelled images as of `biomedparse`; `records`


def prepared(folder: Path, name: str) -> Path:
    """The folder of a name below the one of all prepared data.

    Raises InputError for a name that could lead elsewhere, NotFoundError, with the names that there are, for another.
    """
    found = folder / check_id(name, "name of prepared data")
    if not any((found / file).is_file() for file in (META, CONVERSATIONS)):
        there = {path.parent.name for file in (META, CONVERSATIONS) for path in folder.glob(f"*/{file}")}
        raise NotFoundError(
            f"There is no prepared data of this name: use one of {', '.join(sorted(there)) or 'none'}, or put a folder "
            f"with {META} or {CONVERSATIONS} there."
        )
    return found
