"""The conversation as it is read: pages of turns, and links that lead to segments.

Written for PythonQt. Click a name and all views go to its segment, which blinks once; point at it and the others pale.
"""

from __future__ import annotations

from typing import Any

from MedSIGHTLib.conversation import Conversation, Link
from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.style import Colors
from MedSIGHTLib.thread_page import LATEST, conversation_html
from MedSIGHTLib.waiting import Waiting


class ThreadView:
    """A QTextBrowser with the turns about one volume."""

    def __init__(self, browser: Any, pointer: Pointer, colors: Colors):
        """``pointer`` leads to the segments that are named."""
        self._browser, self._pointer, self._colors = browser, pointer, colors
        self._conversation, self._volume = Conversation(), None
        self._shown = ""
        self._place = 0
        browser.connect("anchorClicked(QUrl)", self.go_to)
        browser.connect("highlighted(QUrl)", self.point_at)

    def show(self, conversation: Conversation, volume: Any, waiting: Waiting | None) -> None:
        """Bring the page in line; a reader who has scrolled elsewhere stays there."""
        if volume is not self._volume:
            self._pointer.close()
        self._conversation, self._volume = conversation, volume
        content = ""
        if conversation.turns or waiting is not None:
            content = conversation_html(conversation.turns, self._colors.text, self._colors.muted, waiting)
        if content == self._shown:
            return
        bar = self._browser.verticalScrollBar()
        place, left = bar.property("value"), bar.property("value") != self._place
        self._shown = content
        self._browser.setHtml(content)
        if left and waiting is not None and waiting.text:
            bar.setValue(place)
        else:
            self._browser.scrollToAnchor(LATEST)
            self._place = bar.property("value")

    def go_to(self, url: Any) -> None:
        """Show the segment that a link means."""
        segment_id = self._segment_id(url)
        if segment_id is not None:
            self._pointer.go_to(self._volume, segment_id)

    def point_at(self, url: Any) -> None:
        """Dim all segments but the one that a link means; none for any other link."""
        self._pointer.point_at(self._volume, self._segment_id(url))

    def _segment_id(self, url: Any) -> str | None:
        """That a link means, though the segment may be gone by now; None for any other link."""
        link = Link.parse(url.toString())
        followed = self._conversation.follow(link) if link is not None else None
        return None if followed is None else followed[1]
