"""Grounded conversations from images whose masks have codes, written by a language model and checked (model-spec 5).

The language model is any function from chat messages to a reply; it is told names, codes and boxes, never pixels, file
names or ids. A reply that says more or other than the labels is sent back with the reason, twice at most. This module
knows what to ask for and what to accept; it knows nothing of HTTP.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any, Callable, Sequence

import numpy as np

from medsight_core.data.coded import CodedImage
from medsight_core.data.converse import conversation_id
from medsight_core.data.records import CODE, Conversation, Turn
from medsight_core.data.targets import MOST_MASKS, Inventory, Target, sample_targets, targets_of, to_conversation
from medsight_core.engine.wording import absent_names, find_codes, find_mentions
from medsight_core.errors import ServerError, ServerUnavailableError

Complete = Callable[[list[dict[str, str]]], str]

_ATTEMPTS = 3
_PATIENCE = 5  # conversations in a row that a failing server may cost
_MOST_TURNS = 4
_LONGEST = 600  # characters of a question or an answer
_INSTRUCTIONS = f"""\
You write practice dialogues for a program that answers questions about one medical picture and marks what it names.
You do not see the picture. You get a JSON object: "shown" lists the structures in it, each with a number, a name, a
code and a box as fractions of width and height (left, top, right, bottom, counted from the upper left corner);
"missing" lists structures that a user asks for although the picture does not show them.

Reply with one JSON object and nothing else: {{"turns": [{{"question": "...", "answer": "..."}}], "shown": [numbers]}}.

Rules:
- One to {_MOST_TURNS} turns. With two or more, the first may just announce what is coming, without naming a structure.
- Users speak in many ways: orders, questions, lay words, professional words, several structures at once, comparisons
  of place or size, follow-up questions. Questions never hold codes.
- Whenever an answer marks a structure, it gives the name exactly as listed, directly followed by the code in square
  brackets, such as: The {{name}} [{{code}}] is outlined. No code without its name before it, and every structure at
  most once.
- Where a finding such as a tumour is shown, a user may ask for a diagnosis and get it together with the outline.
- For everything in "missing" there is a question, answered in these words: The {{name}} is not seen. Nothing else is
  called not seen.
