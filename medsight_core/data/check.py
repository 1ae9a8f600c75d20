"""A training set looked at before it is trained on: every record, image and mask, and what is wrong with it.

A fault is what would end a training run, or teach something wrong without a word. Knows the two formats through their
readers, and a model only by its configuration and its processor; prints nothing.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, Union

import numpy as np

from medsight_core.data.biomedparse import BiomedParse, LabelledImage
from medsight_core.data.findings import Fault, MaskLook, Report
from medsight_core.data.images import read_image, read_mask
from medsight_core.data.records import CODES_PER_MODALITY, MODALITIES, Conversation, Conversations, split_code
from medsight_core.data.sequence import LazySequence
from medsight_core.errors import InputError
from medsight_core.imaging.visible_box import VisibleBox

if TYPE_CHECKING:
    from medsight_core.model.config import MedSightConfig
    from medsight_core.model.processor import MedSightProcessor

__all__ = ["MAX_LENGTH", "Fault", "Report", "check_biomedparse", "check_conversations", "holds_labelled_images"]

MAX_LENGTH = 2048  # tokens of a training sequence in the paper

Progress = Callable[[int, int], None]
"""Called with how many records have been looked at and how many will be."""

PathLike = Union[str, Path]
T = TypeVar("T")
V = TypeVar("V")


def holds_labelled_images(path: PathLike) -> bool:
    """Whether a file is a BiomedParse meta file, by its content; any other is taken for a file of conversations.

    Raises InputError when it cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be opened ({error.strerror}): give a BiomedParse meta file or a file of conversations."
        ) from error
    return Path(path).suffix != ".jsonl" and start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def check_biomedparse(
    meta: PathLike, progress: Progress | None = None, config: MedSightConfig | None = None, limit: int | None = None
) -> Report:
    """Look at every image of a meta file and at its masks.

    config: of the model to be trained, for its numbers of modalities and classes; without it the published modalities
        count and classes are not looked at.
    limit: look at so many images only, evenly spread over the set.
    Raises InputError when the meta file or a dataset's lists cannot be used at all, or hold nothing.
    """
    return _ImageCheck(BiomedParse(meta), config).run("images", meta, progress, limit)


def check_conversations(
    path: PathLike,
    root: PathLike | None = None,
    processor: MedSightProcessor | None = None,
    progress: Progress | None = None,
    limit: int | None = None,
    max_length: int = MAX_LENGTH,
) -> Report:
    """Look at every conversation of a file, at its images and the masks of its codes.

    root: folder that the files' names start from; the file's own when None.
    processor: of the model to be trained, for its codebook and the length of sequences; ``max_length`` is their limit.
    limit: look at so many conversations only, evenly spread over the file.
    Raises InputError when the file cannot be used at all, or holds nothing.
    """
    check = _ConversationCheck(Conversations(path, root), processor, max_length)
    return check.run("conversations", path, progress, limit)


class _Check(ABC, Generic[T]):
    """The records of a set, looked at in threads (reading pictures leaves Python's lock), each file once."""

    def __init__(self, data: LazySequence[T]) -> None:
        self._data = data
        self._images: dict[Path, tuple[int, int] | str] = {}  # (rows, columns), or what is wrong
        self._masks: dict[Path, MaskLook | str] = {}

    def run(self, kind: str, source: PathLike, progress: Progress | None, limit: int | None) -> Report:
        total = len(self._data)
        if not total:
            raise InputError(f"'{source}' holds no {kind}: check that it is the right file.")
        places = np.linspace(0, total - 1, min(total, limit or total)).astype(int).tolist()
        report = Report(kind, total)
        with ThreadPool(os.cpu_count()) as pool:
            for where, record, reasons in pool.imap(self._look, places, chunksize=8):
                report.records += 1
                report.bad += [Fault(where, reason) for reason in reasons]
                if record is not None:
                    self.count(record, report)
                if progress:
                    progress(report.records, len(places))
        report.images = {path: size for path, size in self._images.items() if not isinstance(size, str)}
        report.masks = {path: look for path, look in self._masks.items() if not isinstance(look, str)}
        return report

    @abstractmethod
    def faults(self, record: T, index: int) -> Iterator[str]:
        """What is wrong with a record, one sentence each."""

    @abstractmethod
    def count(self, record: T, report: Report) -> None:
        """Add a record to the figures."""

    def _look(self, index: int) -> tuple[str, T | None, list[str]]:
        try:
            record = self._data[index]
        except InputError as error:
            return f"record {index}", None, [str(error)]
        return f"record {index} ({record.id})", record, list(self.faults(record, index))  # type: ignore[attr-defined]

    def image(self, path: Path) -> Generator[str, None, tuple[int, int] | None]:
        """Rows and columns of an image; yields what is wrong with it."""
        found = _once(self._images, path, _image_size)
        if isinstance(found, str):
            yield found
            return None
        return found

    def mask(self, path: Path, size: tuple[int, int] | None) -> Generator[str, None, MaskLook | None]:
        """What a mask of an image of ``size`` holds; yields what is wrong with it, except that it is empty."""
        found = _once(self._masks, path, _mask_look)
        if isinstance(found, str):
            yield found
            return None
        if size is not None and found.shape != size:
            yield f"'{path}' has {_sides(found.shape)} pixels and its image {_sides(size)}: make them equally large."
        return found


