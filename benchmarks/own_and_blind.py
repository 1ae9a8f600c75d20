"""Whether what a trained model outlines fits its own image better than others, with outlines that belong and do not.

Takes cases and rows of `benchmarks.learning`; it knows no model and trains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from medsight_core.data.corrected_cases import Case
from medsight_core.engine.promotion import LEAST_SEEN

PAIRS = 10_000


def swapped(cases: Sequence[Case], folder: Path) -> list[Case]:
    """The cases with the outlines of the next one, stretched over their own voxels and written to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for case, other in zip(cases, [*cases[1:], cases[0]]):
        image, mask = nibabel.load(case.image), np.asarray(nibabel.load(other.label).dataobj)
        places = [np.arange(n) * m // n for n, m in zip(image.shape, mask.shape)]
        label = folder / case.id
        nibabel.save(nibabel.Nifti1Image(mask[np.ix_(*places)].astype(np.uint8), image.affine), label)
        found.append(replace(case, label=label))
    return found


def own_and_blind(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The differences as Markdown: of each training, and of pairs of its held-out cases."""
    lines = [
        "## Do outlines fit their own image",
        "",
        "Dice of what is outlined on held-out cases with their own outlines, and with those of cases that were trained "
        f'on, stretched over them ("blind"). Promotion refuses a difference below {LEAST_SEEN:g}. "Poisoned": outlines '
        "that changed places among cases, in the held-out ones too. A site with ten corrected cases holds out two or "
        "so: the last columns tell what pairs drawn from the held-out cases give.",
        "",
        "| outlines | seed | cases | own | blind | difference | pairs, 1st percentile | 99th |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "blind" in row:
            own, blind = np.asarray(row["dice"]), np.asarray(row["blind"])
            places = np.random.default_rng(0).integers(len(own), size=(PAIRS, 2))
            low, high = np.quantile((own - blind)[places].mean(1), (0.01, 0.99))
            lines.append(
                f"| {row['strategy']} | {row['seed']} | {row['size']} | {own.mean():.3f} | {blind.mean():.3f} | "
                f"{(own - blind).mean():+.3f} | {low:+.3f} | {high:+.3f} |"
            )
    return lines
