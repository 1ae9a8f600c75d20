"""Arrays as compressed bytes: how a volume goes up and masks come down. Client and server share it.

A packed thing is a magic word, a small JSON header (which codec, which arrays, where they lie in the patient), and each
array in pieces. Voxels are stored with the first index running fastest, as images are. It needs numpy; blosc2 is used
where both sides have it. It knows nothing of HTTP or of what an array shows.

What arrives is not believed: sizes are checked before memory is taken, and no piece may unpack to more than its share.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import math
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from types import MappingProxyType
from typing import Any, BinaryIO, Iterator, Mapping, Sequence

import numpy as np

from medsight_core.errors import InputError, TooLargeError, VolumeError
from medsight_core.protocol import CODEC_BLOSC2, CODEC_STORED, CODEC_ZLIB, MAX_VOXELS

_MAGIC = b"MSPACK1\n"
_LENGTH = struct.Struct("<I")
_MOST_HEADER = 1 << 20
_PIECE = 8 << 20  # bytes of an array that are packed together
_KINDS = re.compile(r"\|[iu]1|<[iu][248]|<f[48]")
# Pictures pack ten to one at most. What claims to unpack to a thousand times its size is made to fill the memory.
_MOST_GAIN = 1000
_HARMLESS = 16 << 20
_MOST_THREADS = 8


@dataclass(frozen=True, eq=False)
class PackedMask:
    """One segment: its label, the voxel (i, j, k) where its box begins, the box, bool (I, J, K), and its tags."""

    label: int
    first: tuple[int, int, int]
    box: np.ndarray = field(repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)

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


def is_packed(content: bytes) -> bool:
    """Whether these bytes begin as packed ones do."""
    return content.startswith(_MAGIC)


def content_of(voxels: np.ndarray, affine: np.ndarray) -> str:
    """Hash (hexadecimal) of voxels (I, J, K) and affine (4, 4); equal for equal values, however they lie in memory."""
    digest = _digest(_stored(voxels.dtype), voxels.shape, affine)
    digest.update(_bytes_of(voxels))
    return digest.hexdigest()


def _digest(kind: np.dtype, shape: tuple[int, ...], affine: np.ndarray) -> Any:
    digest = hashlib.sha256(f"{kind.str}{shape}".encode())
    digest.update(np.asarray(affine, "<f8").tobytes())
    return digest


def pack_volume(voxels: np.ndarray, affine: np.ndarray, codec: str) -> bytes:
    """Voxels (I, J, K) of whole or floating numbers and their affine (4, 4) to LPS mm."""
    return b"".join(part for part, _ in parts_of_volume(voxels, affine, codec))


def parts_of_volume(voxels: np.ndarray, affine: np.ndarray, codec: str) -> Iterator[tuple[bytes, int]]:
    """`pack_volume` in parts, each packed when it is asked for, and how many bytes of voxels are packed with it."""
    return _parts({"affine": np.asarray(affine, np.float64).tolist()}, [voxels], codec)


def unpack_volume(content: bytes | BinaryIO) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (I, J, K) and affine (4, 4), as they were packed, from bytes or an open file.

    Raises VolumeError for what is no packed volume, TooLargeError for one that claims too much.
    """
    with _Source(content, most_gain=_MOST_GAIN) as source:
        arrays = source.arrays()
    if len(arrays) != 1:
        raise _damaged()
    return arrays[0], _affine(source.head)


def content_of_packed(content: bytes | BinaryIO) -> str:
    """`content_of` a packed volume, found without having all of its voxels in memory. Raises as `unpack_volume`."""
    with _Source(content, most_gain=_MOST_GAIN) as source:
        if len(source.shapes) != 1:
            raise _damaged()
        digest = _digest(source.kinds[0], source.shapes[0], _affine(source.head))
        for piece in source.pieces():
            digest.update(piece)
        source.end()
    return digest.hexdigest()


def announced_bytes(content: bytes | BinaryIO) -> int:
    """How many bytes of voxels a packed volume says that it holds. Raises as `unpack_volume`."""
    return _Source(content, most_gain=_MOST_GAIN).claimed


