"""Arrays as compressed bytes: how a volume goes up and masks come down. Client and server share it.

A packed thing is a magic word, a small JSON header (which codec, which arrays, where they lie in the patient), and each
array in pieces. Voxels are stored with the first index running fastest, as images are. It needs numpy; blosc2 is used
where both sides have it. It knows nothing of HTTP, files or what an array shows.

What arrives is not believed: sizes are checked before memory is taken, and no piece may unpack to more than its share.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Mapping, Sequence

import numpy as np

from medsight_core.errors import InputError, TooLargeError, VolumeError
from medsight_core.protocol import CODEC_BLOSC2, CODEC_ZLIB, MAX_VOXELS

_MAGIC = b"MSPACK1\n"
_LENGTH = struct.Struct("<I")
MOST_HEADER = 1 << 20  # with what stands before it
_PIECE = 8 << 20  # bytes of an array that are packed together
_KINDS = re.compile(r"\|[iu]1|<[iu][248]|<f[48]")
# Pictures pack ten to one at most. What claims to unpack to a thousand times its size is made to fill the memory.
_MOST_GAIN = 1000
_HARMLESS = 16 << 20
_MOST_THREADS = 8


@dataclass(frozen=True, eq=False)
class PackedMask:
    """One segment: its label, the voxel (i, j, k) where its box begins, and the box, bool (I, J, K)."""

    label: int
    first: tuple[int, int, int]
    box: np.ndarray = field(repr=False)

    def on(self, shape: Sequence[int]) -> np.ndarray:
        """The mask on its whole grid, bool (I, J, K)."""
        whole = np.zeros(shape, bool, order="F")
        whole[tuple(slice(start, start + count) for start, count in zip(self.first, self.box.shape))] = self.box
        return whole


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """All segments of an answer, the grid's shape (I, J, K) and its affine (4, 4) from voxel index to LPS mm."""

    masks: tuple[PackedMask, ...]
    shape: tuple[int, int, int]
    affine: np.ndarray


def has_blosc2() -> bool:
    """Whether this Python can pack with blosc2; does not import it."""
    return importlib.util.find_spec("blosc2") is not None


def content_of(voxels: np.ndarray, affine: np.ndarray) -> str:
    """Hash (hexadecimal) of voxels (I, J, K) and affine (4, 4); equal for equal values, however they lie in memory."""
    digest = hashlib.sha256(f"{_stored(voxels.dtype).str}{voxels.shape}".encode())
    digest.update(np.asarray(affine, "<f8").tobytes())
    digest.update(_bytes_of(voxels))
    return digest.hexdigest()


def pack_volume(voxels: np.ndarray, affine: np.ndarray, codec: str) -> bytes:
    """Voxels (I, J, K) of whole or floating numbers and their affine (4, 4) to LPS mm."""
    return _pack({"affine": np.asarray(affine, np.float64).tolist()}, [voxels], codec)


