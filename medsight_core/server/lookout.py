"""The thread that looks at the images of the studies folder while nobody asks anything.

It keeps a `Worklist` up to date for the strategies, one image at a time, and makes way for questions. Knows nothing of
HTTP, of MONAI Label, or of how a case is chosen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from medsight_core.data.worklist import Worklist
from medsight_core.engine.impression import Impression
from medsight_core.errors import MedSightError
from medsight_core.server.failures import log_incident

_EVERY_SECONDS = 5.0  # how soon a new image is noticed
_SAVE_SECONDS = 10.0  # how much work a killed server loses


class Lookout:
    """Looks at what is new, again and again.

    images: the studies, by id. look: an image's impression; MedSightError means that the image cannot be read, any
    other exception that this process leaves it alone.
    """

    def __init__(
        self, worklist: Worklist, images: Callable[[], Mapping[str, Path]], look: Callable[[Path], Impression]
    ) -> None:
        """Start nothing yet."""
        self.worklist = worklist
        self._images, self._look = images, look
        self._thread: threading.Thread | None = None
        self._left_alone: set[str] = set()

    def start(self) -> None:
        """Start the thread, once; it ends with the process, and what it has not saved is made again."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
            self._thread.start()

    def look_around(self) -> None:
        """Bring the worklist up to date now, in this thread."""
        images = self._images()
        changed, saved = self.worklist.forget_all_but(images), time.monotonic()
        for image, path in images.items():
            changed = self._update(image, path) or changed
            if changed and time.monotonic() - saved > _SAVE_SECONDS:
                self.worklist.save()
                changed, saved = False, time.monotonic()
        if changed:
            self.worklist.save()

    def _run(self) -> None:
        while True:
            try:
                self.look_around()
            except Exception as error:  # a full disk, a folder that went: later it may be better
                log_incident(error)
                time.sleep(60.0)
            time.sleep(_EVERY_SECONDS)

    def _update(self, image: str, path: Path) -> bool:
        if image in self._left_alone:
            return False
        try:
            return self.worklist.update(image, path, self._glance)
        except Exception as error:  # one strange image must not keep the others from being looked at
            log_incident(error)
            self._left_alone.add(image)
            return False

    def _glance(self, path: Path) -> Impression | None:
        try:
            return self._look(path)
        except MedSightError:
            return None