def pack_masks(
    masks: Sequence[tuple[int, np.ndarray]],
    affine: np.ndarray,
    codec: str,
    tags: Mapping[int, Mapping[str, str]] = MappingProxyType({}),
) -> bytes:
    """(label, mask) pairs, masks bool (I, J, K) of one shape, each cut to its box; and their affine (4, 4).

    tags: more that is said of a label.
    """
    boxes = [_cropped(mask) for _, mask in masks]
    head = {
        "affine": np.asarray(affine, np.float64).tolist(),
        "grid": list(masks[0][1].shape) if masks else [0, 0, 0],
        "segments": [[int(label), *first] for (label, _), (first, _) in zip(masks, boxes)],
        "tags": [dict(tags.get(label, {})) for label, _ in masks],
    }
    return b"".join(part for part, _ in _parts(head, [box.view(np.uint8) for _, box in boxes], codec))


def unpack_masks(content: bytes) -> PackedMasks:
    """Masks as `pack_masks` packed them. Raises VolumeError or TooLargeError."""
    with _Source(content, most_gain=None) as source:  # a solid box packs as well as nothing does
        head, arrays = source.head, source.arrays()
    try:
        i, j, k = (_count(n) for n in head["grid"])
        segments = [tuple(int(n) for n in segment) for segment in head["segments"]]
        tags = [{str(key): str(value) for key, value in each.items()} for each in head["tags"]]
        if not len(segments) == len(arrays) == len(tags) or i * j * k > MAX_VOXELS:
            raise ValueError("other segments than arrays")
        masks = []
        for (label, *first), array, said in zip(segments, arrays, tags):
            start = (first[0], first[1], first[2])
            if array.dtype != np.uint8 or any(
                not 0 <= begin <= count - size for begin, size, count in zip(start, array.shape, (i, j, k))
            ):
                raise ValueError("a box outside its grid")
            masks.append(PackedMask(label, start, array.astype(bool), said))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise _damaged() from None
    return PackedMasks(tuple(masks), (i, j, k), _affine(head))


def _parts(head: Mapping[str, Any], arrays: Sequence[np.ndarray], codec: str) -> Iterator[tuple[bytes, int]]:
    described = [{"shape": list(array.shape), "dtype": _stored(array.dtype).str} for array in arrays]
    text = json.dumps({**head, "codec": codec, "arrays": described}).encode()
    squeeze = _codec(codec)[0]
    yield _MAGIC + _LENGTH.pack(len(text)) + text, 0
    done = 0
    with ThreadPoolExecutor(_threads(codec)) as pool:
        each = pool.map if _threads(codec) > 1 else map
        for array in arrays:
            content, size = _bytes_of(array), array.dtype.itemsize
            pieces = [content[start : start + _PIECE] for start in range(0, len(content), _PIECE)]
            for piece, packed in zip(pieces, each(squeeze, pieces, repeat(size))):
                done += len(piece)
                yield _LENGTH.pack(len(packed)), done
                yield packed, done


class _Source:
    """A packed thing that is read from its beginning: its header at once, its arrays as they are asked for."""

    def __init__(self, content: bytes | BinaryIO, most_gain: int | None) -> None:
        """most_gain: how many times its own size the content may unpack to, when that is not little."""
        self._file = io.BytesIO(content) if isinstance(content, bytes) else content
        begin = self._file.tell()
        length = self._file.seek(0, io.SEEK_END) - begin
        self._file.seek(begin)
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise _damaged()
        try:
            self.head = json.loads(self._take(_MOST_HEADER))
            self._codec = str(self.head["codec"])
            self.kinds = [_kind(each["dtype"]) for each in self.head["arrays"]]
            self.shapes = [tuple(_count(n) for n in each["shape"]) for each in self.head["arrays"]]
        except (KeyError, TypeError, ValueError, RecursionError):
            raise _damaged() from None
        if any(len(shape) != 3 for shape in self.shapes):
            raise _damaged()
        if (most := max(map(math.prod, self.shapes), default=0)) > MAX_VOXELS:
            raise TooLargeError(f"The packed array has {most} voxels and the limit is {MAX_VOXELS}: crop it first.")
        self.claimed = sum(math.prod(shape) * kind.itemsize for shape, kind in zip(self.shapes, self.kinds))
        if most_gain and self.claimed > max(_HARMLESS, most_gain * length):
            raise TooLargeError(
                f"The packed volume claims {self.claimed / 1e6:.1f} MB and came as {length / 1e6:.3f} MB: no image "
                "packs that well, so send the image as a .nrrd or .nii.gz file."
            )
        self._expand = _codec(self._codec)[1]

    def __enter__(self) -> _Source:
        self._pool = ThreadPoolExecutor(_threads(self._codec))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def arrays(self) -> list[np.ndarray]:
        """All arrays (I, J, K). Raises VolumeError for anything that is not as claimed."""
        arrays = []
        for shape, kind in zip(self.shapes, self.kinds):
            flat = np.empty(math.prod(shape), kind)
            target = flat.view(np.uint8).data
            self._fill([target[start : start + _PIECE] for start in range(0, len(target), _PIECE)], kind.itemsize)
            arrays.append(flat.reshape(shape, order="F"))
        self.end()
        return arrays

    def pieces(self) -> Iterator[memoryview]:
        """The bytes of the first array, some at a time, each good until the next are asked for."""
        size = self.kinds[0].itemsize
        rest = math.prod(self.shapes[0]) * size
        buffer = memoryview(bytearray(min(rest, _PIECE * _threads(self._codec))))
        while rest:
            target = buffer[: min(rest, len(buffer))]
            self._fill([target[start : start + _PIECE] for start in range(0, len(target), _PIECE)], size)
            yield target
            rest -= len(target)

    def end(self) -> None:
        """VolumeError when there is more."""
        if self._file.read(1):
            raise _damaged()

    def _fill(self, places: Sequence[memoryview], size: int) -> None:
        each = self._pool.map if _threads(self._codec) > 1 else map
        try:
            for _ in each(self._expand, (self._take(2 * _PIECE) for _ in places), places, repeat(size)):
                pass
        except (ValueError, RuntimeError, zlib.error):
            raise _damaged() from None

    def _take(self, most: int) -> bytes:
        """The bytes that come next, behind their length."""
        head = self._file.read(_LENGTH.size)
        if len(head) < _LENGTH.size or (length := _LENGTH.unpack(head)[0]) > most:
            raise _damaged()
        content = self._file.read(length)
        if len(content) < length:
            raise _damaged()
        return content