def unpack_volume(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (I, J, K) and affine (4, 4), as they were packed.

    Raises VolumeError for what is no packed volume, TooLargeError for one that claims too much.
    """
    head, arrays = _unpack(content, most_gain=_MOST_GAIN)
    if len(arrays) != 1:
        raise _damaged()
    return arrays[0], _affine(head)


def announced_voxels(beginning: bytes) -> int:
    """Bytes of voxels that a packed volume claims to hold, told from its first `MOST_HEADER` bytes alone.

    Raises VolumeError or TooLargeError as `unpack_volume`.
    """
    _, _, kinds, shapes, _ = _header(memoryview(beginning))
    return _size(kinds, shapes)


def pack_masks(masks: Sequence[tuple[int, np.ndarray]], affine: np.ndarray, codec: str) -> bytes:
    """(label, mask) pairs, masks bool (I, J, K) of one shape, each cut to its box; and their affine (4, 4)."""
    boxes = [_cropped(mask) for _, mask in masks]
    head = {
        "affine": np.asarray(affine, np.float64).tolist(),
        "grid": list(masks[0][1].shape) if masks else [0, 0, 0],
        "segments": [[int(label), *first] for (label, _), (first, _) in zip(masks, boxes)],
    }
    return _pack(head, [box.view(np.uint8) for _, box in boxes], codec)


def unpack_masks(content: bytes) -> PackedMasks:
    """Masks as `pack_masks` packed them. Raises VolumeError or TooLargeError."""
    head, arrays = _unpack(content, most_gain=None)  # a solid box packs as well as nothing does
    try:
        i, j, k = (_count(n) for n in head["grid"])
        segments = [tuple(int(n) for n in segment) for segment in head["segments"]]
        if len(segments) != len(arrays) or i * j * k > MAX_VOXELS:
            raise ValueError("other segments than arrays")
        masks = []
        for (label, *first), array in zip(segments, arrays):
            start = (first[0], first[1], first[2])
            if array.dtype != np.uint8 or any(
                not 0 <= begin <= count - size for begin, size, count in zip(start, array.shape, (i, j, k))
            ):
                raise ValueError("a box outside its grid")
            masks.append(PackedMask(label, start, array.astype(bool)))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise _damaged() from None
    return PackedMasks(tuple(masks), (i, j, k), _affine(head))


def _pack(head: Mapping[str, Any], arrays: Sequence[np.ndarray], codec: str) -> bytes:
    described = [{"shape": list(array.shape), "dtype": _stored(array.dtype).str} for array in arrays]
    text = json.dumps({**head, "codec": codec, "arrays": described}).encode()
    parts = [_MAGIC, _LENGTH.pack(len(text)), text]
    squeeze = _codec(codec)[0]
    with ThreadPoolExecutor(_threads(codec)) as pool:
        for array in arrays:
            content, size = _bytes_of(array), array.dtype.itemsize
            pieces = [content[start : start + _PIECE] for start in range(0, len(content), _PIECE)]
            for piece in pool.map(squeeze, pieces, repeat(size)):
                parts += [_LENGTH.pack(len(piece)), piece]
    return b"".join(parts)


def _unpack(content: bytes, most_gain: int | None) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Header and arrays. most_gain: how many times its own size the content may unpack to, when that is not little."""
    view = memoryview(content)
    head, codec, kinds, shapes, at = _header(view)
    claimed = _size(kinds, shapes)
    if most_gain and claimed > max(_HARMLESS, most_gain * len(content)):
        raise TooLargeError(
            f"The packed volume claims {claimed / 1e6:.1f} MB and came as {len(content) / 1e6:.3f} MB: no image packs "
            "that well, so send the image as a .nrrd or .nii.gz file."
        )
    expand = _codec(codec)[1]
    arrays = []
    for shape, kind in zip(shapes, kinds):
        flat = np.empty(math.prod(shape), kind)
        target = flat.view(np.uint8).data
        pieces = []
        for _ in range(0, len(target), _PIECE):
            piece, at = _take(view, at, 2 * _PIECE)
            pieces.append(piece)
        places = [target[start : start + _PIECE] for start in range(0, len(target), _PIECE)]
        try:
            with ThreadPoolExecutor(_threads(codec)) as pool:
                list(pool.map(expand, pieces, places, repeat(kind.itemsize)))
        except (ValueError, RuntimeError, zlib.error):
            raise _damaged() from None
        arrays.append(flat.reshape(shape, order="F"))
    if at != len(view):
        raise _damaged()
    return head, arrays


def _header(view: memoryview) -> tuple[dict[str, Any], str, list[np.dtype], list[tuple[int, ...]], int]:
    """The header, its codec, each array's type and shape (I, J, K), and where the first piece begins."""
    at = len(_MAGIC)
    if bytes(view[:at]) != _MAGIC:
        raise _damaged()
    text, at = _take(view, at, MOST_HEADER - at - _LENGTH.size)
    try:
        head = json.loads(bytes(text))
        codec = str(head["codec"])
        kinds = [_kind(each["dtype"]) for each in head["arrays"]]
        shapes = [tuple(_count(n) for n in each["shape"]) for each in head["arrays"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise _damaged() from None
    if any(len(shape) != 3 for shape in shapes):
        raise _damaged()
    if (most := max(map(math.prod, shapes), default=0)) > MAX_VOXELS:
        raise TooLargeError(f"The packed array has {most} voxels and the limit is {MAX_VOXELS}: crop it first.")
    return head, codec, kinds, shapes, at


def _size(kinds: Sequence[np.dtype], shapes: Sequence[tuple[int, ...]]) -> int:
    return sum(math.prod(shape) * kind.itemsize for shape, kind in zip(shapes, kinds))


def _take(view: memoryview, at: int, most: int) -> tuple[memoryview, int]:
    """The bytes whose length stands at a place, and the place behind them."""
    start = at + _LENGTH.size
    if start > len(view):
        raise _damaged()
    (length,) = _LENGTH.unpack(view[at:start])
    if length > most or start + length > len(view):
        raise _damaged()
    return view[start : start + length], start + length


def _codec(name: str) -> tuple[Any, Any]:
    """How to squeeze bytes of an item size, and how to expand them into memory that must be filled exactly."""
    if name == CODEC_ZLIB:
        return _squeeze_zlib, _expand_zlib
    if name == CODEC_BLOSC2 and has_blosc2():
        return _squeeze_blosc2, _expand_blosc2
    raise InputError(f"Arrays packed with {name[:20]!r} cannot be used here: pack with {CODEC_ZLIB!r}.")


def _threads(codec: str) -> int:
    """How many pieces at a time: zlib lets other threads run, and blosc2 has its own."""
    return min(os.cpu_count() or 1, _MOST_THREADS) if codec == CODEC_ZLIB else 1


def _squeeze_zlib(content: memoryview, size: int) -> bytes:
    planes = np.frombuffer(content, np.uint8).reshape(-1, size).T  # high bytes beside high bytes are much alike
    # Noise repeats no words: not to look for any costs half the time and packs better.
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return packer.compress(np.ascontiguousarray(planes).data) + packer.flush()


def _expand_zlib(piece: memoryview, target: memoryview, size: int) -> None:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(piece, len(target) + 1)
    if len(content) != len(target) or not unpacker.eof:
        raise ValueError("another size than claimed")
    np.frombuffer(target, np.uint8).reshape(-1, size)[:] = np.frombuffer(content, np.uint8).reshape(size, -1).T


def _squeeze_blosc2(content: memoryview, size: int) -> bytes:
    import blosc2

    # Of a CT with its noise: ZSTD's fastest is 7 % smaller and takes twice as long at both ends.
    return blosc2.compress2(content, typesize=size, codec=blosc2.Codec.LZ4, filters=[blosc2.Filter.BITSHUFFLE])


def _expand_blosc2(piece: memoryview, target: memoryview, size: int) -> None:
    import blosc2

    if len(piece) < 32:  # of its own header
        raise ValueError("no chunk")
    packed = bytes(piece)
    unpacked, own, _ = blosc2.get_cbuffer_sizes(packed)
    if (unpacked, own) != (len(target), len(packed)):
        raise ValueError("another size than claimed")
    if blosc2.decompress2(packed, dst=target) not in (None, len(target)):
        raise ValueError("another size than claimed")


def _bytes_of(array: np.ndarray) -> memoryview:
    """The values with the first index running fastest; no copy where they lie so already."""
    flat = np.asarray(array, _stored(array.dtype)).reshape(-1, order="F")
    return flat.view(np.uint8).data


def _stored(kind: np.dtype) -> np.dtype:
    """The type in which values travel: little-endian. Raises VolumeError for other than whole or floating numbers."""
    stored = kind.newbyteorder("<")
    if not _KINDS.fullmatch(stored.str):
        raise VolumeError(f"Voxels of type {kind} cannot be sent: store them as int16 or float32.")
    return stored


def _kind(text: Any) -> np.dtype:
    if not isinstance(text, str) or not _KINDS.fullmatch(text):
        raise ValueError("no type of voxels")
    return np.dtype(text)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_VOXELS:
        raise ValueError("no size")
    return value


def _affine(head: Mapping[str, Any]) -> np.ndarray:
    try:
        affine = np.array(head["affine"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _damaged() from None
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise _damaged()
    return affine


def _cropped(mask: np.ndarray) -> tuple[tuple[int, int, int], np.ndarray]:
    """Where a mask's box begins, and the box; of an empty mask nothing."""
    columns = mask.any(axis=0)  # along the index that runs fastest in memory
    j, k = (np.flatnonzero(np.any(columns, axis=1 - axis)) for axis in (0, 1))
    if not len(j):
        return (0, 0, 0), np.zeros((0, 0, 0), bool)
    block = mask[:, j[0] : j[-1] + 1, k[0] : k[-1] + 1]
    i = np.flatnonzero(block.any(axis=(1, 2)))
    box = np.asarray(block[i[0] : i[-1] + 1], bool)
    return (int(i[0]), int(j[0]), int(k[0])), np.asfortranarray(box)


def _damaged() -> VolumeError:
    return VolumeError("The packed arrays are cut off or damaged: send them again.")
