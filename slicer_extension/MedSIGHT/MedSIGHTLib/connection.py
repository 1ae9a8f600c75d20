"""One server, and which volumes it holds, by their content. Knows the client; no Slicer, no Qt.

Belongs to the thread beside the event loop, one piece of work at a time.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, Mapping

from medsight_core.client import MedSightClient, Progress, Reply, ServerInfo
from medsight_core.errors import CancelledError, InputError, MedSightError, NotFoundError
from medsight_core.protocol import EXTENSION_SEGMENTATION, PACKED_EXTENSIONS
from MedSIGHTLib.translating import _
from MedSIGHTLib.volume_file import Snapshot
from MedSIGHTLib.waiting import PREPARE, UPLOAD

_MAX_VOLUMES = 4  # on the server at a time

Heard = Callable[[Any], None]


class Connection:
    """An address, a token, and the sessions of what was uploaded."""

    def __init__(self, address: str, token: str):
        """Opens no connection yet. Raises InputError for an address or a token that cannot be used."""
        self.address, self.token = address, token
        self._client = MedSightClient(address, token or None)
        self._sessions: dict[str, tuple[str, str]] = {}  # by volume: content and session, the newest last

    def another(self) -> Connection:
        """The same server, for another thread; it knows of no uploads."""
        return Connection(self.address, self.token)

    def info(self) -> ServerInfo:
        """Who the server is; may run beside a question."""
        with MedSightClient(self.address, self.token or None) as client:
            return client.info()

    def ask(
        self,
        volume: str,
        snapshot: Snapshot,
        question: Mapping[str, Any],
        heard: Heard,
        cancel: threading.Event,
    ) -> Reply:
        """Upload the volume unless the server has this content, ask, and return the reply.

        volume: which one it is, so that its former content is forgotten. question: arguments of `MedSightClient.ask`.
        Raises CancelledError soon after ``cancel`` is set, and the client's errors.
        """
        heard(Progress(PREPARE))
        content = snapshot.content()
        _look(cancel)
        codec = self._client.codec()
        session = self._session_with(content)
        question = {**question, "result_extension": PACKED_EXTENSIONS.get(codec, EXTENSION_SEGMENTATION)}
        if session is not None:
            self._remember(volume, content, session)
            try:
                return self._send(session, question, heard, cancel)
            except NotFoundError:  # expired: the volume goes up again
                self._sessions = {key: value for key, value in self._sessions.items() if value[1] != session}
        upload = self._upload if codec else self._upload_file
        session = upload(snapshot, content, heard, cancel)
        self._remember(volume, content, session)
        return self._send(session, question, heard, cancel)

    def close(self) -> None:
        """Make the server forget all volumes, if it is there to listen."""
        sessions, self._sessions = {session for __, session in self._sessions.values()}, {}
        for session in sessions:
            if not self._forget(session):
                break
        self._client.close()

    def _send(self, session: str, question: Mapping[str, Any], heard: Heard, cancel: threading.Event) -> Reply:
        _look(cancel)
        return self._client.ask(session=session, on_event=heard, cancel=cancel, **question)

    def _upload(self, snapshot: Snapshot, content: str, heard: Heard, cancel: threading.Event) -> str:
        try:
            voxels = snapshot.voxels.transpose()
            return self._client.upload_voxels(voxels, snapshot.affine, _telling(heard, cancel), content)
        except InputError:  # the server compares what came with the content that was announced
            if snapshot.content() == content:
                raise
            raise _changed() from None

    def _upload_file(self, snapshot: Snapshot, content: str, heard: Heard, cancel: threading.Event) -> str:
        """For an older server."""
        folder = Path(tempfile.mkdtemp(prefix="medsight-"))
        try:
            snapshot.write(folder / "volume.nrrd")
            _look(cancel)
            session = self._client.upload(folder / "volume.nrrd", on_progress=_telling(heard, cancel))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if snapshot.content() != content:
            self._forget(session)
            raise _changed()
        return session

    def _session_with(self, content: str) -> str | None:
        return next((session for known, session in self._sessions.values() if known == content), None)

    def _remember(self, volume: str, content: str, session: str) -> None:
        """Keep few volumes on the server: the newest content of each, and the newest volumes."""
        before = {known for __, known in self._sessions.values()}
        self._sessions.pop(volume, None)
        self._sessions[volume] = (content, session)
        while len(self._sessions) > _MAX_VOLUMES:
            del self._sessions[next(iter(self._sessions))]
        for unused in before.difference(known for __, known in self._sessions.values()):
            self._forget(unused)

    def _forget(self, session: str) -> bool:
        with contextlib.suppress(MedSightError):  # it expires by itself within the hour
            self._client.delete_session(session)
            return True
        return False


def _telling(heard: Heard, cancel: threading.Event) -> Callable[[int, int], None]:
    def told(sent: int, total: int) -> None:
        _look(cancel)
        heard(Progress(UPLOAD, done=sent / total))

    return told


def _changed() -> InputError:
    return InputError(_("The volume was changed while it was sent: ask again."))


def _look(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise CancelledError(_("The question was cancelled before it was sent."))