def _codec(name: str) -> tuple[Any, Any]:
    """How to squeeze bytes of an item size, and how to expand them into memory that must be filled exactly."""
    if name == CODEC_STORED:
        return _store, _take_stored
    if name == CODEC_ZLIB:
        return _squeeze_zlib, _expand_zlib
    if name == CODEC_BLOSC2 and has_blosc2():
        return _squeeze_blosc2, _expand_blosc2
    raise InputError(f"Arrays packed with {name[:20]!r} cannot be used here: pack with {CODEC_ZLIB!r}.")


def _store(content: memoryview, _: int) -> bytes:
    return bytes(content)


def _take_stored(piece: bytes, target: memoryview, _: int) -> None:
    if len(piece) != len(target):
        raise ValueError("another size than claimed")
    target[:] = piece


def _threads(codec: str) -> int:
    """How many pieces at a time: zlib lets other threads run, and blosc2 has its own."""
    return min(os.cpu_count() or 1, _MOST_THREADS) if codec == CODEC_ZLIB else 1


def _squeeze_zlib(content: memoryview, size: int) -> bytes:
    planes = np.frombuffer(content, np.uint8).reshape(-1, size).T  # high bytes beside high bytes are much alike
    # Noise repeats no words: not to look for any costs half the time and packs better.
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return packer.compress(np.ascontiguousarray(planes).data) + packer.flush()


def _expand_zlib(piece: bytes, target: memoryview, size: int) -> None:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(piece, len(target) + 1)
    if len(content) != len(target) or not unpacker.eof:
        raise ValueError("another size than claimed")
    np.frombuffer(target, np.uint8).reshape(-1, size)[:] = np.frombuffer(content, np.uint8).reshape(size, -1).T


def _squeeze_blosc2(content: memoryview, size: int) -> bytes:
    import blosc2

    # Of a CT with its noise ZSTD's fastest is 7 % smaller, but takes twice as long at both ends. Masks it halves.
    codec, level = (blosc2.Codec.ZSTD, 1) if size == 1 else (blosc2.Codec.LZ4, 9)
    return blosc2.compress2(content, typesize=size, codec=codec, clevel=level, filters=[blosc2.Filter.BITSHUFFLE])


def _expand_blosc2(piece: bytes, target: memoryview, size: int) -> None:
    import blosc2

    if len(piece) < 32:  # of its own header
        raise ValueError("no chunk")
    unpacked, own, _ = blosc2.get_cbuffer_sizes(piece)
    if (unpacked, own) != (len(target), len(piece)):
        raise ValueError("another size than claimed")
    if blosc2.decompress2(piece, dst=target) not in (None, len(target)):
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
