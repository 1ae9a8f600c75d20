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
from medsight_core.intervals import bootstrap_interval

DRAWS = 10_000
HELD_OUT = (1, 2, 4, 8, 16)
MARGINS = (0.02, LEAST_SEEN, 0.08)


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


def own_and_blind(rows: Sequence[Mapping[str, Any]], poisoned: str) -> list[str]:
    """As Markdown: the differences of each training, and how often a margin would be wrong.

    poisoned: what trainings with outlines that changed places have as their strategy.
    """
    lines = [
        "## Do outlines fit their own image",
        "",
        "Dice of what is outlined on held-out cases with their own outlines, and with those of cases that were trained "
        f'on, stretched over them ("blind"). Promotion refuses a difference below {LEAST_SEEN:g}. "{poisoned}": cases '
        "taken by chance whose outlines changed places, in those held out too. In brackets the 95 % interval over the "
        "held-out cases.",
        "",
        "| outlines | seed | cases | own | blind | difference |",
        "|---|---|---|---|---|---|",
    ]
    belong, strange = [], []
    for row in rows:
        if "blind" in row:
            gaps = np.subtract(row["dice"], row["blind"])
            low, high = bootstrap_interval([gaps.tolist()], 0) or (np.nan, np.nan)
            lines.append(
                f"| {row['strategy']} | {row['seed']} | {row['size']} | {np.mean(row['dice']):.3f} | "
                f"{np.mean(row['blind']):.3f} | {gaps.mean():+.3f} ({low:+.3f} to {high:+.3f}) |"
            )
            (strange if row["strategy"] == poisoned else belong).append(gaps)
    return [*lines, *_mistakes(belong, strange)] if belong and strange else lines


def _mistakes(belong: Sequence[np.ndarray], strange: Sequence[np.ndarray]) -> list[str]:
    """How often a margin refuses outlines that belong and lets pass those that do not, by how many were held out."""
    lines = [
        "",
        "How often a margin is wrong depends on how many cases are held out, of which one counts little. Drawn "
        f"{DRAWS} times from the held-out cases of one training, trainings in turn:",
        "",
        "| held out | " + " | ".join(f"{margin:g}: belong, refused | swapped, let pass" for margin in MARGINS) + " |",
        "|---" * (1 + 2 * len(MARGINS)) + "|",
    ]
    for count in HELD_OUT:
        right, wrong = (_means(gaps, count) for gaps in (belong, strange))
        shares = [f"{(right < margin).mean():.0%} | {(wrong >= margin).mean():.0%}" for margin in MARGINS]
        lines.append(f"| {count} | {' | '.join(shares)} |")
    return lines


def _means(gaps: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Means of ``count`` differences of one training, drawn anew each time, (DRAWS * trainings,)."""
    chance = np.random.default_rng(0)
    return np.concatenate([each[chance.integers(len(each), size=(DRAWS, count))].mean(1) for each in gaps])
