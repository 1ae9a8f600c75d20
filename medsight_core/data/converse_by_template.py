"""Grounded conversations from images whose masks have codes, written by templates (model-spec 5).

Half of the requests ask for something that the image does not show, among things that other images of its series do
show. A conversation depends on nothing but the seed, its image and the data set's names. With a line of detections in
front (`medsight_core.engine.context`) it is the line that answers follow, and half of the requests ask for what it does
not list. `scene` decides what is there, `dialogue` what is asked.
"""

from __future__ import annotations

import random
from typing import Iterator, Sequence

from medsight_core.data import small_talk
from medsight_core.data.coded import CodedImage
from medsight_core.data.converse import conversation_id
from medsight_core.data.dialogue import Dialogue
from medsight_core.data.records import Conversation, Turn
from medsight_core.data.scene import Scene, imagined, pictured, told
from medsight_core.data.targets import MOST_MASKS, Inventory, Series, Target, to_conversation
from medsight_core.errors import InputError

_ANNOUNCED = 0.1  # share of conversations with a line that begin with an opening


class TemplateAuthor:
    """Writes conversations about the images of one data set, the same ones for a seed.

    with_context: put the line of detections in front of the first question, and follow it.
    turns: least and most turns of a conversation; None for the paper's one to three requests.
    most_masks: masks that the answers of a conversation outline together.
    order: names in the order in which the line lists them, that of the class head; others follow by alphabet.
    """

    def __init__(
        self,
        images: Sequence[CodedImage],
        seed: int,
        with_context: bool = False,
        turns: tuple[int, int] | None = None,
        most_masks: int = MOST_MASKS,
        order: Sequence[str] = (),
    ) -> None:
        self._inventory = Inventory(images)
        self._seed, self._turns, self._most_masks = seed, _checked(turns), most_masks
        self._with_context, self._order = with_context, order
        self._chance = 0.5 if with_context else _chance_of_lacking(images, self._inventory)

    def write(self, image: CodedImage, number: int) -> Conversation | None:
        """Conversation ``number`` about an image; None when there is nothing to ask for."""
        rng = random.Random(f"{self._seed}/{image.id}/{number}")
        if self._with_context:
            scene = told(image, self._inventory, self._order, rng)
        else:
            scene = pictured(image, self._inventory)
        turns, targets = _converse(scene, rng, self._turns, self._most_masks, self._chance)
        return to_conversation(conversation_id(image, number), image, turns, targets) if turns else None


def text_conversations(
    series: Sequence[Series], count: int, seed: int, turns: tuple[int, int] = (4, 8), order: Sequence[str] = ()
) -> Iterator[Conversation]:
    """Conversations without an image, about made-up lines of detections; their codes have no masks.

    series: what images are labelled with (`Inventory.series`). turns, order: as of `TemplateAuthor`.
    Raises InputError without series, or for a range of turns that is none.
    """
    if not series:
        raise InputError("There are no labelled series to converse about: label codes first.")
    for number in range(count):
        rng = random.Random(f"{seed}/text/{number}")
        spoken, targets = _converse(imagined(series, order, rng), rng, _checked(turns), 0, 0.5)
        yield to_conversation(f"text-{number}", None, spoken, targets)


def _converse(
    scene: Scene, rng: random.Random, length: tuple[int, int] | None, most_masks: int, chance: float
) -> tuple[list[Turn], list[Target]]:
    """Turns about a scene, and the targets whose codes they hold. chance: of a first request for something absent."""
    dialogue = Dialogue(scene, most_masks, rng)
    wanted = rng.randint(*length) if length else rng.choice((1, 1, 1, 2, 2, 3))
    turns: list[Turn] = []
    targets: list[Target] = []
    # After the first request both halves must be open, or the later ones would all be of one half.
    while len(turns) < wanted and (dialogue.is_open if turns else dialogue.has_names):
        request = dialogue.next(rng.random() < (0.5 if turns else chance), follows=bool(turns))
        turns.append(Turn(request.question, request.answer))
        targets += request.targets
    announced = rng.random() < _ANNOUNCED if scene.line else len(turns) > 1 or rng.random() < 0.25
    if turns and announced:
        turns.insert(0, Turn(*rng.choice(small_talk.OPENING)))
    if turns and scene.line:
        turns[0] = Turn(scene.line + turns[0].question, turns[0].answer)
    return turns, targets


def _checked(turns: tuple[int, int] | None) -> tuple[int, int] | None:
    if turns is not None and not 1 <= turns[0] <= turns[1]:
        raise InputError(f"{turns[0]} to {turns[1]} turns is no range: give the least, 1 or more, and then the most.")
    return turns


def _chance_of_lacking(images: Sequence[CodedImage], inventory: Inventory) -> float:
    """How often to ask for something absent where there is a choice, so that it makes half of all first requests."""
    forced = free = total = 0
    for image in images:
        shown, absent = bool(image.masks), bool(inventory.absent(image))
        forced += absent and not shown
        free += absent and shown
        total += absent or shown
    return min(1.0, max(0.0, (total / 2 - forced) / free)) if free else 0.5
