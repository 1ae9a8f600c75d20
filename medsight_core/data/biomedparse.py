"""Labelled images in folders as BiomedParse publishes them, gathered by one meta file (model-spec 2.3).

Knows the layout and its names; reads no pixels. What a folder of generated images must look like::

    meta.json
    phantoms/                       any name, also nested ("MSD/Task03_Liver"): the dataset's name
        train/0001_CT_abdomen.png                   8-bit image, {anything}_{modality}_{site}.png by convention
        train_mask/0001_CT_abdomen_right+kidney.png 8-bit grey, 255 inside and 0 outside, as large as its image:
                                                    {image}_{target}.png, blanks of the target written as +
        train.json

``meta.json`` holds parallel lists with one entry a dataset; paths start from its own folder or are absolute::

    {"image_roots": ["phantoms/train"], "mask_roots": ["phantoms/train_mask"],
     "annotations": ["phantoms/train.json"], "modalities": [0]}

A modality is the number k of the region codes [Mk_j] that its masks get. ``train.json``::

    {"images": [{"id": 0, "file_name": "0001_CT_abdomen.png", "height": 1024, "width": 1024}],
     "annotations": [{"id": 0, "image_id": 0, "file_name": "0001_CT_abdomen.png",
                      "mask_file": "0001_CT_abdomen_right+kidney.png", "category_id": 3,
                      "sentences": [{"raw": "right kidney in abdomen CT"}]}],
     "categories": [{"id": 0, "name": "background"}, {"id": 3, "name": "kidney"}]}

Category ids are the classes of the perceiver's head as they are, so a model needs as many classes as the highest id
plus one. An image without annotations is one without masks. An image may have a "view", words for what it is ("axial
MR"), and "unclear", names of which it shows too little to call them present or absent. Further fields are not read.
"""

from __future__ import annotations

import json
import sys
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from medsight_core.data.images import inside
from medsight_core.data.record_file import RecordFile
from medsight_core.data.sequence import LazySequence, Selection
from medsight_core.errors import InputError, NotFoundError

META_KEYS = ("image_roots", "mask_roots", "annotations", "modalities")


@dataclass(frozen=True)
class MaskRecord:
    """One mask of an image.

    id: of its annotation, unique in the dataset.
    category: class of the perceiver's head.
    sentences: descriptions; may be empty.
    name: the target in short, as "right kidney".
    """

    id: int
    path: Path
    category: int
    sentences: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class LabelledImage:
    """An image with all its masks.

    id: dataset and file name without extension. modality: the k of codes [Mk_j]. view: words for it, "" if unknown.
    unclear: names that are neither clearly there nor clearly absent.
    """

    id: str
    dataset: str
    path: Path
    modality: int
    masks: tuple[MaskRecord, ...]
    view: str = ""
    unclear: tuple[str, ...] = ()


class BiomedParse(LazySequence[LabelledImage]):
    """All images of the datasets that a meta file lists, each with its masks.

    Descriptions stay in their files until an image is asked for; memory holds file names and a few numbers a mask.
    categories: name of each class, "" for numbers that no dataset names.

    Raises NotFoundError for a missing file, InputError for one of another form.
    """

    def __init__(self, meta: str | Path) -> None:
        self.datasets = tuple(_datasets(Path(meta)))
        self.categories = _categories(self.datasets)
        self._stops = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        """Number of images."""
        return self._stops[-1]

    def read(self, index: int) -> LabelledImage:
        """The image of an index. Raises InputError, naming file and annotation, when its record is wrong."""
        which = bisect_right(self._stops, index)
        return self.datasets[which][index - (self._stops[which - 1] if which else 0)]

    def split(self, held_out: float = 0.1, seed: int = 0) -> tuple[Sequence[LabelledImage], Sequence[LabelledImage]]:
        """Images to train on and a random share to measure with (at least one), each in the order of the files.

        Images are drawn singly, as the authors do: slices of one patient may fall on both sides.
        """
        if not 0 < held_out < 1 or len(self) < 2:
            raise InputError(
                f"{held_out:g} of {len(self)} images cannot be held out: give a share between 0 and 1 of at least two."
            )
        places = np.random.default_rng(seed).permutation(len(self))
        count = max(1, round(held_out * len(self)))
        return Selection(self, sorted(places[count:].tolist())), Selection(self, sorted(places[:count].tolist()))


