"""Files that are whole or not there, and what is in them as a short text."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

OWN_FOLDER = "medsight"  # in a studies folder: what MONAI Label's own index has no place for


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody, not even after a power cut, finds half of it; an existing one is replaced."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
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
