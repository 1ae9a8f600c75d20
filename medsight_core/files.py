"""Files that are whole or not there, and what is in them as a short text."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

OWN_FOLDER = "medsight"  # in a studies folder: what MONAI Label's own index has no place for
_PREFIX, _SUFFIX = ".medsight-", ".part"  # of what is being written, and of what a kill leaves of it


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that nobody, not even after a power cut, finds half of it; an existing one is replaced."""
    _replace(path, io.BytesIO(content), mode)


def copy_whole(source: Path, path: Path) -> None:
    """Copy a file in the same way, with who may read it."""
    with source.open("rb") as file:
        _replace(path, file, source.stat().st_mode & 0o777)


def remove_parts(folder: Path) -> None:
    """Remove what a killed process left half written in a folder; nobody else may be writing there."""
    for part in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        part.unlink(missing_ok=True)


def _replace(path: Path, content: BinaryIO, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=_SUFFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def file_hash(path: Path) -> str:
    """What is in a file, as "SHA256:" and hexadecimal digits: the form of MONAI Label's checksums."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"SHA256:{digest.hexdigest()}"


def flush(path: Path) -> None:
    """Make sure that a file or folder survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
