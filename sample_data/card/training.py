"""What a training run did: `training.json`, which travels with the weights.

It holds no path, because the model may be passed on. A stage that did not run as its preset says has a "note" on that,
written by hand into its `metrics.json`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.record_file import RecordFile
from medsight_core.engine.machine import this_machine
from medsight_core.errors import InputError
from medsight_core.training.stages import STAGES

TRAINING = "training.json"


def training_record(stages: Path, images: Path, seed: int) -> dict[str, Any]:
    """Machine, stages and images of a run, as plain JSON.

    stages: folder of `training.pipeline`'s runs. images: folder with the meta files train.json and held-out.json.
    Raises InputError for a stage that is not finished.
    """
    machine = this_machine()
    return {
        "seed": seed,
        "machine": {"cpu": machine.cpu, "threads": machine.cores, "instructions": list(machine.instructions)},
        "stages": [_stage(stages / name / "metrics.json", name) for name in STAGES],
        "images": {
            "train": _sources(images / "train.json"),
            "held-out": _sources(images / "held-out.json"),
        },
    }


def _stage(metrics: Path, name: str) -> dict[str, Any]:
    report = json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {}
    if "end" not in report:
        raise InputError(f"The stage {name!r} is not finished ('{metrics}' has no end): train it first.")
    metric = report["metric"]
    return {
        "stage": name,
        "steps": report["steps"],
        "batch": report["recipe"]["batch"],
        "precision": report["recipe"]["precision"],
        "samples": report["samples"],
        "seconds": report["seconds"],
        "metric": metric,
        "start": report["start"][metric],
        "end": report["end"][metric],
        **({"note": report["note"]} if "note" in report else {}),
    }


def _sources(meta: Path) -> dict[str, dict[str, int]]:
    """Numbers of images and of subjects by source, which is the first folder of a dataset's name."""
    images: defaultdict[str, int] = defaultdict(int)
    subjects: defaultdict[str, set[str]] = defaultdict(set)
    for dataset in BiomedParse(meta).datasets:
        source = dataset.name.partition("/")[0]
        images[source] += len(dataset)
        subjects[source] |= {record["subject"] for record in RecordFile(dataset.annotations.path, "images")}
    return {source: {"images": count, "subjects": len(subjects[source])} for source, count in images.items()}
