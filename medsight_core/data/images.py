"""Pictures and masks in files, and paths that stay where they belong.

Knows 8-bit picture files; knows nothing of tensors, crops or records.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Union

import numpy as np
from PIL import Image

from medsight_core.errors import InputError, NotFoundError

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")  # no others: some readers start programs
_GREY = ("L", "1")
_DEEP = ("I", "F")  # first letters of the modes with more than 8 bits a value
# What Pillow raises on damaged files of these formats.
_FAILURES = (OSError, SyntaxError, ValueError, EOFError, IndexError, zlib.error, Image.DecompressionBombError)

PathLike = Union[str, Path]


def read_image(path: PathLike) -> Image.Image:
    """The picture in a file, mode "L" when it is grey and "RGB" otherwise; transparency is dropped.

    Raises NotFoundError when it is missing, InputError when it is damaged or has more than 8 bits a value: what such
    values mean must be decided by a window, not by cutting them off (model-spec 9.1-17).
    """
    image = _open(path)
    return image.convert("L" if image.mode in _GREY else "RGB")


def read_mask(path: PathLike) -> np.ndarray:
    """The mask in a file, bool (rows, cols): where grey value / 255 > 0.5 (model-spec 2.3).

    Raises NotFoundError when it is missing, InputError when it is damaged or has more than 8 bits a value.
    """
    return np.asarray(_open(path).convert("L")) > 127


def inside(root: PathLike, name: str) -> Path:
    """The file ``name`` below the folder ``root``. Raises InputError for a name that leads out of it."""
    base = os.path.abspath(root)
    path = os.path.normpath(os.path.join(base, name))
    if not name or "\0" in name or not path.startswith(os.path.join(base, "")):
        raise InputError(f"The file name {name!r} does not stay inside '{root}': give names relative to this folder.")
    return Path(path)


def relative(root: PathLike, path: Path) -> str:
    """The name of a file below the folder ``root``, the inverse of `inside`, with slashes on every system.

    Raises InputError for a file outside of it.
    """
    return Path(os.path.relpath(inside(root, str(path.absolute())), root)).as_posix()


def _open(path: PathLike) -> Image.Image:
    """The file's pixels in their own mode."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.mode.startswith(_DEEP):
                raise InputError(
                    f"'{path}' has more than 8 bits a value (mode {image.mode}): window it to 8 bits first."
                )
            image.load()
            return image
    except InputError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no image '{path}': check the path.") from error
    except _FAILURES as error:
        raise InputError(
            f"'{path}' cannot be read as a picture: it is damaged or not one of {', '.join(_FORMATS)}."
        ) from error
