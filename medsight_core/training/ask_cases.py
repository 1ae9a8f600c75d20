"""How good a model is on cases, measured as people use it: by asking for each name, and comparing what is outlined.

Knows the engine and labels; knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medsight_core.data.corrected_cases import Case
from medsight_core.engine.engine import ASK_FOR, Engine
from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.plane import plane_for, voxels_on_plane
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import SCOPE_PLANE, SCOPE_VOLUME, PlaneRequest
from medsight_core.training.taught_planes import case_masks, case_volume

Tell = Callable[[float], None]
_MOST_OTHERS = 8  # of which answers are compared with the outlines


@dataclass(frozen=True)
class Asked:
    """One request: the case's id, the name, and the Dice of what was outlined under it; 0 when it was not seen.

    Of a name that is not there, Dice is 1 when nothing was outlined and 0 otherwise.
    blind: mean Dice with other cases' outlines of the name instead; nan without any.
    """

    case: str
    name: str
    dice: float
    present: bool = True
    blind: float = float("nan")


def ask_cases(
    engine: Engine, cases: Sequence[Case], whole: bool, others: Sequence[Case] = (), tell: Tell = lambda done: None
) -> list[Asked]:
    """Ask for everything that is outlined in cases, and for everything that is known to be absent.

    whole: ask about the whole volume, as for what was corrected; otherwise about the axial plane that shows most of
    the thing, which is much quicker. others: cases whose outlines whole answers are compared with too.
    """
    strange = outlines_by_name(others)
    found: list[Asked] = []
    for number, case in enumerate(cases):
        volume = case_volume(case)
        masks = case_masks(case, volume)
        for name, mask in masks.items():
            tell(number / len(cases))
            if mask.any():
                request = None if whole else _fullest(volume, mask)
                seen = outlined(engine, volume, name, request)
                if request is not None:
                    mask = mask & _on_plane(volume, request)
                found.append(
                    Asked(case.id, name, _dice(seen, mask), blind=blind_dice(seen, volume, strange.get(name, ())))
                )
        for name in case.absent:
            tell(number / len(cases))
            request = None if whole else PlaneRequest("axial", volume.shape[_through(volume)] // 2)
            found.append(Asked(case.id, name, float(not outlined(engine, volume, name, request).any()), False))
    return found


def blind_dice(seen: np.ndarray, volume: Volume, outlines: Sequence[np.ndarray]) -> float:
    """Mean Dice of what was outlined, bool (I, J, K), with other cases' outlines stretched over it; nan without any."""
    arranged = PatientOrder.of(volume.affine).arrange(seen)
    return float(np.mean([_dice(arranged, each) for each in outlines])) if outlines else float("nan")


def outlines_by_name(cases: Sequence[Case]) -> dict[str, list[np.ndarray]]:
    """Of each name the outlines of at most `_MOST_OTHERS` cases, with axes along L, P and S."""
    found: dict[str, list[np.ndarray]] = {}
    for case in cases:
        if all(len(found.get(name, ())) >= _MOST_OTHERS for name in case.names):
            continue  # reading takes a while
        volume = case_volume(case)
        for name, mask in case_masks(case, volume).items():
            if mask.any() and len(found.get(name, ())) < _MOST_OTHERS:
                found.setdefault(name, []).append(PatientOrder.of(volume.affine).arrange(mask))
    return found


def _dice(seen: np.ndarray, mask: np.ndarray) -> float:
    """Dice of two masks, bool (I, J, K); the second is stretched over the first where their sizes differ."""
    if seen.shape != mask.shape:
        places = [(np.arange(n) * m // n) for n, m in zip(seen.shape, mask.shape)]
        mask = mask[np.ix_(*places)]
    area = int(seen.sum()) + int(mask.sum())
    return 2 * int((seen & mask).sum()) / area if area else 0.0


def _on_plane(volume: Volume, request: PlaneRequest) -> np.ndarray:
    """The voxels that a plane covers, bool (I, J, K)."""
    plane = plane_for(volume, request)
    return voxels_on_plane(volume, plane, np.ones(plane.shape, bool))


def outlined(engine: Engine, volume: Volume, name: str, request: PlaneRequest | None = None) -> np.ndarray:
    """All that is outlined, bool (I, J, K), when somebody asks for a name on a plane, or in the whole volume."""
    scope = SCOPE_VOLUME if request is None else SCOPE_PLANE
    seen = np.zeros(volume.shape, bool)
    for region in engine.ask(volume, ASK_FOR.format(name), scope=scope, plane=request).regions:
        if region.mask is not None:
            seen |= region.mask
    return seen


def _fullest(volume: Volume, mask: np.ndarray) -> PlaneRequest:
    """The axial plane with most of a mask."""
    others = tuple(axis for axis in range(3) if axis != _through(volume))
    return PlaneRequest("axial", int(mask.sum(axis=others).argmax()))


def _through(volume: Volume) -> int:
    """The stored axis that axial planes are counted along."""
    return PatientOrder.of(volume.affine).axes[2]
