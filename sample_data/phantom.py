"""Generated training data and volumes: the made-up patients of `phantom_anatomy` as files that every reader takes.

`write_phantoms` writes labelled slices in BiomedParse's layout (model-spec 2.3), `write_descriptions` questions and
answers about them without masks (stage 3), `phantom_volume` a patient as a volume with its reference masks. A slice is
windowed and shown as the engine shows a plane of the volume, so that a model trained on the slices can be asked about
the volumes. Nothing here shows a real person, and nothing learned from it is of any clinical use.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image

from medsight_core.data.biomedparse import BiomedParse, LabelledImage
from medsight_core.data.images import read_mask
from medsight_core.data.records import Conversation, Turn, to_record
from medsight_core.imaging.volume import Volume
from medsight_core.imaging.window import PRESETS, Window
from sample_data.phantom_anatomy import HEIGHTS, REACH, patient

# BiomedParse's object types by id (model-spec 2.3).
CATEGORIES = (
    "background",
    "liver",
    "lung",
    "kidney",
    "pancreas",
    "heart anatomies",
    "brain anatomies",
    "eye anatomies",
    "vessel",
    "other organ",
    "tumor",
    "infection",
    "other lesion",
    "fluid disturbance",
    "other abnormality",
    "histology structure",
    "other",
)
CATEGORY_OF = {
    "liver": 1,
    "right kidney": 3,
    "left kidney": 3,
    "right lateral ventricle": 6,
    "left lateral ventricle": 6,
    "aorta": 8,
    "spleen": 9,
    "stomach": 9,
    "tumour": 10,
    "oedema": 12,
}
CT_WINDOW = "abdomen"


@dataclass(frozen=True)
class _Series:
    """A dataset of slices of one kind.

    folder, tag: of its files. label: its modality's number (model-spec 3.1); modality: the name of it in a volume.
    unit: millimetres of half the body's longer side; rise: millimetres of as much along the body.
    """

    kind: str
    folder: str
    tag: str
    title: str
    label: int
    modality: str
    unit: float
    rise: float


SERIES = (
    _Series("abdomen", "phantom-abdomen", "CT_abdomen", "abdominal CT", 0, "CT", 180.0, 130.0),
    _Series("brain", "phantom-brain", "MRI_brain", "brain MRI", 10, "MR", 95.0, 90.0),
)


def write_phantoms(folder: Path, images: int, side: int, seed: int) -> Path:
    """Write ``images`` labelled slices of ``side`` pixels, half of them abdomens, half brains; returns the meta JSON.

    Patient right is on the left of the picture. The same arguments write the same bytes.
    """
    meta: dict[str, list] = {"image_roots": [], "mask_roots": [], "annotations": [], "modalities": []}
    for number, series in enumerate(SERIES):
        count = (images + 1 - number) // 2
        _write_series(folder / series.folder, series, count, side, seed)
        meta["image_roots"].append(f"{series.folder}/train")
        meta["mask_roots"].append(f"{series.folder}/train_mask")
        meta["annotations"].append(f"{series.folder}/train.json")
        meta["modalities"].append(series.label)
    path = folder / "meta.json"
    path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return path


def write_descriptions(meta: Path, out: Path, seed: int) -> None:
    """Write a question-and-answer record about each image of a phantom folder to ``out`` (.json), as PubMedVision does.

    Kind of image, what is visible, whether and where something is; no masks. Images must lie below the folder of
    ``out``, from which their names start.
    """
    images = BiomedParse(meta)
    names = {dataset.name: sorted({m.name for image in dataset for m in image.masks}) for dataset in images.datasets}
    records = []
    for image in images:
        rng = random.Random(f"{seed}/{image.id}")
        turns = _describe(image, names[image.dataset], rng)
        record = to_record(Conversation(image.id, (image.path,), tuple(turns)), out.parent)
        for message in record["conversations"]:
            message["from"] = "human" if message["from"] == "human" else "gpt"
        records.append(record)
    out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def phantom_slice(kind: str, seed: int, side: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One axial slice as a picture, uint8 (rows, columns), and the bool mask of each structure that it shows."""
    height = np.random.default_rng(seed).uniform(-HEIGHTS[kind], HEIGHTS[kind])
    values, masks = patient(kind, seed).look(side, np.array([height]))
    low_high = np.percentile(values, (0.5, 99.5))  # as `window_for` shows MR
    window = PRESETS[CT_WINDOW] if kind == "abdomen" else Window(*low_high)
    # (x, y) become columns and rows: the patient's left is on the right of the picture
    return window.to_uint8(values[..., 0].T), {name: mask[..., 0].T for name, mask in masks.items()}


