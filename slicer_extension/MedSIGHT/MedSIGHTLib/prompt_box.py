"""The box in which a question is written, and its keys: to ask, to cancel, to bring back what was asked before.

Written for PythonQt. When an arrow recalls and when it moves the cursor is `prompt_memory`'s.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

import qt

from MedSIGHTLib.prompt_memory import PromptMemory
from MedSIGHTLib.translating import _

# As the panel lists them.
KEYS = (("Ctrl+Enter", _("ask")), ("Esc", _("cancel")), ("↑ ↓", _("earlier questions")), ("Tab", _("next")))


class PromptBox:
    """A QPlainTextEdit with a memory."""

    def __init__(
        self, edit: Any, ask: Callable[[], None], cancel: Callable[[], None], earlier: Callable[[], Sequence[str]]
    ):
        """``earlier``: the questions of the conversation that is shown, oldest first."""
        self._edit, self._memory = edit, PromptMemory(earlier)
        slots = {"Ctrl+Return": ask, "Ctrl+Enter": ask, "Esc": cancel}
        self._shortcuts = [self._shortcut(keys, slot) for keys, slot in slots.items()]
        self._arrows = _Arrows(
            lambda: self._show(self._memory.back(self.text)), lambda: self._show(self._memory.forth(self.text))
        )
        edit.installEventFilter(self._arrows)

    @property
    def text(self) -> str:
        """What is written."""
        return self._edit.plainText

    def take(self) -> str:
        """What is written, which is remembered and leaves the box."""
        text = self.text
        self._memory.add(text)
        self._edit.plainText = ""
        return text

    def give_back(self, text: str) -> None:
        """The question could not be answered: here it is again, unless something else is being written by now."""
        if not self.text.strip():
            self._edit.plainText = text

    def _show(self, recalled: str | None) -> bool:
        """False when the arrow belongs to the text."""
        if recalled is not None and recalled != self.text:
            self._edit.plainText = recalled
        return recalled is not None

    def _shortcut(self, keys: str, slot: Callable[[], None]) -> Any:
        shortcut = qt.QShortcut(qt.QKeySequence(keys), self._edit)
        shortcut.context = qt.Qt.WidgetShortcut
        shortcut.connect("activated()", slot)
        return shortcut


class _Arrows(qt.QObject):
    """Takes the arrow keys before the text does: as shortcuts they would never get past it."""

    def __init__(self, back: Callable[[], bool], forth: Callable[[], bool]):
        qt.QObject.__init__(self)
        self._back, self._forth = back, forth

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """True when the key was used here."""
        if event.type() != qt.QEvent.KeyPress or not hasattr(event, "key"):  # typing must go on, come what may
            return False
        if event.key() == qt.Qt.Key_Up:
            return self._back()
        return event.key() == qt.Qt.Key_Down and self._forth()
