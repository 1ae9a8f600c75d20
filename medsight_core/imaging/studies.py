"""Which images a folder holds: one study a file, or a folder of DICOM slices.

Knows names of files and DICOM's mark; reads no image. What can be read is decided by `read_volume`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.volume import EXTENSIONS

_SEGMENTATION = ".seg.nrrd"  # an answer, no image
_DATASTORE = "datastore_v2.json"  # of MONAI Label: what lies deeper are labels and its own files
_PREAMBLE, _MARK = 128, b"DICM"


@dataclass(frozen=True)
class Study:
    """One image. name: its path below the folder that was searched, with slashes. path: what `read_volume` takes."""

    name: str
    path: Path

    def stamp(self) -> str:
        """A short text that changes when the image's files do; told from names, sizes and times."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file()) if self.path.is_dir() else [self.path]
        digest = hashlib.sha256()
        for file in files:
            stat = file.stat()
            digest.update(f"{file.relative_to(self.path)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def find_studies(folder: Path, leave_out: Sequence[Path] = ()) -> list[Study]:
    """The studies in a folder and the folders below it, by name.

    A file with an extension that can be read is a study, and so is a folder with DICOM slices, with all below it.
    Hidden files, segmentations, ``leave_out`` and what MONAI Label keeps beside images are none.
    Raises NotFoundError when there is no such folder or no study in it, InputError when it is no folder.
    """
    if not folder.exists():
        raise NotFoundError(f"There is no folder '{folder}': check the path.")
    if not folder.is_dir():
        raise InputError(f"'{folder}' is a file: give the folder that it is in, or use 'medsight ask' for one image.")
    left_out = {path.resolve() for path in leave_out}
    found = sorted(_below(folder, folder, left_out), key=lambda study: study.name)
    if not found:
        raise NotFoundError(
            f"There is no image in '{folder}': give a folder with {', '.join(EXTENSIONS)} files or DICOM slices."
        )
    return found


def _below(folder: Path, top: Path, left_out: set[Path]) -> Iterator[Study]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        own = sorted(name for name in files if not name.startswith("."))
        images = [name for name in own if name.lower().endswith(EXTENSIONS)]
        for name in images:
            if not name.lower().endswith(_SEGMENTATION):
                yield Study((here / name).relative_to(top).as_posix(), here / name)
        if any(_is_dicom(here / name) for name in own if name not in images and name != "DICOMDIR"):
            yield Study(here.relative_to(top).as_posix() if here != top else top.resolve().name, here)
            folders.clear()
        if _DATASTORE in files:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".") and (here / name).resolve() not in left_out]


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + len(_MARK))[_PREAMBLE:] == _MARK
    except OSError:
        return False