def phantom_volume(kind: str, seed: int, side: int = 96, slices: int = 24) -> tuple[Volume, dict[str, np.ndarray]]:
    """A patient of `phantom_anatomy.KINDS` as an axial volume (side, side, slices), and bool masks of what it holds.

    An abdomen is in Hounsfield units and looks like the slices in the window `CT_WINDOW`; a brain is in arbitrary
    units. The affine is LPS millimetres, x to the patient's left.
    """
    series = next(series for series in SERIES if series.kind == kind)
    values, masks = patient(kind, seed).look(side, np.linspace(-HEIGHTS[kind], HEIGHTS[kind], slices))
    if kind == "brain":
        values *= np.random.default_rng(seed).uniform(300, 1500)
    pixel = 2 * REACH * series.unit / side
    step = 2 * HEIGHTS[kind] * series.rise / (slices - 1)
    affine = np.diag((pixel, pixel, step, 1.0))
    affine[:3, 3] = affine[:3, :3] @ (1 - np.array(values.shape)) / 2
    return Volume(np.rint(values).astype(np.int16), affine, series.modality), masks


def _write_series(folder: Path, series: _Series, count: int, side: int, seed: int) -> None:
    for name in ("train", "train_mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for index in range(count):
        # Far from the seeds that anybody gives a volume: no patient is both trained on and asked about.
        picture, masks = phantom_slice(series.kind, (seed + 1) * 1_000_003 + index, side)
        stem = f"{index:05d}_{series.tag}"
        Image.fromarray(picture).save(folder / "train" / f"{stem}.png")
        images.append({"id": index, "file_name": f"{stem}.png", "width": side, "height": side})
        for name, mask in masks.items():
            mask_file = f"{stem}_{name.replace(' ', '+')}.png"
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "train_mask" / mask_file)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": index,
                    "file_name": f"{stem}.png",
                    "mask_file": mask_file,
                    "category_id": CATEGORY_OF[name],
                    "bbox": _box(mask),
                    "sentences": [{"raw": f"{name} in {series.title}"}],
                }
            )
    categories = [{"id": index, "name": name} for index, name in enumerate(CATEGORIES)]
    table = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(table) + "\n", encoding="utf-8")


def _box(mask: np.ndarray) -> list[int]:
    """Left, top, width and height in pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]


def _describe(image: LabelledImage, names: Sequence[str], rng: random.Random) -> list[Turn]:
    """Two to four turns about an image; ``names`` are all that its dataset labels."""
    title = next(series.title for series in SERIES if series.folder == image.dataset)
    masks = {mask.name: mask.path for mask in image.masks}
    shown, absent = sorted(masks), [name for name in names if name not in masks]
    listed = (
        f"I see {' and '.join(filter(None, (', '.join(shown[:-1]), shown[-1])))}." if shown else "I recognise none."
    )
    turns = [
        Turn(rng.choice(("What kind of image is this?", "Which modality is this?")), f"This is an axial {title}."),
        Turn(rng.choice(("What is visible?", "Which structures do you recognise?")), listed),
    ]
    for name in (rng.choice(choice) for choice in (shown, absent) if choice):
        where = f"{_side(read_mask(masks[name]))} of the picture" if name in masks else ""
        turns += [
            Turn(
                f"Is the {name} visible?", f"Yes, the {name} is visible." if where else f"No, the {name} is not seen."
            ),
            Turn(f"Where is the {name}?", f"The {name} is {where}." if where else f"The {name} is not seen."),
        ]
    return rng.sample(turns, rng.randint(2, min(4, len(turns))))


def _side(mask: np.ndarray) -> str:
    across = (np.nonzero(mask)[1].mean() + 0.5) / mask.shape[1]
    return "on the left" if across < 0.45 else "on the right" if across > 0.55 else "in the middle"
