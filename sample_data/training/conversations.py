"""Questions and answers about one plane, for teaching the language model.

An answer names what was asked for with its region code, whether or not it lies on this very plane: the masks decide
that. What the model has no name for is "not seen". Half of the words in questions come from `vocabulary`, some names
are made up on the spot, so that the model learns to repeat a name it has never met instead of guessing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from medsight_core.engine.wording import is_plural
from sample_data.training import vocabulary as words
from sample_data.training.concepts import BY_NAME, CONCEPTS

REGION_OF = {"CT": "chest CT", "MR": "brain MR"}
MOST_LISTED = 10  # structures in an answer to "everything"


@dataclass(frozen=True)
class Scene:
    """One plane: its modality, orientation, and the names it shows, largest first."""

    modality: str
    orientation: str
    visible: tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    """A question and its answer with codes; ``subject`` is the one sided name it was about, if it was."""

    question: str
    answer: str
    subject: str | None = None


@dataclass(frozen=True)
class _Request:
    """Words for some things, and the canonical names they mean; ``known`` says whether they have codes here."""

    phrase: str
    names: tuple[str, ...]
    known: bool


def write_conversation(scene: Scene, turns: int, rng: random.Random) -> list[Turn]:
    """Some turns about a scene; a turn may refer to the one before it."""
    conversation: list[Turn] = []
    while len(conversation) < turns:
        subject = conversation[-1].subject if conversation else None
        if subject and rng.random() < 0.35:
            conversation.append(_other_side(subject, rng))
        else:
            conversation.append(write_turn(scene, rng))
    return conversation


def write_turn(scene: Scene, rng: random.Random) -> Turn:
    """One independent question with its answer."""
    kind = rng.random()
    if kind < 0.05:
        return Turn(_mistype(rng.choice(words.OFF_TOPIC), rng), words.OFF_TOPIC_ANSWER)
    if kind < 0.10:
        return Turn(_mistype(rng.choice(words.KIND), rng), _kind(scene))
    if kind < 0.15:
        return Turn(_mistype(rng.choice(words.EVERYTHING), rng), _everything(scene))
    number = rng.choices((1, 2, 3, 4), weights=(55, 25, 10, 10))[0]
    requests = [_request(scene, rng) for _ in range(number)]
    asks = kind > 0.65
    template = rng.choice(words.CHECK if asks else words.OUTLINE)
    question = template.format(x=_join([request.phrase for request in requests], rng))
    if template.startswith("{x}") and rng.random() < 0.5:
        question = question[:1].upper() + question[1:]
    if rng.random() < 0.15:
        question = question.lower()
    names = [name for request in requests if request.known for name in request.names]
    absent = [name for request in requests if not request.known for name in request.names]
    subject = names[0] if len(names) == 1 and not absent and names[0].startswith(("left ", "right ")) else None
    if all(request.known or request.names[0] in words.UNKNOWN for request in requests):
        question = _mistype(question, rng)  # a made-up name must be repeated exactly, so it stays as it is
    return Turn(question, answer(names, absent, asks), subject)


def answer(names: Sequence[str], absent: Sequence[str], asks: bool) -> str:
    """The canonical answer. asks: the question wanted a yes or no."""
    names, absent = list(dict.fromkeys(names)), list(dict.fromkeys(absent))
    sentences = []
    if names:
        listed = _list([f"{name} [{BY_NAME[name].code}]" for name in names])
        sentences.append(f"{'Yes, the' if asks else 'The'} {listed} {_verb(names)} outlined.")
    if absent:
        lead = "No, the" if asks and not names else "The"
        sentences.append(f"{lead} {_list(absent)} {_verb(absent)} not seen.")
    return " ".join(sentences)


def _other_side(subject: str, rng: random.Random) -> Turn:
    side, _, base = subject.partition(" ")
    other = "left" if side == "right" else "right"
    name = f"{other} {base}"
    return Turn(_mistype(rng.choice(words.OTHER_SIDE).format(side=other), rng), answer([name], [], False), name)


def _kind(scene: Scene) -> str:
    article = "an" if scene.orientation[0] in "aeiou" else "a"
    return f"This is {article} {scene.orientation} {REGION_OF[scene.modality]}."


def _everything(scene: Scene) -> str:
    shown = [name for name in scene.visible if name != "brain"][:MOST_LISTED]
    order = [concept.name for concept in CONCEPTS]
    shown.sort(key=order.index)
    return f"{_kind(scene)} {answer(shown, [], False)}".strip()


def _request(scene: Scene, rng: random.Random) -> _Request:
    dice = rng.random()
    own = [concept.name for concept in CONCEPTS if concept.modality == scene.modality]
    if dice < 0.08:
        phrase, names = rng.choice(list(words.GROUPS[scene.modality].items()))
        return _Request(_article(phrase, rng), names, True)
    if dice < 0.55:
        name = rng.choice(scene.visible) if scene.visible and rng.random() < 0.5 else rng.choice(own)
        phrase, names = _say(name, rng)
        return _Request(phrase, names, True)
    if dice < 0.70:
        foreign = rng.choice([concept.name for concept in CONCEPTS if concept.modality != scene.modality])
        phrase, names = _say(foreign, rng)
        return _Request(phrase, names, False)
    name = rng.choice(words.UNKNOWN) if dice < 0.94 else _made_up(rng)
    return _Request(_article(name, rng), (name,), False)


def _say(name: str, rng: random.Random) -> tuple[str, tuple[str, ...]]:
    """Words for a canonical name, and the names that the words mean (both sides when no side is said)."""
    side, _, base = name.partition(" ")
    if side not in ("left", "right"):
        return _article(rng.choice((name, name, *words.SYNONYMS.get(name, ()))), rng), (name,)
    noun = rng.choice((base, base, *words.SYNONYMS.get(base, ())))
    if rng.random() < 0.2:
        both = (f"left {base}", f"right {base}")
        plural = words.PLURALS.get(base, f"{noun}s")
        forms = (noun, plural, f"both {plural}", f"{noun} on both sides", f"left and right {noun}", f"bilateral {noun}")
        return _article(rng.choice(forms), rng), both
    forms = (
        f"{side} {noun}",
        f"{side} {noun}",
        f"{side} {noun}",
        f"{noun} on the {side}",
        f"{noun} on the {side} side",
        f"{side}-sided {noun}",
        f"{noun} ({side})",
        f"{noun} {side}",
        f"{side[0].upper()} {noun}",
        f"{side[0]}. {noun}",
    )
    return _article(rng.choice(forms), rng), (name,)


def _article(phrase: str, rng: random.Random) -> str:
    if phrase.startswith("both"):
        return phrase
    return rng.choice(("the ", "the ", "the ", "a ", "any ", "", "")) + phrase


def _made_up(rng: random.Random) -> str:
    """A name that means nothing, to be repeated letter by letter."""
    syllables = (
        "ba", "cor", "del", "fi", "gan", "hep", "lu", "mor", "ner", "os", "pel", "qui", "ris", "sta", "tor", "ul",
        "vas", "xi", "za", "thro", "cran", "my", "den", "glo", "tri", "sem", "ical", "oid", "itis", "oma",
    )  # fmt: skip
    word = "".join(rng.choice(syllables) for _ in range(rng.randint(2, 4)))
    second = "".join(rng.choice(syllables) for _ in range(rng.randint(1, 3)))
    return rng.choice((word, word, f"{word} {second}", f"{second} of the {word}", f"left {word}", f"right {word}"))


def _join(phrases: list[str], rng: random.Random) -> str:
    if len(phrases) == 1:
        return phrases[0]
    last = rng.choice((" and ", " and ", ", ", " as well as ", " & ", " plus "))
    return ", ".join(phrases[:-1]) + last + phrases[-1]


def _list(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return ", the ".join(names[:-1]) + " and the " + names[-1]


def _verb(names: list[str]) -> str:
    return "are" if len(names) > 1 or is_plural(names[0]) else "is"


def _mistype(text: str, rng: random.Random) -> str:
    """Now and then one or two slips of the finger."""
    if rng.random() > 0.2 or len(text) < 6:
        return text
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(1, len(text) - 1)
        if not (text[place].isalpha() and text[place + 1].isalpha()):
            continue
        slip = rng.random()
        if slip < 0.35:
            text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        elif slip < 0.7:
            text = text[:place] + text[place + 1 :]
        elif slip < 0.85:
            text = text[:place] + text[place] + text[place:]
        else:
            text = text[:place] + rng.choice("aeionrst") + text[place + 1 :]
    return text
