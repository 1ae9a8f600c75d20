"""A question on its way: prepared from the scene, sent without it, answered into it.

Three steps, because only the middle one is slow and only the others may touch MRML. Free of Qt; the panel runs the
middle step beside the event loop, scripts and tests call `Asker.ask` and wait.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from medsight_core.client import MedSightClient, Reply, ServerInfo
from medsight_core.errors import InputError, MedSightError, NotFoundError
from medsight_core.protocol import SCOPE_PLANE, SCOPE_VOLUME, PlaneRequest, check_prompt
from MedSIGHTLib import mrml
from MedSIGHTLib.conversation import Conversation, Turn


@dataclass(frozen=True)
class Prepared:
    """All that a question needs once the scene is out of reach; the volume node is for the last step only."""

    prompt: str
    scope: str
    plane: PlaneRequest | None
    history: tuple[tuple[str, str], ...]
    modality: str | None
    volume_node: slicer.vtkMRMLScalarVolumeNode
    volume_state: tuple
    file: Path


class Asker:
    """A server, what was uploaded to it, and the conversation about the current volume."""

    def __init__(self) -> None:
        """Not connected to anything."""
        self.conversation = Conversation()
        self._client: MedSightClient | None = None
        self._connection: tuple[str, str] | None = None
        self._session: tuple[tuple, str] | None = None  # state of the volume that was uploaded, and its session

    def connect(self, address: str, token: str) -> None:
        """Use this server from now on; opens no connection yet. Raises InputError for an unusable address or token."""
        if (address, token) != self._connection:
            client = MedSightClient(address, token or None)
            self._client, self._connection, self._session = client, (address, token), None

    def info(self) -> ServerInfo:
        """Who the server is; slow, touches no scene."""
        return self._connected().info()

    def prepare(self, volume_node: Any, prompt: str, scope: str = SCOPE_VOLUME) -> Prepared:
        """Check the question and take from the scene what it needs; belongs to the scene's thread.

        Raises InputError, TooLargeError or VolumeError with a sentence when it cannot be asked.
        """
        self._connected()
        if volume_node is None:
            raise InputError("No volume is chosen: choose the one that the question is about.")
        prompt = check_prompt(prompt)
        plane = mrml.current_plane(volume_node) if scope == SCOPE_PLANE else None
        self.conversation.turn_to(volume_node.GetID())
        folder = tempfile.mkdtemp(prefix="medsight-")
        try:
            file = mrml.export_volume(volume_node, folder)
        except MedSightError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Prepared(
            prompt,
            scope,
            plane,
            self.conversation.history(),
            mrml.modality_of(volume_node),
            volume_node,
            mrml.volume_state(volume_node),
            file,
        )

    def send(self, question: Prepared) -> Reply:
        """Upload the volume unless the server has it, ask, and return the reply; slow, touches no scene.

        The temporary file is removed whatever happens. Raises the client's errors.
        """
        client = self._connected()
        try:
            session = self._session[1] if self._session and self._session[0] == question.volume_state else None
            if session is not None:
                try:
                    return self._ask(client, session, question)
                except NotFoundError:
                    self._session = None  # expired: the volume goes up again
            previous, self._session = self._session, None
            if previous is not None:
                _forget(client, previous[1])
            session = client.upload(question.file)
            self._session = (question.volume_state, session)
            return self._ask(client, session, question)
        finally:
            shutil.rmtree(question.file.parent, ignore_errors=True)

    def finish(self, question: Prepared, reply: Reply) -> mrml.Outlined | None:
        """Put the outlines into the scene and the turn into the conversation; belongs to the scene's thread.

        None when nothing was found. Raises InputError when the volume is gone by now, ServerError when the outlines do
        not fit it; then the scene stays as it was.
        """
        scene = question.volume_node.GetScene()
        if scene is None or not scene.IsNodePresent(question.volume_node):
            raise InputError(
                "The volume was removed while the server answered, so nothing was added: load it again and ask."
            )
        outlined = mrml.apply_segmentation(reply, question.volume_node)
        self.conversation.turn_to(question.volume_node.GetID())
        self.conversation.add(Turn(question.prompt, reply.answer, outlined.segment_ids if outlined else {}))
        return outlined

    def ask(self, volume_node: Any, prompt: str, scope: str = SCOPE_VOLUME) -> tuple[Reply, mrml.Outlined | None]:
        """All three steps, waiting for the answer."""
        question = self.prepare(volume_node, prompt, scope)
        reply = self.send(question)
        return reply, self.finish(question, reply)

    def close(self) -> None:
        """Make the server forget the uploaded volume, if it is there to listen; slow, touches no scene."""
        session, self._session = self._session, None
        if session is not None and self._client is not None:
            _forget(self._client, session[1])

    def _connected(self) -> MedSightClient:
        if self._client is None:
            raise InputError("No server is chosen: give its address and token under Server, then press Connect.")
        return self._client

    @staticmethod
    def _ask(client: MedSightClient, session: str, question: Prepared) -> Reply:
        return client.ask(
            question.prompt,
            session=session,
            scope=question.scope,
            plane=question.plane,
            history=question.history,
            modality=question.modality,
        )


def _forget(client: MedSightClient, session: str) -> None:
    with contextlib.suppress(MedSightError):  # it expires by itself within the hour
        client.delete_session(session)
