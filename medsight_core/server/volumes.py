"""``/medsight/volumes/{content}``: packed volumes that travel once, known by the hash of what is in them.

``POST`` opens a session on a volume that this server has already, ``PUT`` brings one. Both reply as ``PUT /session/``
does. A volume is kept beside its sessions, so that it need not travel again when they are gone, until newer ones need
the room; all go with the server. It knows nothing of what is in the image.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request

from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.volume import EXTENSION_PACKED
from medsight_core.packing import announced_bytes, content_of_packed
from medsight_core.protocol import PATH_VOLUMES

KEPT_BYTES = 2 << 30
_WRITTEN_TOGETHER = 4 << 20
_CONTENT = re.compile("[0-9a-f]{64}")

router = APIRouter(prefix=PATH_VOLUMES)


class KeptVolumes:
    """Packed volumes in a folder of their own, at most so many bytes (the newest whatever its size)."""

    def __init__(
        self, folder: Path, capacity: int = KEPT_BYTES, admit: Callable[[int], None] = lambda voxel_bytes: None
    ) -> None:
        """admit: refuses a volume whose voxels take more memory than there is, before they are unpacked."""
        self._folder, self._capacity, self._admit = folder, capacity, admit
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def copy(self, content: str, target: Path) -> bool:
        """Put the volume with this content at ``target``, without doubling it on disk; False when it is not here."""
        kept = self._folder / _checked(content)
        with self._lock:
            if not kept.exists():
                return False
            os.utime(kept)  # used last
            try:
                os.link(kept, target)
            except OSError:  # a file system without links
                shutil.copyfile(kept, target)
            return True

    @contextlib.contextmanager
    def arriving(self) -> Iterator[Path]:
        """A name for what arrives, for `keep` to take or refuse."""
        with tempfile.TemporaryDirectory(dir=self._folder.parent) as folder:  # on the same disk
            yield Path(folder) / "arriving"

    def keep(self, content: str, packed: Path) -> None:
        """Take a packed volume's file under its content, and drop what was unused for longest when there is no room.

        Raises VolumeError or TooLargeError when it is none, InputError when it has another content, and as ``admit``.
        """
        path = self._folder / _checked(content)
        with packed.open("rb") as file:
            self._admit(announced_bytes(file))
        with packed.open("rb") as file:
            if content_of_packed(file) != content:
                raise InputError("The volume has another content than its address names: send it again.")
        with self._lock:
            os.replace(packed, path)  # a new file: sessions share the one before
            by_age = sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)
            while len(by_age) > 1 and sum(one.stat().st_size for one in by_age) > self._capacity:
                by_age.pop(0).unlink()


@router.post("/{content}")
async def open_session(request: Request, content: str) -> dict[str, Any]:
    """A session on a volume that is here; NotFoundError when it is not."""
    session = await anyio.to_thread.run_sync(_session_on, request.app.state, content)
    if session is None:
        raise NotFoundError("This server does not have a volume with this content: send it with PUT.")
    return session


@router.put("/{content}")
async def add_volume(request: Request, content: str) -> dict[str, Any]:
    """Take a packed volume, and open a session on it."""
    _checked(content)
    state = request.app.state

    def store(packed: Path) -> dict[str, Any]:
        state.volumes.keep(content, packed)
        session = _session_on(state, content)
        assert session is not None  # noqa: S101 - the newest is never dropped
        return session

    with state.volumes.arriving() as packed:
        async with await anyio.open_file(packed, "wb", buffering=0) as file:
            waiting = bytearray()
            async for chunk in request.stream():
                waiting += chunk
                if len(waiting) >= _WRITTEN_TOGETHER:
                    await file.write(waiting)
                    waiting = bytearray()
            await file.write(waiting)
        return await anyio.to_thread.run_sync(store, packed)


def _session_on(state: Any, content: str) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / f"image{EXTENSION_PACKED}"
        if not state.volumes.copy(content, image):
            return None
        session_id, session = state.label_app.sessions().add_session(str(image), session_id=secrets.token_hex(16))
    return {"session_id": session_id, "session_info": {"name": session_id, "expiry": session.expiry}}


def _checked(content: str) -> str:
    if not _CONTENT.fullmatch(content):
        raise InputError("A volume is addressed by its content, 64 digits of a hash: let the client send it.")
    return content
