"""From clicks on the page to `Asker`, and from its outcomes to what the page shows.

What is shown stands in trame's state, by the names that `page.py` uses. All methods belong to the event loop; what is
slow runs beside it, and nothing here waits for it there. One question at a time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Callable

from MedSIGHTLib.asking import Asker, Prepared, Received
from MedSIGHTLib.conversation import Link
from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.prompt_memory import PromptMemory
from MedSIGHTLib.segments import segmentation_of
from MedSIGHTLib.style import sentence
from MedSIGHTLib.suggestions import suggestions_for
from MedSIGHTLib.thread_page import conversation_html
from MedSIGHTLib.waiting import Waiting

from medsight_core.answer import NOTICE
from medsight_core.client import ServerInfo
from medsight_core.errors import CancelledError, MedSightError
from slicer_extension.viewer.beside import beside, later
from slicer_extension.viewer.report import MUTED, TEXT, ReportPanel
from slicer_extension.viewer.scene import Scene
from slicer_extension.viewer.scopes import Scopes
from slicer_extension.viewer.segment_list import SegmentList
from slicer_extension.viewer.studies import Studies
from slicer_extension.viewer.windows import AUTOMATIC, show_window, windows_for

_CLOCK_SECONDS = 0.1
_CANCEL_SECONDS = 0.9  # what has not ended by then is left to itself, so that all is over within a second


class Session:
    """One person before one scene, with one server."""

    def __init__(self, state: Any, scene: Scene, studies: Studies, asker: Asker):
        """``state``: trame's. ``asker`` is connected."""
        self._state, self._scene, self._studies, self._asker = state, scene, studies, asker
        self._info: ServerInfo | None = None
        self._volumes: dict[str, Any] = {}  # by study
        self._volume: Any = None
        self._question: Prepared | None = None
        self._waiting: Waiting | None = None
        self._memory = PromptMemory(lambda: [turn.prompt for turn in asker.conversation(self._volume).turns])
        self._tasks: set[asyncio.Task] = set()
        self.pointer = Pointer(self._mark, self.say, self._later)
        self.segments = SegmentList(state, self.pointer)
        self.report = ReportPanel(state, self.pointer, self.say)
        self.scopes = Scopes(state)
        state.update(
            {
                "studies": [],
                "study": "",
                "opening": False,
                "connection": "Connecting \N{HORIZONTAL ELLIPSIS}",
                "connection_state": "busy",
                "notice": NOTICE,
                "model": "",
                "windows": [],
                "window": AUTOMATIC,
                "thread": "",
                "prompt": "",
                "suggestions": [],
                "waiting": False,
                "cancelling": False,
                "done": None,
                "status": "",
                "status_state": "idle",
                "can_undo": False,
                "can_redo": False,
            }
        )
        self._refresh()

    def start(self, work: Any) -> None:
        """Run a coroutine on the loop, with the state sent whenever it pauses for long."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def say(self, text: str, state: str = "idle") -> None:
        """A sentence below the conversation."""
        self._state.update({"status": text, "status_state": state})
        self._state.flush()

    # -- the server and its studies

    async def connect(self) -> None:
        """Ask the server who it is and what it has; the first study is opened when there is only one."""
        self._show_connection("busy", "Connecting \N{HORIZONTAL ELLIPSIS}")
        try:
            self._info = await beside(self._asker.info)
            self._state.studies = list(await beside(self._studies.names))
        except Exception as error:
            self._show_connection("problem", sentence(error))
            return
        model = self._info.model
        name = f"{model.id} {model.version}".strip() or "a model without a name"
        self._show_connection("good", f"Connected \N{MIDDLE DOT} {name}")
        self._state.model = f"Model {name} \N{MIDDLE DOT} licence: {model.licence or 'not stated by the server'}"
        self._refresh()
        if len(self._state.studies) == 1 and self._volume is None:
            await self.open(self._state.studies[0])

    async def open(self, study: str) -> None:
        """Show a study; the conversation about it goes on where it was."""
        if self._state.opening or study not in self._state.studies:
            return
        if study not in self._volumes:
            self._state.opening = True
            self.say(f"Loading {study} \N{HORIZONTAL ELLIPSIS}", "busy")
            try:
                path = await beside(lambda: self._studies.fetch(study))
                self._volumes[study] = self._scene.load(str(path), study)
            except Exception as error:
                self.say(sentence(error), "problem")
                return
            finally:
                self._state.opening = False
                self._state.flush()
        self.pointer.close()
        self._volume = self._volumes[study]
        self._state.study = study
        self._scene.show(self._volume)
        self._state.windows, self._state.window = windows_for(self._volume), AUTOMATIC
        if self._waiting is None:
            self.say("")
        self._refresh()

    def show_window(self, name: str) -> None:
        """Show the study's values between other ends."""
        if self._volume is not None:
            show_window(self._volume, name)

    def _show_connection(self, state: str, text: str) -> None:
        self._state.update({"connection": text, "connection_state": state})
        self._state.flush()

    # -- a question and what becomes of it

    def ask(self, prompt: str, scope: str, first: Any, last: Any) -> bool:
        """Send a question as `Scopes.take` has it; False when it stays in the box, and a problem becomes a sentence."""
        if self._question is not None or self._volume is None or not prompt.strip():
            return False
        self.scopes.take(scope, first, last)
        orientations = self._info.orientations if self._info else ()
        try:
            question = self._asker.prepare(self._volume, prompt, self.scopes.chosen, orientations)
        except MedSightError as error:
            self.say(str(error), "problem")
            return False
        self._memory.add(prompt)
        self._question = question
        self._waiting = Waiting(question.prompt, question.looked_at, time.monotonic())
        self.start(self._answer(question))
        self._refresh()
        return True

    def cancel(self) -> None:
        """Stop waiting, within a second."""
        if self._question is not None:
            self._question.cancel.set()
            self._refresh()

    async def _answer(self, question: Prepared) -> None:
        clock = asyncio.get_running_loop().create_task(self._show_waiting())
        try:
            self._answered(question, await self._sent(question))
        except Exception as error:
            self._failed(question, error)
        finally:
            clock.cancel()

    async def _sent(self, question: Prepared) -> Received:
        """What the server replies; CancelledError within a second after the question was cancelled."""
        loop = asyncio.get_running_loop()
        work = beside(lambda: self._asker.send(question, lambda event: loop.call_soon_threadsafe(self._hear, event)))
        deadline = None
        while not work.done():
            await asyncio.wait({work}, timeout=_CLOCK_SECONDS)
            if question.cancel.is_set():
                deadline = deadline or time.monotonic() + _CANCEL_SECONDS
                if time.monotonic() > deadline and not work.done():
                    work.cancel()
                    self._asker.abandon()
                    raise CancelledError(
                        "The question was cancelled here; what was on its way to the server ends by itself."
                    )
        received = work.result()
        if question.cancel.is_set():
            raise CancelledError("The question was cancelled, and its answer was not used.")
        return received

    def _hear(self, event: Any) -> None:
        if self._waiting is not None:
            self._waiting.hear(event, time.monotonic())

    def _answered(self, question: Prepared, received: Received) -> None:
        waiting = self._waiting
        self.pointer.close()
        outlined = self._asker.finish(question, received)
        self._question = self._waiting = None
        if outlined is not None:
            self._scene.show_surfaces(outlined.node)
            outlined.node.SetDisplayVisibility(question.volume_node is self._volume)
        self.say(waiting.took(time.monotonic()))
        self._refresh()

    def _failed(self, question: Prepared, error: Exception) -> None:
        self._question = self._waiting = None
        if not self._state.prompt.strip():  # here it is again, unless something else is being written by now
            self._state.prompt = question.prompt
        self.say(sentence(error), "idle" if isinstance(error, CancelledError) else "problem")
        self._refresh()

    # -- what the person does with the thread

    def follow(self, link: str) -> None:
        """Show the segment that a link in the thread means."""
        segment_id = self._segment_id(link)
        if segment_id is not None:
            self.pointer.go_to(self._volume, segment_id)

    def go_to(self, segment_id: str) -> None:
        """Show a segment of the list."""
        if self._volume is not None:
            self.pointer.go_to(self._volume, segment_id)

    def point_at(self, link: str) -> None:
        """Dim all segments but the one that a link means; none for any other text."""
        if self._volume is not None:
            self.pointer.point_at(self._volume, self._segment_id(link))

    def recall(self, shown: str, back: bool) -> None:
        """An arrow key in the box: the question before or after."""
        recalled = self._memory.back(shown) if back else self._memory.forth(shown)
        if recalled is not None:
            self._state.prompt = recalled
            self._state.flush()

    def start_over(self) -> None:
        """Forget what was said about the volume; its segments stay."""
        if self._volume is not None and self._question is None:
            self._asker.start_over(self._volume)
            self.say("")
            self._refresh()

    def step(self, back: bool) -> None:
        """Undo or redo an answer's segments."""
        node = segmentation_of(self._volume) if self._volume is not None else None
        if node is None or self._question is not None:
            return
        self.pointer.close()
        try:
            (self._asker.undo.undo if back else self._asker.undo.redo)(node)
            self.say("")
        except MedSightError as error:
            self.say(str(error), "problem")
        self._refresh()

    def _segment_id(self, text: str) -> str | None:
        """That a link means, though the segment may be gone by now; None for any other text."""
        link = Link.parse(text)
        followed = self._asker.conversation(self._volume).follow(link) if link is not None else None
        return None if followed is None else followed[1]

    def _mark(self, segment_id: str) -> None:
        self.segments.chosen = segment_id
        self._refresh()

    def _later(self, milliseconds: int, callback: Callable[[], None]) -> Callable[[], None]:
        """For what blinks: the list of segments tells what can be seen."""

        def call() -> None:
            callback()
            self._refresh()

        return later(milliseconds, call)

    # -- what is shown

    def _refresh(self) -> None:
        """Bring the whole page in line."""
        state, volume, busy = self._state, self._volume, self._question is not None
        conversation = self._asker.conversation(volume)
        node = segmentation_of(volume) if volume is not None else None
        state.update(
            {
                "waiting": busy,
                "cancelling": busy and self._question.cancel.is_set(),
                "suggestions": suggestions_for(volume, self._info) if volume is not None else [],
                "can_undo": not busy and self._asker.undo.can_undo(node),
                "can_redo": not busy and self._asker.undo.can_redo(node),
                "can_start_over": not busy and bool(conversation.turns),
            }
        )
        self.scopes.offer(self._info, volume)
        self._show_thread()
        self.segments.show(node, conversation)
        self.report.show(volume)  # sends what has changed: all else has to be in line by then

    def _show_thread(self) -> None:
        turns = self._asker.conversation(self._volume).turns
        asked_here = self._question is not None and self._question.volume_node is self._volume
        waiting = self._waiting if asked_here else None
        shown = bool(turns or waiting)
        self._state.thread = conversation_html(turns, TEXT, MUTED, waiting) if shown else ""

    async def _show_waiting(self) -> None:
        """While a question is on its way: how far it is, and what the model has said."""
        while self._waiting is not None and self._question is not None:
            cancelled = self._question.cancel.is_set()
            self._state.done = self._waiting.done
            self._show_thread()
            self.say(
                "Cancelling \N{HORIZONTAL ELLIPSIS}" if cancelled else self._waiting.sentence(time.monotonic()), "busy"
            )
            await asyncio.sleep(_CLOCK_SECONDS)
