"""A label file as it arrives: packed masks, or the bytes of a NRRD file, as arrays and segments. No Slicer, no Qt.

A NRRD file is read here, and not by Slicer's own reader, for two reasons: it may run beside the event loop, and a file
that is cut short raises an error instead of ending the application with the user's unsaved work.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

import numpy as np

from medsight_core.client import Reply
from medsight_core.errors import InputError, ServerError, VolumeError
from medsight_core.packing import PackedMasks, is_packed, unpack_masks
from MedSIGHTLib.fingerprint import fingerprint
from MedSIGHTLib.translating import _

_TYPES = {
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), np.uint8),
    **dict.fromkeys(("signed char", "int8", "int8_t"), np.int8),
    **dict.fromkeys(("short", "short int", "signed short", "int16", "int16_t"), np.int16),
    **dict.fromkeys(("ushort", "unsigned short", "uint16", "uint16_t"), np.uint16),
}
_MAX_BYTES = 1 << 32  # a label file of more is not what was asked for, whatever it is
_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 20
_MOST_LABELS = 255  # more values than that are an image's, not a labelmap's


@dataclass(frozen=True)
class FileSegment:
    """One segment: its value in the voxels of its layer, what the file says about it, and its outline's fingerprint.

    name, color: "" and None where the file does not say.
    """

    label: int
    layer: int
    tags: dict[str, str]
    outline: str
    name: str = ""
    color: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Outlines:
    """All segments of a file.

    layers: arrays (K, J, I); segments of one layer do not overlap. affine: (4, 4), voxel index (I, J, K) to LPS mm.
    """

    layers: tuple[np.ndarray, ...] = field(repr=False)
    affine: np.ndarray
    segments: tuple[FileSegment, ...]


def read_outlines(reply: Reply) -> Outlines | None:
    """The outlines that came with an answer, None when it has none; slow for a large volume.

    Raises ServerError when the file cannot be read, or holds other labels than the answer names.
    """
    if not reply.answer.regions or reply.segmentation is None:
        return None
    try:
        if is_packed(reply.segmentation):
            outlines = _painted(unpack_masks(reply.segmentation))
        else:
            outlines = _parse(reply.segmentation)
    except (InputError, KeyError, ValueError, IndexError, MemoryError, zlib.error):
        raise ServerError(
            _(
                "The outlines that the server sent cannot be read: ask again, and look at the server's "
                "log if it stays so."
            )
        ) from None
    found = sorted(segment.label for segment in outlines.segments)
    named = sorted(region.label for region in reply.answer.regions)
    if found != named:
        raise ServerError(
            _(
                "The server's outlines have the labels {found} and its answer {named}: ask again, and "
                "check that the server is of this version."
            ).format(found=found, named=named)
        )
    return outlines


def read_label(content: bytes) -> Outlines:
    """The outlines in a NRRD file, a ``.seg.nrrd`` or a labelmap, as it was handed in; slow for a large volume.

    Raises VolumeError when it is none that can be read.
    """
    try:
        return _parse(content)
    except (KeyError, ValueError, IndexError, MemoryError, zlib.error):
        raise VolumeError(
            _(
                "The label that the server keeps cannot be read here: fetch it with MONAI Label's own "
                "client, or draw anew."
            )
        ) from None


def labelmap_of(values: np.ndarray, affine: np.ndarray) -> Outlines:
    """The outlines in a labelmap (K, J, I) of whole numbers, without names; ValueError for an image."""
    labels = [int(value) for value in np.unique(values) if value]
    if len(labels) > _MOST_LABELS or (labels and labels[0] < 0):
        raise ValueError("an image")
    return Outlines((values,), affine, tuple(FileSegment(n, 0, {}, fingerprint(values, value=n)) for n in labels))


def _painted(packed: PackedMasks) -> Outlines:
    """Masks that came packed, in as few layers as hold them without overlap."""
    shape, layers, segments = packed.shape[::-1], [], []
    kind = np.uint8 if max((mask.label for mask in packed.masks), default=0) < 256 else np.uint16
    for mask in packed.masks:
        box = mask.box.transpose()
        first = mask.first[::-1]
        place = tuple(slice(start, start + count) for start, count in zip(first, box.shape))
        layer = next((n for n, labels in enumerate(layers) if not labels[place][box].any()), len(layers))
        if layer == len(layers):
            layers.append(np.zeros(shape, kind))
        np.copyto(layers[layer][place], mask.label, where=box, casting="unsafe")
        outline = fingerprint(box, first)
        segments.append(FileSegment(mask.label, layer, dict(mask.tags), outline))
    return Outlines(tuple(layers), packed.affine, tuple(segments))


def _parse(content: bytes) -> Outlines:
    head, blank, data = content.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").splitlines()
    if not blank or not lines or not lines[0].startswith("NRRD000"):
        raise ValueError("not a NRRD file")
    fields, values = {}, {}
    for line in lines[1:]:
        key, separator, value = line.partition(":=")
        if separator:
            values[key] = value
        elif ": " in line:
            key, __, fields[key] = line.partition(": ")
            fields[key] = fields[key].strip()
    layers = _layers(fields, data)
    if "Segment0_ID" not in values:
        return labelmap_of(*layers, _affine(fields))
    return Outlines(layers, _affine(fields), tuple(_segments(values, layers)))


def _layers(fields: dict[str, str], data: bytes) -> tuple[np.ndarray, ...]:
    sizes = tuple(int(size) for size in fields["sizes"].split())
    kind = np.dtype(_TYPES[fields["type"]])
    if fields.get("endian") == "big":
        kind = kind.newbyteorder(">")
    size = kind.itemsize
    for count in sizes:
        size *= count
    if len(sizes) not in (3, 4) or not 0 < size <= _MAX_BYTES or min(sizes) < 1:
        raise ValueError("no volume")
    if fields["encoding"] in ("gzip", "gz"):
        data = _unpack(data, size)
    elif fields["encoding"] != "raw" or len(data) < size:
        raise ValueError("no voxels")
    voxels = np.frombuffer(data, kind, size // kind.itemsize).reshape(sizes[::-1])  # (K, J, I) or (K, J, I, layer)
    voxels = voxels.astype(kind.newbyteorder("="), copy=False)
    if voxels.ndim == 3:
        return (voxels,)
    return tuple(np.ascontiguousarray(voxels[..., n]) for n in range(voxels.shape[3]))


def _unpack(data: bytes, size: int) -> bytearray:
    """Exactly ``size`` unpacked bytes, piece by piece, so that a small bad file cannot fill the memory."""
    unpacker, pending = zlib.decompressobj(_GZIP), data
    unpacked = bytearray()
    while not unpacker.eof and len(unpacked) <= size:
        piece = unpacker.decompress(pending, _PIECE)
        if not piece and not unpacker.eof:
            break
        unpacked += piece
        pending = unpacker.unconsumed_tail
    if not unpacker.eof or len(unpacked) != size:
        raise ValueError("not all of the voxels")
    return unpacked


def _affine(fields: dict[str, str]) -> np.ndarray:
    to_lps = {"left-posterior-superior": (1.0, 1.0, 1.0), "right-anterior-superior": (-1.0, -1.0, 1.0)}[fields["space"]]
    columns = [_vector(text) for text in re.findall(r"\([^)]*\)", fields["space directions"])]
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns).T
    affine[:3, 3] = _vector(fields["space origin"])
    affine[:3] *= np.array(to_lps)[:, None]
    if affine.shape != (4, 4) or len(columns) != 3 or not np.isfinite(affine).all():
        raise ValueError("no geometry")
    return affine


def _vector(text: str) -> list[float]:
    return [float(number) for number in text.strip("()").split(",")]


def _segments(values: dict[str, str], layers: tuple[np.ndarray, ...]) -> list[FileSegment]:
    segments = []
    while f"Segment{len(segments)}_ID" in values:
        prefix = f"Segment{len(segments)}_"
        label, layer = int(values[prefix + "LabelValue"]), int(values.get(prefix + "Layer", 0))
        pairs = (pair.partition(":") for pair in values.get(prefix + "Tags", "").split("|"))
        tags = {key: value for key, colon, value in pairs if colon}
        color = (
            tuple(float(channel) for channel in values[prefix + "Color"].split())
            if prefix + "Color" in values
            else None
        )
        outline = fingerprint(layers[layer], value=label)
        segments.append(FileSegment(label, layer, tags, outline, values.get(prefix + "Name", ""), color))
    return segments
