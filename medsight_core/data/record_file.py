"""A file of JSON records, read one record at a time however large the file is.

Knows where records begin and end; knows nothing of what they mean.
"""

from __future__ import annotations

import json
import mmap
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Union

from medsight_core.data.sequence import LazySequence
from medsight_core.errors import InputError, NotFoundError

# Anything but braces; strings are stepped over whole, escapes and braces in them included.
_TEXT = rb'[^"{}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{}]*)*'
# From anywhere outside a string to behind the next brace. Objects without objects in them are stepped over whole too.
_TO_BRACE = re.compile(rb"%b(?:\{%b\}%b)*([{}])" % (_TEXT, _TEXT, _TEXT), re.DOTALL)
_LIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*")  # editors on Windows put a byte order mark before it
_NEXT = re.compile(rb"\s*([,\]])\s*")
_END = re.compile(rb"\s*\]")


class RecordFile(LazySequence[dict[str, Any]]):
    """The records of a ``.json`` file that holds one list of objects, or of a ``.jsonl`` file with one object a line.

    key: read the list under this key of a ``.json`` file that holds one object (as COCO's "annotations"); no nested
        object may have a list of the same key before it.
    One pass finds the records' bounds, 16 bytes each in memory; a record is parsed when it is asked for. Opens the file
    anew for each, so that a copy in another process, forked or pickled, reads for itself.

    Raises NotFoundError when there is no such file, InputError, naming file and record, for one that is not of this
    form. Records count from 0.
    """

    def __init__(self, path: Union[str, Path], key: str | None = None) -> None:
        self.path, self.key = Path(path), key
        if not self.path.is_file():
            raise NotFoundError(f"There is no file '{self.path}': check the path.")
        if self.path.suffix == ".jsonl":
            self._bounds = self._line_bounds()
        elif self.path.suffix == ".json":
            self._bounds = self._list_bounds()
        else:
            raise InputError(f"'{self.path}' is neither .json nor .jsonl: give records in one of these formats.")

    def __len__(self) -> int:
        """Number of records."""
        return len(self._bounds) // 2

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All records in order, through one opening of the file."""
        with self.path.open("rb") as file:
            for index in range(len(self)):
                yield self._parse(file, index)

    def read(self, index: int) -> dict[str, Any]:
        """The record of an index. Raises InputError when it is not a JSON object."""
        with self.path.open("rb") as file:
            return self._parse(file, index)

    def _parse(self, file: BinaryIO, index: int) -> dict[str, Any]:
        start, stop = self._bounds[2 * index], self._bounds[2 * index + 1]
        file.seek(start)
        text = file.read(stop - start)
        try:
            record = json.loads(text)
        except ValueError as error:  # not JSON, or not UTF-8
            raise InputError(
                f"Record {index} of '{self.path}' is not valid JSON ({error}): repair the file."
            ) from error
        if not isinstance(record, dict):
            self._refuse(index, "is not an object in braces")
        return record

    def _line_bounds(self) -> array[int]:
        bounds = array("Q")
        position = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.isspace():
                    bounds.extend((position, position + len(line)))
                position += len(line)
        return bounds

    def _list_bounds(self) -> array[int]:
        bounds = array("Q")
        with self.path.open("rb") as file:
            if not self.path.stat().st_size:
                raise self._no_list()
            # Mapped, so that the regular expressions see the file whole and memory holds only the pages in use.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                opening = self._opening(data)
                if opening is None:
                    raise self._no_list()
                position, more = opening.end(), not _END.match(data, opening.end())
                while more:
                    index = len(bounds) // 2
                    stop = self._record_end(data, position, index)
                    bounds.extend((position, stop))
                    following = _NEXT.match(data, stop)
                    if following is None:
                        self._refuse(index, "is followed by neither a comma nor the end of the list")
                    position, more = following.end(), following[1] == b","
        return bounds

    def _opening(self, data: mmap.mmap) -> re.Match[bytes] | None:
        if self.key is None:
            return _LIST.match(data)
        return re.compile(rb'"' + re.escape(self.key).encode() + rb'"\s*:\s*\[\s*').search(data)

    def _record_end(self, data: mmap.mmap, position: int, index: int) -> int:
        if data[position : position + 1] != b"{":
            self._refuse(index, "is not an object in braces")
        position, depth = position + 1, 1
        while depth:
            brace = _TO_BRACE.match(data, position)
            if brace is None:
                self._refuse(index, "has no end")
            position = brace.end()
            depth += 1 if brace[1] == b"{" else -1
        return position

    def _refuse(self, index: int, what: str) -> NoReturn:
        raise InputError(f"Record {index} of '{self.path}' {what}: repair the file, or copy it again.")

    def _no_list(self) -> InputError:
        if self.key is None:
            return InputError(
                f"'{self.path}' does not hold a list of records in brackets: check that it is the right file."
            )
        return InputError(f"'{self.path}' has no list {self.key!r}: check that it is the right file.")
