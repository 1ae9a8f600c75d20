"""MONAI Label's strategies: each chooses among the unlabelled images by what the model saw in the background.

Knows MONAI Label's datastore; how a case is chosen is `medsight_core.engine.choice`.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from medsight_core.data.worklist import Worklist
from medsight_core.engine.choice import STRATEGIES, choose
from medsight_core.protocol import ID_PATTERN

HANDED_OUT_SECONDS = 3600  # how long a case is left to whom it was handed; as long as a session lives


class WorklistStrategy(Strategy):
    """One of `medsight_core.engine.choice.STRATEGIES` over a worklist that others keep up to date."""

    def __init__(self, name: str, worklist: Worklist) -> None:
        """Raises KeyError for an unknown name."""
        super().__init__(STRATEGIES[name])
        self._name = name
        self._worklist = worklist
        self._chance = random.Random()

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """``{"id", "score", "reason"}`` of the case to label next; None when every image has a label.

        A case that was handed out within the hour comes again only when no other is left, the one that has been out for
        longest first: so whoever skips cases sees all of them before the first comes back.
        ``checksum``, where the image has been looked at, lets MONAI Label's clients see that they have it whole, and
        says later what they labelled.
        """
        images = images_of(datastore)
        impressions = self._worklist.impressions(images)
        unlabelled = [image for image in datastore.get_unlabeled_images() if image in impressions]
        if not unlabelled:
            return None
        since = {image: _handed_out(datastore.get_image_info(image)) for image in unlabelled}
        longest = min(since.values())
        waiting = {image: impressions[image] for image in unlabelled if since[image] == longest}
        seen = [impression for image, impression in impressions.items() if image not in waiting and impression]
        choice = choose(self._name, waiting, seen, self._chance)
        content = self._worklist.content(choice.id, images[choice.id])
        return {**asdict(choice), **({"checksum": content} if content else {})}


def images_of(datastore: Datastore) -> dict[str, Path]:
    """Where each image of a datastore lies, by id; without those whose ids no call could name."""
    ids = filter(ID_PATTERN.fullmatch, datastore.list_images())
    return {image: Path(datastore.get_image_uri(image)) for image in ids}


def _handed_out(info: Mapping[str, Any]) -> int:
    """When a case was handed out last, in seconds since 1970; 0 when it is free by now."""
    last = max((record.get("ts", 0) for record in info.get("strategy", {}).values()), default=0)
    return last if time.time() - last < HANDED_OUT_SECONDS else 0
