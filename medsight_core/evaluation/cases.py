"""What a benchmark asks, whatever its files look like: one `Case` a question.

Knows questions, references and the names of modalities; knows no file format of a benchmark and no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from medsight_core.data.images import read_image, read_mask
from medsight_core.errors import InputError

Kind = Literal["open", "closed", "choice", "outline"]

# Columns of the paper's tables first (model-spec 8.3), then what other benchmarks add. Matched at the beginning of a
# name in which blanks stand for anything but letters: "x_ray", "MRI-FLAIR" and "ct_00" are all published spellings.
_MODALITIES = {
    "CT": r"ct\b|computed tomography",
    "MRI": r"mri?\b|magnetic resonance",
    "X-ray": r"x ?ray|radiograph",
    "Pathology": r"(histo)?patholog",
    "Ultrasound": r"ultrasound|us\b",
    "Endoscopy": r"endoscop",
    "Dermoscopy": r"derm(at)?oscop",  # the authors merge both spellings
    "OCT": r"oct\b|optical coherence",
    "Fundus": r"fundus",
    "PET": r"pet\b",
    "Microscopy": r"microscop",
}
MODALITIES = tuple(_MODALITIES)


@dataclass(frozen=True)
class Case:
    """One question.

    id: unique in its benchmark.
    images: 8-bit picture files.
    prompt: what the model is asked.
    answer: the reference answer; of a "choice" the right choice's text.
    kind: how the reply's text is scored; "outline" is not.
    choices: of a "choice", without their letters.
    masks: reference targets; each is the union of its files. None when masks are not asked for.
    grey_masks: a mask is where values exceed 127; where they are not 0 otherwise.
    modality: what results are grouped by.
    """

    id: str
    images: tuple[Path, ...]
    prompt: str
    answer: str
    kind: Kind
    choices: tuple[str, ...] = ()
    masks: tuple[tuple[Path, ...], ...] = ()
    grey_masks: bool = True
    modality: str = "all"

    def pictures(self) -> list[Image.Image]:
        """The images, mode "L" or "RGB". Raises InputError for one that is missing, damaged or not 8-bit."""
        return [read_image(path) for path in self.images]

    def references(self, shape: tuple[int, int]) -> np.ndarray:
        """The reference targets of an image of so many rows and columns, bool (targets, rows, columns).

        Raises InputError for a mask that is missing, damaged, not 8-bit or not as large as the image.
        """
        targets = np.zeros((len(self.masks), *shape), bool)
        for target, files in zip(targets, self.masks):
            for path in files:
                mask = self._mask(path)
                if mask.shape != shape:
                    raise InputError(
                        f"'{path}' has {mask.shape[1]} x {mask.shape[0]} pixels and its image {shape[1]} x {shape[0]}: "
                        "make them equally large."
                    )
                target |= mask
        return targets

    def _mask(self, path: Path) -> np.ndarray:
        return read_mask(path) if self.grey_masks else np.asarray(read_image(path).convert("L")) > 0


def modality_name(text: str) -> str:
    """One spelling for a modality ("Dermatoscopy", "dermoscopy_00" and "Dermoscopy" are the same); others stay."""
    words = re.sub(r"[^a-z]+", " ", text.lower()).strip()
    return next((name for name, pattern in _MODALITIES.items() if re.match(pattern, words)), text.strip() or "unknown")


def modality_order(name: str) -> tuple[int, str]:
    """Sort key: the paper's columns in its order, then others by name."""
    return (MODALITIES.index(name) if name in MODALITIES else len(MODALITIES), name)
