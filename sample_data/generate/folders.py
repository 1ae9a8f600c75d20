"""Generated planes in folders as BiomedParse publishes them (`medsight_core.data.biomedparse`), by several processes.

Two sets that share no subject: ``train/meta.json`` and ``held-out/meta.json``, each with one folder a source; sagittal
planes have a folder of their own, as they are labelled with other names. Beyond BiomedParse, an image's record says its
``subject``, ``orientation``, ``view`` and the names that are ``unclear``, and a listing which ``names`` it labels.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from medsight_core.engine.context import view_words
from medsight_core.errors import InputError
from medsight_core.terminology import split_side
from sample_data.generate.sources import SOURCES, Material, Source
from sample_data.generate.study import LabelledPlane, planes_of_scan

PARTS = {"train": "train", "held-out": "test"}  # set -> first part of its folders' names
# One class of the perceiver's head for each name, whatever source it comes from.
CATEGORIES: tuple[str, ...] = (
    "background",
    *dict.fromkeys(name for source in SOURCES for name in source.names),
    *dict.fromkeys(split_side(name)[1] for source in SOURCES for name in source.names if split_side(name)[0]),
)


@dataclass(frozen=True)
class Job:
    """One scan to generate and write: ``count`` of its planes below ``folder``."""

    folder: Path
    source: str
    material: Material
    unit: int
    count: int
    seed: int
    side: int
    held_out: bool


@dataclass(frozen=True)
class Record:
    """What a plane's writer hands back: folder, table of codes and names of its dataset, and the plane's entries."""

    folder: str
    table: int
    names: tuple[str, ...]
    image: dict
    annotations: list[dict]


@dataclass
class Dataset:
    """What was written to one folder: its table of codes, the names it labels, and entries as they are listed."""

    table: int
    names: tuple[str, ...]
    images: list[dict] = field(default_factory=list)
    annotations: list[dict] = field(default_factory=list)

    @property
    def subjects(self) -> int:
        """Number of subjects."""
        return len({image["subject"] for image in self.images})

    @property
    def masks(self) -> Counter[str]:
        """Number of masks by name."""
        return Counter(CATEGORIES[annotation["category_id"]] for annotation in self.annotations)


def write_planes(
    out: Path,
    sources: Sequence[Source],
    material: Material,
    planes: int,
    held_out: int,
    seed: int,
    side: int = 256,
    workers: int = 1,
    report: Callable[[float], None] = lambda fraction: None,
) -> dict[str, dict[str, Dataset]]:
    """Write ``planes`` of each source to train on, and ``held_out`` of each that has subjects to hold out.

    The same arguments write the same bytes, with any number of ``workers``. report: called with the fraction done.
    Returns what was written, by set and folder. Raises InputError when ``out`` is not empty, NotFoundError when the
    material of a source is missing.
    """
    if out.exists() and any(out.iterdir()):
        raise InputError(f"'{out}' is not empty: give a new folder.")
    jobs: list[Job] = []
    for source in sources:
        jobs += _jobs(out / "train", source, material, planes, seed, side, held_out=False)
        if source.can_hold_out(material):
            jobs += _jobs(out / "held-out", source, material, held_out, seed, side, held_out=True)
    written: dict[str, dict[str, Dataset]] = defaultdict(dict)
    for done, (job, records) in enumerate(zip(jobs, _run(jobs, workers)), start=1):
        for record in records:
            dataset = written[job.folder.name].setdefault(record.folder, Dataset(record.table, record.names))
            number = len(dataset.images)
            dataset.images.append({"id": number, **record.image})
            for annotation in record.annotations:
                dataset.annotations.append({"id": len(dataset.annotations), "image_id": number, **annotation})
        report(done / len(jobs))
    for part, datasets in written.items():
        _write_lists(out / part, PARTS[part], datasets)
    return dict(written)


def _jobs(
    folder: Path, source: Source, material: Material, planes: int, seed: int, side: int, held_out: bool
) -> Iterator[Job]:
    for unit in range(-(-planes // source.kind.per_scan)):
        count = min(source.kind.per_scan, planes - unit * source.kind.per_scan)
        yield Job(folder, source.name, material, unit, count, seed, side, held_out)


def _run(jobs: Sequence[Job], workers: int) -> Iterator[list[Record]]:
    if workers <= 1:
        yield from map(write_scan, jobs)
        return
    # One core each; the variable is read when a new process imports numpy.
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, "1"))
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield from pool.map(write_scan, jobs)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def write_scan(job: Job) -> list[Record]:
    """Write the pictures of a job."""
    source = next(source for source in SOURCES if source.name == job.source)
    planes = planes_of_scan(source, job.material, job.unit, job.seed, job.side, job.held_out)
    return [_write_plane(job, source, plane, number) for number, plane in enumerate(planes[: job.count])]


def _write_plane(job: Job, source: Source, plane: LabelledPlane, number: int) -> Record:
    sagittal = plane.orientation == "sagittal"
    folder = f"{source.name}-sagittal" if sagittal else source.name
    prefix = PARTS[job.folder.name]
    images, masks = job.folder / folder / prefix, job.folder / folder / f"{prefix}_mask"
    for path in (images, masks):
        path.mkdir(parents=True, exist_ok=True)
    stem = f"{job.unit:05d}-{number}_{source.kind.tag}"
    Image.fromarray(plane.image).save(images / f"{stem}.png")
    image = {
        "file_name": f"{stem}.png",
        "height": job.side,
        "width": job.side,
        "subject": plane.subject,
        "orientation": plane.orientation,
        "view": view_words(plane.orientation, plane.modality),
        "unclear": list(plane.unclear),
    }
    annotations = []
    for name, mask in plane.masks.items():
        file = f"{stem}_{name.replace(' ', '+')}.png"
        Image.fromarray(mask.astype(np.uint8) * 255).save(masks / file)
        annotations.append(
            {
                "file_name": image["file_name"],
                "mask_file": file,
                "category_id": CATEGORIES.index(name),
                "bbox": _box(mask),
                "area": int(mask.sum()),
                "sentences": [{"raw": f"{name} in {source.kind.title}"}],
            }
        )
    table = source.kind.sagittal_table if sagittal else source.kind.table
    return Record(folder, table, plane.names, image, annotations)


def _write_lists(folder: Path, prefix: str, datasets: dict[str, Dataset]) -> None:
    categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)]
    for name, dataset in datasets.items():
        listing = {
            "images": dataset.images,
            "annotations": dataset.annotations,
            "categories": categories,
            "names": dataset.names,
        }
        (folder / name / f"{prefix}.json").write_text(json.dumps(listing) + "\n", encoding="utf-8")
    meta = {
        "image_roots": [f"{name}/{prefix}" for name in datasets],
        "mask_roots": [f"{name}/{prefix}_mask" for name in datasets],
        "annotations": [f"{name}/{prefix}.json" for name in datasets],
        "modalities": [dataset.table for dataset in datasets.values()],
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _box(mask: np.ndarray) -> list[int]:
    """Left, top, width and height in pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
