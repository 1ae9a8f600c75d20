"""Benchmarks of questions without masks: VQA-RAD, SLAKE, PathVQA, OmniMedVQA and the medical part of MMMU.

Each function turns one record of the published files into cases. Field names and layouts are the publishers'; what we
assume beyond them is said at each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from string import ascii_uppercase

from medsight_core.errors import InputError
from medsight_core.evaluation.cases import Case, Kind, modality_name
from medsight_core.evaluation.records import Record

MMMU_SUBJECTS = (
    "Basic_Medical_Science",
    "Clinical_Medicine",
    "Diagnostics_and_Laboratory_Medicine",
    "Pharmacy",
    "Public_Health",
)
_MMMU_ID = re.compile(r"(?:dev|validation|test)_(.+)_\d+")
_ANSWER_TYPES: dict[str, Kind] = {"open": "open", "closed": "closed", "close": "closed", "yes/no": "closed"}


def vqa_rad(record: Record) -> list[Case]:
    """VQA-RAD ("VQA_RAD Dataset Public.json"): the questions whose phrase_type begins with "test".

    The images are in "VQA_RAD Image Folder" or "images". No modality is given, so results are grouped by image_organ.
    """
    if not record.text("phrase_type").startswith("test"):
        return []
    return [
        Case(
            id=record.text("qid"),
            images=(record.path(_folder(record, "VQA_RAD Image Folder", "images"), record.text("image_name")),),
            prompt=record.text("question"),
            answer=record.text("answer"),
            kind=answer_kind(record),
            modality=record.optional("image_organ", "unknown").capitalize(),
        )
    ]


def slake(record: Record) -> list[Case]:
    """SLAKE ("test.json"): the English questions; images are in "imgs"."""
    if record.text("q_lang") != "en":
        return []
    return [
        Case(
            id=record.text("qid"),
            images=(record.path("imgs", record.text("img_name")),),
            prompt=record.text("question"),
            answer=record.text("answer"),
            kind=answer_kind(record),
            modality=modality_name(record.text("modality")),
        )
    ]


def pathvqa(record: Record) -> list[Case]:
    """PathVQA: rows with image, question and answer, as parquet or exported to "test.json".

    Rows have no id, so a row's number stands for it; a question answered by yes or no is closed.
    """
    answer = record.text("answer")
    return [
        Case(
            id=record.optional("id", f"{record.file.stem}-{record.number}"),
            images=(record.path(record.text("image")),),
            prompt=record.text("question"),
            answer=answer,
            kind="closed" if answer.lower() in ("yes", "no") else "open",
            modality="Pathology",
        )
    ]


def omnimedvqa(record: Record) -> list[Case]:
    """OmniMedVQA ("QA_information/Open-access/*.json"): choices option_A and on; image paths start from its folder.

    One published file says "modality" for "modality_type".
    """
    letters = [letter for letter in ascii_uppercase if record.fields.get(f"option_{letter}") is not None]
    choices = [record.text(f"option_{letter}") for letter in letters]
    answer = record.text("gt_answer")
    if answer not in choices:
        raise InputError(f"its answer {answer!r} is none of its options {choices}.")
    field = "modality_type" if "modality_type" in record.fields else "modality"
    return [
        Case(
            id=record.text("question_id"),
            images=(record.path(record.text("image_path")),),
            prompt=_ask_to_choose(record.text("question"), choices),
            answer=answer,
            kind="choice",
            choices=tuple(choices),
            modality=modality_name(record.text(field)),
        )
    ]


def mmmu_med(record: Record) -> list[Case]:
    """MMMU: the five subjects of "Health & Medicine", each with image_1 to image_7 and options as a list or its text.

    The subject is read from the id ("validation_Pharmacy_3"), and results are grouped by it.
    """
    name = record.text("id")
    found = _MMMU_ID.fullmatch(name)
    if found is None or found[1] not in MMMU_SUBJECTS:
        return []
    columns = [f"image_{number}" for number in range(1, 8)]
    images = tuple(record.path(record.text(column)) for column in columns if record.fields.get(column) is not None)
    if not images:
        raise InputError("it has no image_1.")
    question = re.sub(r"<image (\d)>", r"image \1", record.text("question"))
    choices, answer = _options(record), record.text("answer")
    if choices:
        index = ascii_uppercase.find(answer)
        if len(answer) != 1 or not 0 <= index < len(choices):
            raise InputError(f"its answer {answer!r} is not the letter of one of its {len(choices)} options.")
        question, answer = _ask_to_choose(question, choices), choices[index]
    return [
        Case(
            id=name,
            images=images,
            prompt=question,
            answer=answer,
            kind="choice" if choices else "open",
            choices=tuple(choices),
            modality=found[1].replace("_", " "),
        )
    ]


def answer_kind(record: Record) -> Kind:
    """What answer_type says; VQA-RAD has it with blanks and in both cases."""
    value = record.text("answer_type")
    if value.lower() not in _ANSWER_TYPES:
        raise InputError(f"its answer_type is {value!r} where OPEN or CLOSED is expected.")
    return _ANSWER_TYPES[value.lower()]


def _folder(record: Record, *names: str) -> str:
    return next((name for name in names if (record.root / name).is_dir()), names[0])


def _options(record: Record) -> list[str]:
    value = record.fields.get("options") or []
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError) as error:
            raise InputError(f"its options {value!r} are not a list of texts.") from error
    if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
        raise InputError(f"its options {value!r} are not a list of texts.")
    return value


def _ask_to_choose(question: str, choices: Sequence[str]) -> str:
    """The question with its options; that one is to be chosen briefly is asked at the end (model-spec 8.1)."""
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, choices))
    return f"{question}\n{listed}\nAnswer briefly: choose one of these options."
