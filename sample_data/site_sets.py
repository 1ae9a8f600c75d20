"""Volumes for adapting at a site: some to go on answering alike about, and a frozen set that tells what was lost.

    python -m sample_data.site_sets --studies studies --out studies-sets

A site has none of the data that the shipped model was trained on. What every installation has are the packages with
sample images and the programs that reshape them and draw phantoms. Both sets are made from these and are always the
same; no volume is in both, and those to remember have no labels. Fetal ultrasound and head CT cannot be made this way
and are in neither set, so what a model forgets of them is not seen.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from medsight_core.data.corrected_cases import Case
from medsight_core.errors import InputError, NotFoundError, run_program
from medsight_core.imaging.volume import read_volume
from sample_data.demo_config import CLASS_NAMES
from sample_data.fetch import available, fetch, reference_masks
from sample_data.generate.scan import Scan
from sample_data.generate.sources import Material, sources

SEED = 20261129
# How many scans of which source.
REPLAY: Mapping[str, int] = {"brain-mni": 5, "chest-ct": 2, "chest-maps": 2, "chest-phantom": 3, "abdomen": 3}
REFERENCE: Mapping[str, int] = {"brain-mni": 1, "chest-phantom": 2, "abdomen": 3}
_LIST = "sets.json"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_FINDINGS = {"MR": ("lesion", "tumour"), "CT": ("nodule", "pleural effusion")}  # that the real sample images lack


def write_sets(
    out: Path, studies: Path, replay: Mapping[str, int] = REPLAY, reference: Mapping[str, int] = REFERENCE
) -> None:
    """Make both sets in a new folder, whole or not at all.

    Raises InputError when it is there already, NotFoundError when a package with sample images is missing.
    """
    if out.exists():
        raise InputError(f"'{out}' is there already: give a new folder.")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    made = {
        "replay": [_kept(scan, name, part, ()) for name, scan, _ in _scans(replay, studies, False)],
        "reference": [
            *(_kept(scan, name, part, names) for name, scan, names in _scans(reference, studies, True)),
            *_samples(part, studies),
        ],
    }
    (part / _LIST).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    part.replace(out)


def read_sets(folder: Path) -> tuple[list[Case], list[Case]]:
    """The cases to remember, and the reference set, of a folder that `write_sets` made; NotFoundError without one."""
    try:
        listed = json.loads((folder / _LIST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            f"There are no sets in '{folder}': make them with python -m sample_data.site_sets --out '{folder}'."
        ) from None
    replay, reference = ([_case(entry, folder) for entry in listed[name]] for name in ("replay", "reference"))
    return replay, reference


def _case(entry: Mapping[str, Any], folder: Path) -> Case:
    return Case(
        entry["id"],
        folder / entry["image"],
        folder / entry["label"] if entry["label"] else None,
        tuple(entry["segments"]),
        tuple(entry["absent"]),
        modality=entry["modality"],
    )


def _scans(counts: Mapping[str, int], studies: Path, held_out: bool) -> Iterator[tuple[str, Scan, tuple[str, ...]]]:
    """Scans with a name each and what their source labels; where there are any, of phantoms never trained on."""
    material = Material(studies=studies)
    for source in sources(list(counts)):
        for number in range(counts[source.name]):
            rng = np.random.default_rng([SEED, zlib.crc32(source.name.encode()), number, held_out])
            subject = source.draw_subject(material, held_out and source.can_hold_out(material), rng)
            scan, _ = source.scan(material, subject, rng)
            yield f"{'reference' if held_out else 'replay'}-{source.name}-{number}", scan, source.names


def _kept(scan: Scan, name: str, folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The entry of a scan whose files were written; without a label when ``names`` is empty."""
    modality = scan.volume.modality
    entry = {"id": name, "image": f"{name}.nii.gz", "label": None, "segments": [], "absent": [], "modality": modality}
    _write(folder / f"{name}.nii.gz", np.rint(scan.volume.voxels).astype(np.int16), scan.volume.affine)
    if names:
        labels, shown = _labelmap(scan)
        _write(folder / f"{name}-label.nii.gz", labels, scan.volume.affine)
        absent = [each for each in _FINDINGS[modality] if each in names and each not in shown]
        entry |= {"label": f"{name}-label.nii.gz", "segments": shown, "absent": absent}
    return entry


def _labelmap(scan: Scan) -> tuple[np.ndarray, list[str]]:
    """Labels (I, J, K) on the image's voxels, and the names of 1, 2 and so on; what overlaps another is left out."""
    grid = np.diag([*scan.spacing, 1.0])
    grid[:3, 3] = scan.origin
    to_grid = np.linalg.inv(grid) @ scan.volume.affine
    index = np.indices(scan.volume.shape, sparse=True, dtype=np.float32)
    places, inside = [], np.ones(scan.volume.shape, bool)
    for axis, count in enumerate(scan.layers[0].labels.shape):
        place = np.rint(sum(to_grid[axis, a] * index[a] for a in range(3)) + to_grid[axis, 3]).astype(np.intp)
        inside &= (place >= 0) & (place < count)
        places.append(place.clip(0, count - 1))
    labels, names = np.zeros(scan.volume.shape, np.uint8), list[str]()
    for layer in scan.layers:
        here = np.where(inside, layer.labels[tuple(places)], 0)
        taken = set[int]()
        for name, values in sorted(layer.legend.items(), key=lambda item: len(item[1])):
            free = np.isin(here, values) & (labels == 0)
            if name in CLASS_NAMES and not taken & set(values) and free.any():
                taken |= set(values)
                names.append(name)
                labels[free] = len(names)
    return labels, names


def _samples(folder: Path, studies: Path) -> Iterator[dict[str, Any]]:
    """The real sample images as they are; the model was trained on reshaped ones."""
    paths = fetch(studies)
    for sample in available():
        volume = read_volume(paths[sample.id], modality=sample.modality)
        masks = {name: mask for name, mask in reference_masks(sample.id).items() if name in CLASS_NAMES and mask.any()}
        labels = np.zeros(volume.shape, np.uint8)
        for number, mask in enumerate(masks.values(), start=1):
            labels[mask] = number
        name = f"reference-{sample.id}"
        _write(folder / f"{name}.nii.gz", np.asarray(volume.voxels), volume.affine)
        _write(folder / f"{name}-label.nii.gz", labels, volume.affine)
        yield {
            "id": name,
            "image": f"{name}.nii.gz",
            "label": f"{name}-label.nii.gz",
            "segments": list(masks),
            "absent": list(_FINDINGS[sample.modality]),
            "modality": sample.modality,
        }


def _write(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(voxels, _LPS_TO_RAS @ affine), str(path))


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.site_sets", description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    return run_program(lambda: write_sets(options.out, options.studies))


if __name__ == "__main__":
    sys.exit(main())