- Say nothing that the list does not support, and never mention lists, labels, boxes or codes in words.
- The "shown" of your reply holds the numbers of the marked structures in the order in which their codes appear.
"""


class ModelAuthor:
    """Lets a language model write conversations about the images of one data set.

    complete: from messages {"role", "content"} to the text of the reply. A ServerError from it counts as a reply that
        cannot be used, until it has cost five conversations in a row; every other error ends the work at once.
    seed: decides which conversations ask for something absent.
    """

    def __init__(self, images: Sequence[CodedImage], complete: Complete, seed: int) -> None:
        self._inventory = Inventory(images)
        self._complete = complete
        self._seed = seed
        self._lost = 0  # conversations in a row

    def write(self, image: CodedImage, number: int) -> Conversation | None:
        """Conversation ``number`` about an image; None when no reply could be used, or there is nothing to ask for."""
        rng = random.Random(f"{self._seed}/{image.id}/{number}")
        targets = sample_targets(targets_of(image), MOST_MASKS, MOST_MASKS, rng)
        absent = list(self._inventory.absent(image))
        missing = rng.sample(absent, min(len(absent), rng.choice((1, 1, 2))))
        if targets and rng.random() < 0.5:
            missing = []
        if not targets and not missing:
            return None
        messages = [
            {"role": "system", "content": _INSTRUCTIONS},
            {"role": "user", "content": json.dumps(_description(targets, missing))},
        ]
        failure = None
        for _ in range(_ATTEMPTS):
            try:
                reply = self._complete(messages)
                self._lost = 0
                turns, named = parse_reply(reply, targets, missing)
            except ServerUnavailableError:
                raise
            except ServerError as error:
                failure = error
            except ReplyError as error:
                correction = f"This cannot be used: {error} Write the whole JSON object again."
                messages = [
                    *messages[:2],
                    {"role": "assistant", "content": reply},
                    {"role": "user", "content": correction},
                ]
            else:
                return to_conversation(conversation_id(image, number), image, turns, named)
        self._lost += failure is not None
        if failure and self._lost == _PATIENCE:
            raise failure
        return None


class ReplyError(ValueError):
    """A reply that cannot be used; the message tells the language model why."""


def parse_reply(reply: str, targets: Sequence[Target], missing: Sequence[str]) -> tuple[list[Turn], list[Target]]:
    """The turns of a language model's reply and the targets whose codes they hold, in the text's order.

    targets: what the image shows, in the order of the numbers that the model was told. missing: what must be asked for.
    Raises ReplyError unless it is the JSON object asked for, with as many codes as numbers, each code that of its
    number behind that one's name, and exactly ``missing`` called not seen.
    """
    content = _parse_json(reply)
    turns = [_turn(turn) for turn in _listed(content, "turns", dict)]
    if not 1 <= len(turns) <= _MOST_TURNS:
        raise ReplyError(f"It has {len(turns)} turns, and 1 to {_MOST_TURNS} are allowed.")
    numbers = _listed(content, "shown", int)
    if len(numbers) != len(set(numbers)) or not all(0 <= number < len(targets) for number in numbers):
        raise ReplyError(f'"shown" is {numbers}: use each of the numbers 0 to {len(targets) - 1} at most once.')
    named = [targets[number] for number in numbers]
    codes = [code for turn in turns for code in CODE.findall(turn.answer)]
    if len(codes) != len(named):
        raise ReplyError(f'The answers hold {len(codes)} codes and "shown" {len(named)} numbers.')
    mentions = [m for turn in turns for m in find_mentions(turn.answer, find_codes(turn.answer), {})]
    for mention, target in zip(mentions, named):
        if mention.code != target.code or mention.name != target.name:
            raise ReplyError(f'Where "{mention.name} [{mention.code}]" stands, "{target.name} [{target.code}]" is due.')
    denied = {name for turn in turns for name in absent_names(turn.answer)}
    if denied != set(missing):
        raise ReplyError(f"The answers call {sorted(denied)} not seen, and it should be {sorted(missing)}.")
    if not named and not denied:
        raise ReplyError("No answer marks anything.")
    return turns, named


def _description(targets: Sequence[Target], missing: Sequence[str]) -> dict[str, Any]:
    shown = [
        {"number": number, "name": target.name, "code": f"[{target.code}]", "box": _box(target)}
        for number, target in enumerate(targets)
    ]
    return {"shown": shown, "missing": list(missing)}


def _box(target: Target) -> list[float]:
    """Left, top, right and bottom as fractions of the picture."""
    mask = target.read_mask()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    height, width = mask.shape
    edges = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    return [round(float(edge), 3) for edge in edges]


def _parse_json(reply: str) -> dict[str, Any]:
    """The JSON object in a reply, which many models put into a fenced block."""
    match = re.search(r"\{.*\}", reply, re.DOTALL)
    try:
        content = json.loads(match.group()) if match else None
    except ValueError as error:
        raise ReplyError(f"It is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise ReplyError("It holds no JSON object.")
    return content


def _listed(content: dict[str, Any], key: str, kind: type) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise ReplyError(f'"{key}" is not a list of {"numbers" if kind is int else "objects"}.')
    return value


def _turn(turn: dict[str, Any]) -> Turn:
    question, answer = (_text(turn.get(key)) for key in ("question", "answer"))
    if "[" in question:
        raise ReplyError("A question holds a square bracket.")
    if "[" in CODE.sub("", answer):
        raise ReplyError("An answer holds a square bracket that is no code's.")
    return Turn(question, answer)


def _text(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= _LONGEST:
        raise ReplyError(f"A question or answer is missing, empty or longer than {_LONGEST} characters.")
    return text
