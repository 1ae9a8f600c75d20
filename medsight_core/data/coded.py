"""Labelled images whose masks have region codes, in a file: what a stage-2 model writes and conversations are made of.

A record::

    {"id": "ct-000123", "image": "ct/slice88.png", "modality": 0,
     "masks": [{"id": "871", "file": "ct_mask/slice88_liver.png", "name": "liver", "code": "M0_16"}],
     "view": "axial CT",                                what the picture is, when it is known
     "seen": ["liver", "spleen"]}                       what a detector found, when one has looked

Knows the fields and nothing of models or words; reads no pixels.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence, Union

from medsight_core.data.images import inside, relative
from medsight_core.data.record_file import RecordFile
from medsight_core.data.sequence import LazySequence
from medsight_core.errors import InputError

_CODE = re.compile(r"M\d+_\d+")

PathLike = Union[str, Path]


@dataclass(frozen=True)
class CodedMask:
    """A mask with the name of what it shows and its code without brackets ("M0_16")."""

    id: str
    path: Path
    name: str
    code: str


@dataclass(frozen=True)
class CodedImage:
    """An image with its masks.

    modality: the number of the image's modality (model-spec 3.1). view: words for the picture, such as "axial MR", ""
    when unknown. seen: names that a detector finds in it, or in its whole scan; None when none has looked.
    """

    id: str
    path: Path
    modality: int
    masks: tuple[CodedMask, ...]
    view: str = ""
    seen: tuple[str, ...] | None = None


def read_coded(path: PathLike, root: PathLike | None = None) -> Sequence[CodedImage]:
    """The images of a ``.json`` or ``.jsonl`` file, parsed when they are asked for.

    root: folder that file names start from; the file's own folder when None.
    Raises NotFoundError without such a file, InputError for another format. An item raises InputError, naming file and
    record, for missing or wrong fields and for names that leave ``root``.
    """
    return _CodedFile(RecordFile(path), Path(path).parent if root is None else Path(root))


def write_coded(path: PathLike, images: Iterable[CodedImage], root: PathLike | None = None) -> None:
    """Write images to a ``.jsonl`` file that `read_coded` reads; a file of this name is replaced once all is written.

    Raises InputError for another extension, and for an image or mask that is not below ``root``.
    """
    path = Path(path)
    if path.suffix != ".jsonl":
        raise InputError(f"'{path}' does not end in .jsonl: coded images are written one record a line.")
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for image in images:
            file.write(json.dumps(_to_record(image, path.parent if root is None else root), ensure_ascii=False) + "\n")
    part.replace(path)


class _CodedFile(LazySequence[CodedImage]):
    def __init__(self, records: RecordFile, root: Path) -> None:
        self.records, self.root = records, root

    def __len__(self) -> int:
        return len(self.records)

    def read(self, index: int) -> CodedImage:
        try:
            return _parse(self.records[index], self.root)
        except InputError as error:
            raise InputError(f"Record {index} of '{self.records.path}': {error}") from error


def _parse(record: Mapping[str, Any], root: Path) -> CodedImage:
    masks, seen = _field(record, "masks", list), record.get("seen")
    if seen is not None and not (isinstance(seen, list) and all(isinstance(name, str) for name in seen)):
        raise InputError(f"seen is {seen!r}: give a list of names, or leave it out.")
    return CodedImage(
        str(_field(record, "id", (str, int))),
        inside(root, _field(record, "image", str)),
        _field(record, "modality", int),
        tuple(_parse_mask(mask, root) for mask in masks),
        _field({"view": "", **record}, "view", str),
        None if seen is None else tuple(seen),
    )


def _parse_mask(mask: Any, root: Path) -> CodedMask:
    if not isinstance(mask, dict):
        raise InputError(f"the mask {mask!r} is not an object in braces: give id, file, name and code.")
    code = _field(mask, "code", str)
    if not _CODE.fullmatch(code):
        raise InputError(f"the code {code!r} is not of the form M0_16: run 'medsight data label-codes' again.")
    return CodedMask(
        str(_field(mask, "id", (str, int))), inside(root, _field(mask, "file", str)), _field(mask, "name", str), code
    )


def _field(record: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}: run 'medsight data label-codes' again.")
    return value


def _to_record(image: CodedImage, root: PathLike) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": image.id,
        "image": relative(root, image.path),
        "modality": image.modality,
        "masks": [
            {"id": mask.id, "file": relative(root, mask.path), "name": mask.name, "code": mask.code}
            for mask in image.masks
        ],
    }
    if image.view:
        record["view"] = image.view
    if image.seen is not None:
        record["seen"] = list(image.seen)
    return record
