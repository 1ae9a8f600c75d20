"""Multipart bodies: a file streamed from disk on the way out, named parts of bytes on the way in.

Python's ``cgi`` is gone since 3.13, ``email`` rewrites line ends inside binary parts, and requests' own encoder holds
the whole file in memory: a CT of several hundred megabytes must not. Knows nothing of what the parts mean.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Callable, Iterator, Mapping

CHUNK_BYTES = 1 << 20  # few enough Python turns per gigabyte, small enough to see a closed connection early

OnProgress = Callable[[int, int], None]


class FileUpload:
    """A request body of text fields and one that holds a file, read from disk while it is sent.

    It has a length, so that the server can refuse what is too large before any of it travels.
    """

    def __init__(
        self,
        field: str,
        path: Path,
        filename: str,
        on_progress: OnProgress | None = None,
        texts: Mapping[str, str] | None = None,
    ):
        """``filename`` is what the server sees; give a neutral one, as real names may carry a patient's.

        on_progress: hears how many bytes have gone, and of how many. texts: further fields, sent before the file.
        """
        self._on_progress = on_progress
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._path = path
        before = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
            for name, text in (texts or {}).items()
        )
        self._head = (
            f'{before}--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._length = len(self._head) + os.path.getsize(path) + len(self._tail)

    def __len__(self) -> int:
        """Bytes of the whole body."""
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """The body in chunks of at most `CHUNK_BYTES`."""
        yield self._head
        sent = len(self._head)
        with open(self._path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                if self._on_progress is not None:
                    self._on_progress(sent, self._length)
                yield chunk
                sent += len(chunk)
        yield self._tail


@dataclass(frozen=True)
class Part:
    """One part of a multipart reply; ``filename`` is empty when the part has none."""

    name: str
    filename: str
    content: bytes


def parse_multipart(content_type: str, body: bytes) -> dict[str, Part]:
    """The parts of ``body`` by name.

    Raises ValueError when the body is not multipart, has no boundary, or stops before its closing boundary.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_maintype() != "multipart" or not isinstance(boundary, str) or not boundary:
        raise ValueError("not a multipart body")
    delimiter = b"\r\n--" + boundary.encode("latin-1")
    # The first delimiter may open the body without a line end before it.
    pieces = (b"\r\n" + body).split(delimiter)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise ValueError("the body stops before its closing boundary")
    parts = {}
    for piece in pieces[1:-1]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            raise ValueError("a part has no header")
        fields = BytesHeaderParser().parsebytes(head.strip(b"\r\n") + b"\r\n\r\n")
        name = fields.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise ValueError("a part has no name")
        # A server's file name ends on this machine's disk at most as a name, never as a path.
        filename = os.path.basename((fields.get_filename() or "").replace("\\", "/"))
        parts[name] = Part(name, filename, content)
    return parts
