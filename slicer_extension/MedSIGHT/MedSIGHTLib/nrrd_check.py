"""Whether bytes are a whole NRRD file, decided before Slicer's own reader sees them.

That reader (ITK's) ends the application with a C++ exception on a file that is cut short or none at all, and with it
the user's unsaved work. Knows the NRRD format as far as label files use it, and no MRML.
"""

from __future__ import annotations

import zlib

_TYPE_BYTES = {
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t", "signed char", "int8", "int8_t"), 1),
    **dict.fromkeys(("short", "short int", "int16", "int16_t", "ushort", "unsigned short", "uint16", "uint16_t"), 2),
}
_MAX_BYTES = 1 << 32  # a label file of more is not what was asked for, whatever it is
_GZIP = 16 + zlib.MAX_WBITS


def is_whole_nrrd(content: bytes) -> bool:
    """True when the header says what follows it and all of that is there, with an intact checksum if compressed."""
    head, blank, data = content.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").splitlines()
    if not blank or not lines or not lines[0].startswith("NRRD000"):
        return False
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line and ":=" not in line)
    try:
        size = _TYPE_BYTES[fields["type"]]
        for count in fields["sizes"].split():
            size *= int(count)
        if not 0 < size <= _MAX_BYTES:
            return False
        if fields["encoding"] == "raw":
            return len(data) >= size
        return fields["encoding"] in ("gzip", "gz") and _unpacked_size(data, size) == size
    except (KeyError, ValueError, zlib.error):
        return False


def _unpacked_size(data: bytes, limit: int) -> int:
    """Bytes that a gzip stream holds, read piece by piece; at most ``limit`` and one piece. 0 when it stops early."""
    unpacker, total, pending = zlib.decompressobj(_GZIP), 0, data
    while not unpacker.eof and total <= limit:
        piece = unpacker.decompress(pending, 1 << 20)
        if not piece and not unpacker.eof:
            return 0
        total, pending = total + len(piece), unpacker.unconsumed_tail
    return total
