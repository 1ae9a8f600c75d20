"""A question on its way: prepared from the scene, sent without it, answered into it.

Three steps, because only the middle one is slow and only the others may touch MRML. Free of Qt; the panel runs the
middle step beside the event loop, scripts and tests call `Asker.ask` and wait.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

import slicer

from medsight_core.client import Progress, Reply, ServerInfo
from medsight_core.errors import InputError
from medsight_core.protocol import SCOPE_PLANE, SCOPE_RANGE, SCOPE_VOLUME, check_prompt, is_range, parse_range
from MedSIGHTLib import mrml
from MedSIGHTLib.connection import Connection
from MedSIGHTLib.conversation import Conversation, Turn
from MedSIGHTLib.conversation_store import forget_lost_conversations, load_conversation, save_conversation
from MedSIGHTLib.segments import Arrived, Outlined, apply_segmentation
from MedSIGHTLib.thresholding import SoftMasks
from MedSIGHTLib.translating import _
from MedSIGHTLib.undo import Undo
from MedSIGHTLib.volume_file import Snapshot
from MedSIGHTLib.waiting import RECEIVE


@dataclass(frozen=True)
class Prepared:
    """All that a question needs once the scene is out of reach; the volume node is for the last step only.

    arguments: of `MedSightClient.ask`. cancel: set it and `Asker.send` ends with CancelledError within a second.
    """

    prompt: str
    looked_at: str
    arguments: Mapping[str, Any]
    snapshot: Snapshot = field(repr=False)
    volume_node: slicer.vtkMRMLScalarVolumeNode
    volume_id: str
    volume_state: tuple
    connection: Connection
    cancel: threading.Event


@dataclass(frozen=True)
class Received:
    """A reply, and its outlines as `apply_segmentation` wants them; None when there are none."""

    reply: Reply
    arrived: Arrived | None


class Asker:
    """A server, and the answers' way into the scene."""

    def __init__(self, soft: bool = False) -> None:
        """Not connected to anything. soft: ask for soft masks, so that the edge of what is outlined can be moved."""
        self.undo = Undo()
        self.soft_masks = SoftMasks()
        self._soft = soft
        self._connection: Connection | None = None

    def connect(self, address: str, token: str) -> None:
        """Use this server from now on; opens no connection yet. Raises InputError for an unusable address or token."""
        if self._connection is None or (address, token) != (self._connection.address, self._connection.token):
            self._connection = Connection(address, token)

    def info(self) -> ServerInfo:
        """Who the server is; slow, touches no scene, and may run beside a question."""
        return self._connected().info()

    def prepare(
        self, volume_node: Any, prompt: str, scope: str = SCOPE_VOLUME, orientations: tuple[str, ...] = ()
    ) -> Prepared:
        """Check the question and take from the scene what it needs; belongs to the scene's thread.

        scope: `SCOPE_VOLUME`, the layout name of a slice view ("Red") whose plane is meant, or a range of slices along
        the volume ("axial:10-20"). orientations: those that the server's model knows, when it has said so.
        Raises InputError, TooLargeError or VolumeError with a sentence when it cannot be asked.
        """
        connection = self._connected()
        if volume_node is None:
            raise InputError(_("No volume is chosen: choose the one that the question is about."))
        prompt = check_prompt(prompt)
        where, looked_at = _where(volume_node, scope, orientations)
        return Prepared(
            prompt,
            looked_at,
            {
                "prompt": prompt,
                **where,
                "history": self.conversation(volume_node).history(),
                "modality": mrml.modality_of(volume_node),
                "soft": self._soft,
            },
            mrml.snapshot(volume_node),
            volume_node,
            volume_node.GetID(),
            mrml.volume_state(volume_node),
            connection,
            threading.Event(),
        )

    def send(self, question: Prepared, heard: Callable[[Any], None] = lambda event: None) -> Received:
        """Upload the volume unless the server has it, ask, and read the outlines; slow, touches no scene.

        heard: called in this thread with each `Progress` and `Text` meanwhile. Raises the client's errors.
        """
        reply = question.connection.ask(
            question.volume_id, question.snapshot, question.arguments, heard, question.cancel
        )
        heard(Progress(RECEIVE))
        return Received(reply, Arrived.of(reply))

    def finish(self, question: Prepared, received: Received, replace_edited: bool = False) -> Outlined | None:
        """Put the outlines into the scene and the turn into the conversation; belongs to the scene's thread.

        None when nothing was found. Raises InputError when the volume is gone or another by now, ServerError when the
        outlines do not fit it; then the scene stays as it was.
        """
        volume_node, scene = question.volume_node, question.volume_node.GetScene()
        if scene is None or not scene.IsNodePresent(volume_node):
            raise InputError(
                _("The volume was removed while the server answered, so nothing was added: load it again and ask.")
            )
        if mrml.volume_state(volume_node) != question.volume_state:
            raise InputError(_("The volume was changed while the server answered, so nothing was added: ask again."))
        outlined = apply_segmentation(
            received.reply, volume_node, received.arrived, replace_edited=replace_edited, undo=self.undo
        )
        if outlined is not None:
            self.undo.saved(outlined.node)
            self.soft_masks.add(received.reply, outlined)
        conversation = self.conversation(volume_node)
        ids, kept = (outlined.segment_ids, outlined.kept) if outlined else ({}, ())
        conversation.add(Turn(question.prompt, received.reply.answer, ids, question.looked_at, kept))
        save_conversation(volume_node, conversation)
        return outlined

    def ask(self, volume_node: Any, prompt: str, scope: str = SCOPE_VOLUME) -> tuple[Reply, Outlined | None]:
        """All three steps, waiting for the answer."""
        question = self.prepare(volume_node, prompt, scope)
        received = self.send(question)
        return received.reply, self.finish(question, received)

    def conversation(self, volume_node: Any) -> Conversation:
        """What was said about a volume; belongs to the scene's thread."""
        return load_conversation(volume_node) if volume_node is not None else Conversation()

    def start_over(self, volume_node: Any) -> None:
        """Forget what was said about a volume; its segments stay."""
        save_conversation(volume_node, Conversation())

    def forget_lost_conversations(self, scene: slicer.vtkMRMLScene) -> None:
        """Of volumes that were removed."""
        forget_lost_conversations(scene)

    def abandon(self) -> None:
        """A question that does not end although it was cancelled keeps its connection; the next one gets another."""
        if self._connection is not None:
            self._connection = self._connection.another()

    def close(self) -> None:
        """Make the server forget the uploaded volumes, if it is there to listen; slow, touches no scene."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> Connection:
        if self._connection is None:
            raise InputError(
                _("No server is chosen: give its address and token under Server, then test the connection.")
            )
        return self._connection


def _where(volume_node: Any, scope: str, orientations: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """A scope as `MedSightClient.ask` takes it, and in words ("" for the whole volume)."""
    if scope == SCOPE_VOLUME:
        return {"scope": SCOPE_VOLUME}, ""
    if is_range(scope):
        planes = parse_range(scope)
        _check_orientation(
            _("The range is {orientation}").format(orientation=planes.orientation), planes.orientation, orientations
        )
        words = _("{orientation} slices {first} to {last}").format(**planes.to_json())
        return {"scope": SCOPE_RANGE, "plane": planes}, words
    plane = mrml.view_plane(volume_node, scope)
    orientation = mrml.orientation_of(plane)
    _check_orientation(
        _("The {view} slice lies nearest to {orientation}").format(view=scope.lower(), orientation=orientation),
        orientation,
        orientations,
    )
    return {"scope": SCOPE_PLANE, "plane": plane}, _("{view} slice").format(view=scope)


def _check_orientation(where: str, orientation: str, orientations: tuple[str, ...]) -> None:
    if orientations and orientation not in orientations:
        raise InputError(
            _("{where}, and this server's model was not trained on such planes: choose a view that is {names}.").format(
                where=where, names=_(" or ").join(orientations)
            )
        )