class LabelledFolder(LazySequence[LabelledImage]):
    """The images of one dataset; see `BiomedParse`.

    Raises NotFoundError, or InputError when annotations and images do not fit together.
    """

    def __init__(self, name: str, images: Path, masks: Path, annotations: Path, modality: int) -> None:
        self.name, self.images, self.masks, self.modality = name, images, masks, modality
        self.annotations = RecordFile(annotations, "annotations")
        self.categories = {
            _field(record, "id", int, annotations): _field(record, "name", str, annotations)
            for record in RecordFile(annotations, "categories")
        }
        place: dict[int, int] = {}
        self._files: list[str] = []
        self._views: list[str] = []
        self._unclear: list[tuple[str, ...]] = []
        for record in RecordFile(annotations, "images"):
            number = _field(record, "id", int, annotations)
            if number in place:
                raise InputError(f"'{annotations}' lists two images of id {number}: give each its own.")
            place[number] = len(self._files)
            self._files.append(_field(record, "file_name", str, annotations))
            self._views.append(sys.intern(_field({"view": "", **record}, "view", str, annotations)))
            self._unclear.append(
                tuple(map(sys.intern, _field({"unclear": [], **record}, "unclear", list, annotations)))
            )
        owner = array("Q")  # of each annotation, the place of its image
        for index, record in enumerate(self.annotations):
            number = _field(record, "image_id", int, annotations)
            if number not in place:
                raise InputError(
                    f"Annotation {index} of '{annotations}' is for the image {number}, which is not in its list of "
                    "images: add it there."
                )
            owner.append(place[number])
        owners = np.asarray(owner)
        self._order = np.argsort(owners, kind="stable")  # annotations, image by image
        self._starts = np.searchsorted(owners[self._order], np.arange(len(self._files) + 1))

    def __len__(self) -> int:
        """Number of images."""
        return len(self._files)

    def read(self, index: int) -> LabelledImage:
        """The image of an index with its masks, in the order of the annotations."""
        path = inside(self.images, self._files[index])
        own = self._order[self._starts[index] : self._starts[index + 1]].tolist()
        masks = tuple(self._mask(self.annotations[number], path.stem) for number in own)
        return LabelledImage(
            f"{self.name}/{path.stem}", self.name, path, self.modality, masks, self._views[index], self._unclear[index]
        )

    def _mask(self, record: Mapping[str, Any], image: str) -> MaskRecord:
        source = self.annotations.path
        category = _field(record, "category_id", int, source)
        if category not in self.categories:
            raise InputError(
                f"Annotation {record.get('id')} of '{source}' has the category {category}, which is not in its list of "
                "categories: add it there."
            )
        path = inside(self.masks, _field(record, "mask_file", str, source))
        sentences = tuple(
            _sentence(entry, source) for entry in _field({"sentences": [], **record}, "sentences", list, source)
        )
        name = path.stem.removeprefix(f"{image}_") if path.stem != image else ""
        name = name or next(iter(sentences), "").partition(" in ")[0] or self.categories[category]
        name = " ".join(name.replace("+", " ").replace("_", " ").split())
        return MaskRecord(_field(record, "id", int, source), path, category, sentences, name)


def _datasets(meta: Path) -> list[LabelledFolder]:
    try:
        listed = json.loads(meta.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise NotFoundError(f"There is no meta file '{meta}' that can be read: check the path.") from error
    except ValueError as error:
        raise InputError(f"'{meta}' is not valid JSON ({error}): repair the file.") from error
    columns = [listed.get(key) if isinstance(listed, dict) else None for key in META_KEYS]
    lengths = {len(column) if isinstance(column, list) else 0 for column in columns}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"'{meta}' must hold the lists {', '.join(META_KEYS)}, equally long and not empty.")
    folders = []
    for images, masks, listing, modality in zip(*columns):
        if not all(isinstance(path, str) for path in (images, masks, listing)):
            raise InputError(f"'{meta}' has {[images, masks, listing]} where three paths are expected: correct it.")
        if not isinstance(modality, int) or modality < 0:
            raise InputError(f"'{meta}' has the modality {modality!r}: give its number, 0 or more.")
        path = meta.parent / listing
        name = path.parent.relative_to(meta.parent) if path.is_relative_to(meta.parent) else Path(path.parent.name)
        folders.append(
            LabelledFolder(
                name.as_posix() if name.parts else path.stem, meta.parent / images, meta.parent / masks, path, modality
            )
        )
    return folders


def _categories(datasets: Sequence[LabelledFolder]) -> tuple[str, ...]:
    """Names by id; InputError when two datasets mean different things by one id."""
    names: dict[int, str] = defaultdict(str)
    for dataset in datasets:
        for number, name in dataset.categories.items():
            if names.setdefault(number, name) != name:
                raise InputError(
                    f"Category {number} is {names[number]!r} in one dataset and {name!r} in "
                    f"'{dataset.annotations.path}': use one list of categories for all."
                )
    return tuple(names[number] for number in range(max(names, default=-1) + 1))


def _sentence(entry: Any, source: Path) -> str:
    return entry if isinstance(entry, str) else _field(entry, "raw", str, source)


def _field(record: Any, key: str, kind: type, source: Path) -> Any:
    value = record.get(key) if isinstance(record, Mapping) else None
    if not isinstance(value, kind):
        raise InputError(f"'{source}' has a record with {key} {value!r}: give {_KINDS[kind]}.")
    return value


_KINDS = {int: "a whole number", str: "a text", list: "a list"}
