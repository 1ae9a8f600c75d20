"""The held-out questions as plain data: what is asked, of which picture, and which canonical names are meant.

Knows how a record must look; knows nothing of models and of how well one answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Collection, NoReturn, Union

from medsight_core.data.record_file import RecordFile
from medsight_core.errors import InputError
from sample_data.generate.sources import SOURCES

PATH = Path(__file__).with_name("paraphrases.jsonl")
MODALITIES = {"brain": "MR", "chest": "CT", "abdomen": "CT", "head": "CT", "fetal": "US"}  # by site of the body
FORMS = (
    "outline",  # the plainest wish for a mask
    "check",  # yes or no
    "where",
    "several",  # two things or more, or one that falls into several names
    "follow-up",  # means nothing without what was said before
    "latin",  # Latin terms, and abbreviations
    "typo",  # slips of finger, ear or spelling
    "indirect",  # a description in place of the name
    "off-topic",  # not about the picture
    "unknown",  # of something real that no canonical name stands for
)
NAMES = frozenset(name for source in SOURCES for name in source.names)  # with sides, as on axial and coronal planes

_NEEDED = ("id", "question", "names", "modality", "site", "form")
_NAMELESS = ("off-topic", "unknown")


@dataclass(frozen=True)
class Question:
    """One question, and what a radiologist takes it to mean.

    names: canonical names that are meant, in no particular order; both sides where none is said, nothing for a question
        that is off topic or asks for something unknown only. They need not be in the picture.
    modality, site: of the picture it is asked of, "MR" and "brain". form: one of `FORMS`.
    history: earlier (question, answer) turns, oldest first, without region numbers.
    asked: the question's own word for what has no canonical name and should be called not seen; "" for none.
    """

    id: str
    question: str
    names: tuple[str, ...]
    modality: str
    site: str
    form: str
    history: tuple[tuple[str, str], ...] = ()
    asked: str = ""


def read_questions(path: Union[str, Path] = PATH) -> tuple[Question, ...]:
    """The questions of a file of records, in its order (by default those that ship with the samples).

    Raises NotFoundError when there is no such file; InputError, naming file and record, for a record that is not of
    this form, whose names are not canonical, or that repeats an earlier one.
    """
    questions: list[Question] = []
    said: dict[object, str] = {}
    for index, record in enumerate(RecordFile(path)):
        question = _Reader(Path(path), index, record).question()
        # The same words mean another thing after another conversation.
        for what, key in (("id", question.id), ("words", (_bare(question.question), question.history))):
            if key in said:
                raise InputError(
                    f"Record {index} of '{path}' repeats the {what} of {said[key]!r}: change or remove it."
                )
            said[key] = question.id
        questions.append(question)
    return tuple(questions)


@dataclass(frozen=True)
class _Reader:
    path: Path
    index: int
    record: dict[str, Any]

    def question(self) -> Question:
        if missing := [key for key in _NEEDED if key not in self.record]:
            self._refuse(f"lacks {', '.join(missing)}", f"give it {', '.join(_NEEDED)}")
        if strange := [key for key in self.record if key not in (*_NEEDED, "history", "asked")]:
            self._refuse(f"has an unknown key {strange[0]!r}", "remove it or correct its spelling")
        form, site = self._one_of("form", FORMS), self._one_of("site", MODALITIES)
        if self.record["modality"] != MODALITIES[site]:
            self._refuse(f"shows the {site} by {self.record['modality']!r}", f"write {MODALITIES[site]!r}")
        text, names = self._text("question"), self._names(form)
        return Question(
            self._text("id"), text, names, MODALITIES[site], site, form, self._history(form), self._asked(form, text)
        )

    def _text(self, key: str) -> str:
        value = self.record[key]
        if not isinstance(value, str) or not value.strip():
            self._refuse(f"has {value!r} as its {key}", "write it as text")
        return value

    def _one_of(self, key: str, allowed: Collection[str]) -> str:
        if (value := self._text(key)) not in allowed:
            self._refuse(f"has the {key} {value!r}", f"use one of {', '.join(allowed)}")
        return value

    def _names(self, form: str) -> tuple[str, ...]:
        names = self.record["names"]
        if not isinstance(names, list):
            self._refuse(f"has {names!r} as its names", "write a list, [] for none")
        for name in names:
            if not isinstance(name, str) or name not in NAMES:
                self._refuse(f"means {name!r}, which is no canonical name", "take it from CATEGORIES, with its side")
        if len(set(names)) < len(names):
            self._refuse(f"means the same thing twice in {names}", "name each once")
        if bool(names) == (form in _NAMELESS):
            self._refuse(
                f"is of form {form!r} and means {names}",
                "leave names empty for off-topic and unknown, and only for them",
            )
        return tuple(names)

    def _history(self, form: str) -> tuple[tuple[str, str], ...]:
        turns = self.record.get("history", [])
        if not isinstance(turns, list) or not all(
            isinstance(turn, list) and len(turn) == 2 and all(isinstance(text, str) and text.strip() for text in turn)
            for turn in turns
        ):
            self._refuse(f"has the history {turns!r}", "write a list of [question, answer] pairs")
        if form == "follow-up" and not turns:
            self._refuse("is a follow-up to nothing", "give it a history")
        return tuple((turn[0], turn[1]) for turn in turns)

    def _asked(self, form: str, text: str) -> str:
        if "asked" not in self.record:
            if form == "unknown":
                self._refuse("does not say what should be called not seen", "write that word under 'asked'")
            return ""
        asked = self._text("asked")
        if form not in ("unknown", "several"):
            self._refuse(f"is of form {form!r} and has 'asked'", "keep it for unknown and several")
        if asked not in text:
            self._refuse(f"has {asked!r} under 'asked'", f"use the words of its question, {text!r}")
        return asked

    def _refuse(self, what: str, remedy: str) -> NoReturn:
        name = self.record.get("id")
        which = f"Record {self.index} of '{self.path}'" + (f" ({name})" if isinstance(name, str) else "")
        raise InputError(f"{which} {what}: {remedy}.")


def _bare(text: str) -> str:
    """A text without case and punctuation."""
    return " ".join("".join(sign if sign.isalnum() else " " for sign in text.casefold()).split())
