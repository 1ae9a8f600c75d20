"""Benchmarks with masks: DiagSeg, MeCoVQA-G and BiomedParse.

Each function turns one record of the published files into cases. Field names and layouts are the publishers'; what we
assume beyond them is said at each.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from medsight_core.errors import InputError
from medsight_core.evaluation.cases import MODALITIES, Case, modality_name
from medsight_core.evaluation.question_readers import answer_kind
from medsight_core.evaluation.records import Record

DIAGSEG_QUESTIONS = "diagseg_vqa"  # stem of the file whose questions do not ask to segment

_MASK = re.compile(r"<mask>(.*?)</mask>")


def diagseg(record: Record) -> list[Case]:
    """DiagSeg ("diagseg.json", model-spec 8.5): a diagnostic question, its short answer, and mask ids with their files.

    An entry of mask_ids that is a list means the union of its masks. "diagseg_vqa.json" may hold the same questions
    without the request to segment (qa_id and question are enough beside answers and images): words are then scored on
    the replies to these, as in the paper, and else on the replies to the full questions. The reference of words is
    short_answer; the specification does not say which answer the authors take.
    """
    only_words = record.file.stem == DIAGSEG_QUESTIONS
    words_elsewhere = not only_words and any(record.file.parent.glob(f"{DIAGSEG_QUESTIONS}.json*"))
    return [
        Case(
            id=record.text("qa_id") + ("/vqa" if only_words else ""),
            images=(record.path(record.text("image_file")),),
            prompt=record.text("question"),
            answer=record.text("short_answer"),
            kind="outline" if words_elsewhere else answer_kind(record),
            masks=() if only_words else _diagseg_masks(record),
            modality=modality_name(record.text("modality")),
        )
    ]


def mecovqa_g(record: Record) -> list[Case]:
    """MeCoVQA-G ("MeCoVQA_Grounding_test.json"): turns whose answer names a mask as "<mask>FILE</mask>".

    Image and mask names start from the folder that holds SA-Med2D's "images" and "masks"; a mask is where its values
    are not 0. The modality stands before "--" in an image's name. " Segmentation result:" is appended to each request
    (model-spec 8.2).
    """
    name = record.optional("id", f"{record.file.stem}-{record.number}")
    image = record.text("image").removeprefix("./")
    turns = record.sequence("conversations")
    cases: list[Case] = []
    for request, reply in zip(turns[::2], turns[1::2]):
        for mask in _MASK.findall(_value(reply)):
            cases.append(
                Case(
                    id=f"{name}#{len(cases) + 1}" if cases else name,
                    images=(record.path(image),),
                    prompt=_value(request).replace("<image>", "").strip() + " Segmentation result:",
                    answer="",
                    kind="outline",
                    masks=((record.path(mask.strip().removeprefix("./")),),),
                    grey_masks=False,
                    modality=modality_name(Path(image).name.partition("--")[0]),
                )
            )
    if not cases:
        raise InputError("no answer of it names a mask as '<mask>FILE</mask>'.")
    return cases


def biomedparse(record: Record) -> list[Case]:
    """BiomedParse: one request "Outline the X." for each annotation of a folder's "test.json" (model-spec 2.3).

    Image and mask names start from "test" and "test_mask" beside it. X is what a mask's name has beyond its image's,
    otherwise the first description up to " in "; the modality is the part of an image's name that spells one.
    """
    folder = record.file.parent.relative_to(record.root).as_posix()
    image, mask = record.text("file_name"), record.text("mask_file")
    parts = Path(image).stem.split("_")
    modality = next((name for part in reversed(parts) if (name := modality_name(part)) in MODALITIES), "unknown")
    return [
        Case(
            id=f"{folder}/{record.text('id')}",
            images=(record.path(folder, "test", image),),
            prompt=f"Outline the {_target(record, Path(image).stem, Path(mask).stem)}.",
            answer="",
            kind="outline",
            masks=((record.path(folder, "test_mask", mask),),),
            modality=modality,
        )
    ]


def _diagseg_masks(record: Record) -> tuple[tuple[Path, ...], ...]:
    try:
        files = {str(number): str(path) for number, path in record.sequence("masks")}
    except (TypeError, ValueError) as error:
        raise InputError(
            f"its masks are {record.fields['masks']!r} where pairs of id and path are expected."
        ) from error
    groups = [list(map(str, group if isinstance(group, list) else [group])) for group in record.sequence("mask_ids")]
    for number in (number for group in groups for number in group):
        if number not in files:
            raise InputError(f"its mask {number} is not among the masks {', '.join(files)}.")
    return tuple(tuple(record.path(files[number]) for number in group) for group in groups)


def _target(record: Record, image: str, mask: str) -> str:
    name = mask.removeprefix(image) if mask.startswith(f"{image}_") else ""
    if not name:
        sentences = record.fields.get("sentences") or [""]
        first = sentences[0].get("raw", "") if isinstance(sentences[0], dict) else str(sentences[0])
        name = first.partition(" in ")[0]
    words = re.sub(r"[+_\s]+", " ", name).strip()
    if not words:
        raise InputError(f"neither its mask file {mask!r} nor its sentences say what is outlined.")
    return words


def _value(turn: Any) -> str:
    if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
        raise InputError(f"its turn {turn!r} has no text under 'value'.")
    return str(turn["value"])