class _ImageCheck(_Check[LabelledImage]):
    def __init__(self, data: BiomedParse, config: MedSightConfig | None) -> None:
        super().__init__(data)
        self._modalities = config.codebook_config.num_modalities if config else MODALITIES
        self._classes = config.perceiver_config.num_classes if config else len(data.categories)

    def faults(self, record: LabelledImage, index: int) -> Iterator[str]:
        if record.modality >= self._modalities:
            yield f"Its modality is {record.modality}: use 0 to {self._modalities - 1}."
        size = yield from self.image(record.path)
        for mask in record.masks:
            if mask.category >= self._classes:
                yield (
                    f"'{mask.path}' has the category {mask.category} and the model {self._classes} classes, 0 to "
                    f"{self._classes - 1}: start from a model with more."
                )
            look = yield from self.mask(mask.path, size)
            if look is not None and not look.share:
                yield _empty([mask.path])

    def count(self, record: LabelledImage, report: Report) -> None:
        report.without_masks += not record.masks
        report.masks_by_modality[record.modality] += len(record.masks)


class _ConversationCheck(_Check[Conversation]):
    def __init__(self, data: Conversations, processor: MedSightProcessor | None, max_length: int) -> None:
        super().__init__(data)
        self._records, self._processor = data.records, processor
        self._codebook = (MODALITIES, CODES_PER_MODALITY)
        self._limit = max_length
        if processor is not None:
            codebook, text = processor.config.codebook_config, processor.config.text_config
            self._codebook = (codebook.num_modalities, codebook.num_codes)
            self._limit = min(max_length, text.max_position_embeddings)
        self._lengths: list[int] = []

    def run(self, kind: str, source: PathLike, progress: Progress | None, limit: int | None) -> Report:
        report = super().run(kind, source, progress, limit)
        report.longest = max(self._lengths, default=None)
        return report

    def faults(self, record: Conversation, index: int) -> Iterator[str]:
        if record.codes:
            yield from self._code_faults(record, index)
        sizes = []
        for path in record.images:
            sizes.append((yield from self.image(path)))
        size = sizes[0] if len(sizes) == 1 else None
        for paths in record.masks:
            looks = []
            for path in paths:
                looks.append((yield from self.mask(path, size)))
            if paths and not any(look is None or look.share for look in looks):
                yield _empty(paths)
        if self._processor is not None:
            yield from self._length_faults(record, self._processor)

    def count(self, record: Conversation, report: Report) -> None:
        report.without_images += not record.images
        report.without_masks += not record.masks
        report.codes.update(record.codes)
        report.masks_by_modality.update(split_code(code)[0] for code in record.codes)

    def _code_faults(self, record: Conversation, index: int) -> Iterator[str]:
        if any(record.masks) and len(record.images) != 1:
            yield f"It has {len(record.images)} images and region codes: outline on one image a record."
        for code in record.codes:
            if any(number >= count for number, count in zip(split_code(code), self._codebook)):
                modalities, codes = self._codebook
                yield f"Its code [{code}] does not exist: codes go from [M0_0] to [M{modalities - 1}_{codes - 1}]."
        stored = self._records[index]
        named = stored.get("mask_codes")
        if not isinstance(named, dict):  # it only informs, and may be missing
            return
        for mask, code in zip(stored["mask_orders"], record.codes):
            if named.get(str(mask), code) != code:
                yield (
                    f"Mask {mask} stands for [{code}] in the text and for [{named[str(mask)]}] in mask_codes: put "
                    "mask_orders in the order of the text."
                )

    def _length_faults(self, record: Conversation, processor: MedSightProcessor) -> Iterator[str]:
        """Images or codes behind the length limit, which training would cut off (model-spec 9.5-3)."""
        length, needed = _lengths(record, processor)
        self._lengths.append(length)
        if needed > self._limit:
            yield (
                f"It is {length} tokens long and the limit is {self._limit}, which would cut its image or codes: "
                "shorten it or raise --max-length."
            )


def _lengths(record: Conversation, processor: MedSightProcessor) -> tuple[int, int]:
    """Tokens of the whole sequence with its images, and how many of them reach to the last image or code."""
    from medsight_core.data.encoding import encode_conversation  # brings torch, which pictures alone do not need

    config = processor.config
    codes = range(config.first_code_token, config.first_code_token + config.num_code_tokens)
    length = needed = 0
    for token in encode_conversation(processor, record.turns, len(record.images)).ids:
        length += config.num_image_tokens if token < 0 else 1  # below zero stands the image's sentinel
        if token < 0 or token in codes:
            needed = length
    return length, needed


def _once(known: dict[Path, V | str], path: Path, look: Callable[[Path], V]) -> V | str:
    """What ``look`` finds in a file, or what is wrong with it, remembered."""
    if path not in known:
        try:
            known[path] = look(path)
        except InputError as error:
            known[path] = str(error)
    return known[path]


def _image_size(path: Path) -> tuple[int, int]:
    image = read_image(path)
    return image.height, image.width


def _mask_look(path: Path) -> MaskLook:
    mask = read_mask(path)
    rows, cols = mask.shape
    box = VisibleBox.of(rows, cols, min(rows, cols))  # no resizing: the crop alone
    left, top = box.offset
    inside = int(mask.sum())
    shown = int(mask[top : top + box.side, left : left + box.side].sum())
    return MaskLook((rows, cols), inside / mask.size, shown / max(inside, 1))


def _empty(paths: Sequence[Path]) -> str:
    names = ", ".join(f"'{path}'" for path in paths)
    brightest = max(read_image(path).convert("L").getextrema()[1] for path in paths)
    return (
        f"{names} holds nothing above 127, its brightest value is {brightest}: store 255 inside the target, or leave "
        "the mask out."
    )


def _sides(shape: tuple[int, int]) -> str:
    return f"{shape[1]} x {shape[0]}"
