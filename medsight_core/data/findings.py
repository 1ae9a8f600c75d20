"""What `medsight_core.data.check` found out about a training set, as plain data and the figures that sum it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Fault(NamedTuple):
    """``where``: which record. ``reason``: a sentence that names the file and says what is wrong with it."""

    where: str
    reason: str


class MaskLook(NamedTuple):
    """What a mask file holds: (rows, columns), the share of pixels inside, the share of those in the centre crop."""

    shape: tuple[int, int]
    share: float
    shown: float


@dataclass
class Report:
    """The findings of a check.

    kind: of the records: "images" with masks (BiomedParse) or "conversations".
    total, records: in the set, and how many of them were looked at.
    bad: what is wrong with them, in their order; a record may have several faults.
    images, masks: the files that could be read; images with their (rows, columns).
    without_images, without_masks: records that have none.
    masks_by_modality, codes: how many masks each modality k has, and each region code "Mk_j" of conversations.
    longest: tokens of the longest sequence; None when no model was given to count them with.
    """

    kind: str
    total: int
    records: int = 0
    bad: list[Fault] = field(default_factory=list)
    images: dict[Path, tuple[int, int]] = field(default_factory=dict)
    masks: dict[Path, MaskLook] = field(default_factory=dict)
    without_images: int = 0
    without_masks: int = 0
    masks_by_modality: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    longest: int | None = None

    @property
    def non_square(self) -> int:
        """Images whose sides or ends the model's centre crop cuts off."""
        return sum(rows != cols for rows, cols in self.images.values())

    @property
    def hidden_masks(self) -> int:
        """Masks that lie outside the centre crop: the model is asked for what it cannot see."""
        return sum(look.share > 0 and not look.shown for look in self.masks.values())

    @property
    def hidden_area(self) -> float:
        """The share of the masks' area that lies outside the centre crop."""
        inside = sum(look.share for look in self.masks.values())
        return sum(look.share * (1 - look.shown) for look in self.masks.values()) / inside if inside else 0.0

    def mask_areas(self, quantiles: Sequence[float]) -> list[float]:
        """The shares of their images that masks cover, at ``quantiles``; empty when there are no masks."""
        shares = [look.share for look in self.masks.values()]
        return np.quantile(shares, quantiles).tolist() if shares else []
