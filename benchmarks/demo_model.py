"""How well the shipped model answers on the sample volumes, asked through a real server.

    python -m benchmarks.demo_model --out docs/demo-model.md

Per structure: Dice of the whole-volume answer against the sample's own labels. The chest CT and the averaged brain are
what the model was trained on; the Colin brain (Debian mricron-data, when installed) is a real head it never saw. Absent
things are asked for by name. Every figure comes with n and a 95 % interval: bootstrap over structures for means, Wilson
for rates.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.provenance import commit
from medsight_core.client import MedSightClient
from medsight_core.evaluation.intervals import wilson_interval
from medsight_core.evaluation.mask_scores import dice
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings
from medsight_core.terminology import other_side
from sample_data.fetch import fetch, reference_masks, sample

ABSENT = (
    "liver", "spleen", "left kidney", "pancreas", "urinary bladder", "femur", "stent", "fetal head",
    "brain tumour", "lung nodule", "pleural effusion", "aneurysm", "retina", "polyp", "mandible", "uterus",
)  # fmt: skip
FOREIGN = {"ct-chest": ("left thalamus", "hippocampus", "brainstem", "left putamen")}
FOREIGN["mr-brain"] = FOREIGN["mr-brain-colin"] = ("right lung", "ribs", "lumbar spine", "soft tissue")
ASKED_AT_ONCE = 1  # lists of several are hard for the small language model, and tested in tests/test_demo_model.py


@dataclass
class Result:
    """What came out for one sample."""

    dice: dict[str, float] = field(default_factory=dict)
    swapped: list[str] = field(default_factory=list)
    false_masks: list[str] = field(default_factory=list)
    not_called_absent: list[str] = field(default_factory=list)
    asked_absent: int = 0
    seconds: list[float] = field(default_factory=list)


def evaluate(client: MedSightClient, sample_id: str) -> Result:
    """Ask for every labelled structure, a few at a time, and for absent ones, one at a time."""
    result, reference = Result(), reference_masks(sample_id)
    names = list(reference)
    for start in range(0, len(names), ASKED_AT_ONCE):
        group = names[start : start + ASKED_AT_ONCE]
        begin = time.monotonic()
        reply = client.ask(f"Outline {_listed(group)}.", image=sample_id)
        result.seconds.append(time.monotonic() - begin)
        masks = _masks(reply.segmentation)
        for name in group:
            mask = masks.get(name)
            result.dice[name] = 0.0 if mask is None else dice(mask, reference[name])
            other = other_side(name)
            if other and mask is not None and dice(mask, reference[other]) > result.dice[name]:
                result.swapped.append(name)
    for name in (*ABSENT, *FOREIGN[sample_id]):
        reply = client.ask(f"Is there a {name}?", image=sample_id)
        result.asked_absent += 1
        if reply.answer.regions:
            result.false_masks.append(name)
        if not any(name in absent for absent in reply.answer.absent):
            result.not_called_absent.append(name)
    return result


def bootstrap(values: list[float], seed: int = 0) -> tuple[float, float, float]:
    """Mean with its 95 % bootstrap interval."""
    array = np.array(values)
    draws = np.random.default_rng(seed).choice(array, (10_000, len(array))).mean(axis=1)
    return float(array.mean()), *(float(x) for x in np.percentile(draws, (2.5, 97.5)))


def report(results: dict[str, Result]) -> str:
    """The figures as Markdown."""
    lines = [
        "# The shipped model on the sample volumes",
        "",
        f"Made by `python -m benchmarks.demo_model` at {commit()}.",
        "",
    ]
    for sample_id, result in results.items():
        mean, low, high = bootstrap(list(result.dice.values()))
        rate = len(result.false_masks) / result.asked_absent
        rate_low, rate_high = wilson_interval(len(result.false_masks), result.asked_absent)
        lines += [
            f"## {sample(sample_id).title}",
            "",
            f"- Dice, mean over n = {len(result.dice)} structures: **{mean:.3f}** (95 % {low:.3f} to {high:.3f})",
            f"- left and right swapped: {len(result.swapped)}{_named(result.swapped)}",
            f"- absent things outlined: {len(result.false_masks)} of {result.asked_absent}, {rate:.2f} "
            f"({rate_low:.2f} to {rate_high:.2f}){_named(result.false_masks)}",
            f"- absent things not called so: {len(result.not_called_absent)}{_named(result.not_called_absent)}",
            f"- whole-volume answer: first {result.seconds[0]:.1f} s, then {np.median(result.seconds[1:]):.1f} s",
            "",
            "| structure | Dice |",
            "|---|---|",
            *[f"| {name} | {value:.3f} |" for name, value in result.dice.items()],
            "",
        ]
    return "\n".join(lines)


def _masks(segmentation: bytes | None) -> dict[str, np.ndarray]:
    if segmentation is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.seg.nrrd"
        path.write_bytes(segmentation)
        return {segment.name: segment.mask for segment in read_segmentation(path).segments}


def _listed(names: list[str]) -> str:
    listed = [f"the {name}" for name in names]
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1]


def _named(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--out", type=Path, default=Path("docs/demo-model.md"))
    options = parser.parse_args()
    images = fetch(options.studies)
    settings = Settings(studies=options.studies, model=options.model, port=0)
    with running_server(settings) as server, MedSightClient(server.address, server.token) as client:
        results = {sample_id: evaluate(client, sample_id) for sample_id in images}
    text = report(results)
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
