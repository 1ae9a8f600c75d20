"""Every version of every corrected label, each in a folder of its own that is written once and never changed.

A version is whole or not there: its folder is filled under another name and renamed, and the rename also settles who
comes first when two annotators hand in at once, even from two processes. Folders are named by a hash of the image's id,
because ids come from outside. Knows no MONAI Label and no HTTP.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medsight_core.data.correction import Correction
from medsight_core.errors import NotFoundError
from medsight_core.files import flush, remove_parts, write_whole
from medsight_core.protocol import check_id

_SIDECAR = "correction.json"
_NOTES = "notes.json"
_UNSETTLED = "unsettled.json"
_LABEL = "label"
_PART = ".part-"


class CorrectionStore:
    """The versions below one folder, which is made when the first is kept. Safe to use from several processes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def versions(self, image_id: str) -> list[Correction]:
        """All versions of an image's label, oldest first; a damaged sidecar is passed over, its label stays."""
        folder = self._folder(image_id)
        numbers = sorted(int(path.name) for path in folder.glob("[0-9]*")) if folder.is_dir() else []
        read = (_read(folder / _number(number), number) for number in numbers)
        return [correction for correction in read if correction is not None]

    def file(self, image_id: str, version: int) -> Path:
        """The label file of one version; NotFoundError when there is no such version."""
        for path in (self._folder(image_id) / _number(version)).glob(f"{_LABEL}.*"):
            return path
        raise NotFoundError(f"There is no version {version} of this label: list the versions first.")

    def keep(
        self, label: Path, extension: str, correction: Correction, unsettled: Mapping[str, Any] | None = None
    ) -> Correction:
        """Keep a copy of a label file as the image's next version; the correction with its number.

        extension: one of those that are known, such as ".nii.gz". unsettled: what must still be done with the version
        once it is kept needs to know this, even after a kill; `settle` says that it is done.
        """
        folder = self._folder(correction.image_id)
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder))
        try:
            shutil.copyfile(label, part / f"{_LABEL}{extension}")
            flush(part / f"{_LABEL}{extension}")
            write_whole(part / _SIDECAR, json.dumps(replace(correction, version=0).to_json(), indent=1).encode())
            if unsettled is not None:
                write_whole(part / _UNSETTLED, json.dumps(unsettled, default=str).encode())
            version = _take_next_number(part, folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        flush(folder)
        return replace(correction, version=version)

    def unsettled(self, image_id: str = "") -> list[tuple[Correction, dict[str, Any]]]:
        """The versions of one image, or of all, that are kept and not settled, with what `keep` was given."""
        found = []
        folders = self._folder(image_id).glob("[0-9]*") if image_id else self._root.glob("*/[0-9]*")
        for path in sorted(folder / _UNSETTLED for folder in folders if (folder / _UNSETTLED).exists()):
            correction = _read(path.parent, int(path.parent.name))
            if correction is not None:
                found.append((correction, json.loads(path.read_bytes())))
        return found

    def settle(self, image_id: str, version: int) -> None:
        """Nothing is left to be done with a version."""
        (self._folder(image_id) / _number(version) / _UNSETTLED).unlink(missing_ok=True)

    def clean_up(self) -> None:
        """Remove what a killed process left half written; nobody may be handing in anything meanwhile."""
        for part in self._root.glob(f"*/{_PART}*"):
            shutil.rmtree(part, ignore_errors=True)
        for version in self._root.glob("*/[0-9]*"):
            remove_parts(version)

    def note(self, image_id: str, version: int, notes: dict[str, Any]) -> None:
        """Keep what was said of a version later, such as its review; earlier notes on it are replaced."""
        folder = self._folder(image_id) / _number(version)
        write_whole(folder / _NOTES, json.dumps(notes, default=str).encode())

    def notes(self, image_id: str, version: int) -> dict[str, Any]:
        """What `note` kept; empty without."""
        try:
            notes: dict[str, Any] = json.loads((self._folder(image_id) / _number(version) / _NOTES).read_bytes())
        except FileNotFoundError:
            return {}
        return notes

    def _folder(self, image_id: str) -> Path:
        digest = hashlib.sha256(check_id(image_id).encode()).hexdigest()
        return self._root / digest[:32]


def _take_next_number(part: Path, folder: Path) -> int:
    """Rename ``part`` to the first free number after the last; a full folder of that name makes the rename fail."""
    version = max((int(path.name) for path in folder.glob("[0-9]*")), default=0) + 1
    while True:
        try:
            os.rename(part, folder / _number(version))
            return version
        except OSError:
            if not (folder / _number(version)).exists():
                raise
            version += 1  # somebody else was faster


def _number(version: int) -> str:
    return f"{version:06d}"


def _read(folder: Path, version: int) -> Correction | None:
    try:
        return replace(Correction.from_json(json.loads((folder / _SIDECAR).read_bytes())), version=version)
    except (OSError, ValueError, LookupError, TypeError):
        return None
