"""What a small tokenizer should know: the texts of the conversations that the stages will read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.coded import CodedImage, CodedMask
from medsight_core.data.converse_by_template import TemplateAuthor
from medsight_core.data.records import Conversation


def texts_of(meta: Path, descriptions: Iterable[Conversation], seed: int) -> Iterator[str]:
    """Questions and answers: of ``descriptions``, and of conversations about the labelled images of ``meta``.

    The true codes are not known yet, and do not matter: a tokenizer learns words, not codes.
    """
    images = [
        CodedImage(
            image.id,
            image.path,
            image.modality,
            tuple(CodedMask(str(mask.id), mask.path, mask.name, "M0_0") for mask in image.masks),
        )
        for image in BiomedParse(meta)
    ]
    author = TemplateAuthor(images, seed)
    grounded = (author.write(image, number) for image in images for number in range(4))
    for conversation in (*descriptions, *(spoken for spoken in grounded if spoken)):
        for turn in conversation.turns:
            yield turn.question
            yield turn.answer
