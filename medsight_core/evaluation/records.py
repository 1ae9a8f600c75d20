"""Records of a benchmark's files, however they are stored, and the sentences for records that cannot be used.

Knows JSON, JSON lines and parquet; knows no benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsight_core.data.images import inside
from medsight_core.data.record_file import RecordFile
from medsight_core.errors import InputError, NotFoundError


@dataclass(frozen=True)
class Record:
    """One record: its fields, its number in its file (from 0), the file, and the folder that file names start from."""

    fields: Mapping[str, Any]
    number: int
    file: Path
    root: Path

    def text(self, name: str) -> str:
        """A field as text, without blanks around it; numbers become text. Raises InputError when it is neither."""
        value = self.fields.get(name)
        if not isinstance(value, (str, int, float)) or isinstance(value, bool) or not str(value).strip():
            raise InputError(f"its field {name!r} is {value!r} where a text is expected.")
        return str(value).strip()

    def optional(self, name: str, default: str) -> str:
        """`text`, or ``default`` for a record without the field."""
        return default if self.fields.get(name) is None else self.text(name)

    def sequence(self, name: str) -> Sequence[Any]:
        """A field that is a list. Raises InputError when it is not."""
        value = self.fields.get(name)
        if not isinstance(value, list):
            raise InputError(f"its field {name!r} is {value!r} where a list is expected.")
        return value

    def path(self, *parts: str) -> Path:
        """A file below the root. Raises InputError for a name that leads out of it, NotFoundError without the file."""
        path = inside(self.root, "/".join(parts))
        if not path.is_file():
            raise NotFoundError(f"its file '{path}' is missing.")
        return path

    def __str__(self) -> str:
        """Where the record is, for the person who must repair it."""
        known = next((self.fields[key] for key in ("qid", "qa_id", "question_id", "id") if key in self.fields), None)
        return f"Record {self.number} of '{self.file}'" + (f" (id {known})" if known is not None else "")


def records(path: Path, root: Path, unpack: Path, key: str | None = None) -> Iterator[Record | InputError]:
    """The records of a file in order; an InputError stands for one that is not a JSON object.

    root: folder that file names start from; those of a parquet file, whose pictures are in it, are below ``unpack``.
    key: read the list under this key of a JSON file.
    Raises InputError for a file that cannot be used at all.
    """
    if path.suffix == ".parquet":
        yield from (
            Record(_unpacked(row, number, path, unpack), number, path, unpack)
            for number, row in enumerate(_parquet(path))
        )
        return
    source = RecordFile(path, key)
    for number in range(len(source)):
        try:
            yield Record(source[number], number, path, root)
        except InputError as error:
            yield error


def find(root: Path, *patterns: str) -> list[Path]:
    """The files below a folder that match the first pattern that any matches, sorted.

    Raises NotFoundError when none does.
    """
    for pattern in patterns:
        if found := sorted(path for path in root.glob(pattern) if path.is_file()):
            return found
    raise NotFoundError(
        f"There is no {' or '.join(patterns)} in '{root}': lay the benchmark out as docs/evaluation.md shows."
    )


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow.parquet import read_table
    except ImportError as error:
        raise InputError(
            f"'{path}' needs pyarrow to be read: install it with 'pip install pyarrow', or export the questions as "
            "docs/evaluation.md shows."
        ) from error
    try:
        return list(read_table(path).to_pylist())
    except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
        raise InputError(f"'{path}' cannot be read as parquet: copy the file again.") from error


def _unpacked(row: dict[str, Any], number: int, path: Path, folder: Path) -> dict[str, Any]:
    """The row with each picture in it written to ``folder`` as it is, and its place there instead."""
    fields = dict(row)
    for column, value in row.items():
        if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
            name = f"{path.parent.name}-{path.stem}/{number:06d}-{column}"
            target = inside(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(value["bytes"])
            fields[column] = name
    return fields
