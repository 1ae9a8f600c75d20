"""From planes to a volume: where the language model looks, and how far what it names is carried.

A code state means the same thing on every plane of an image (docs/performance.md), so the language model is asked on a
few planes only. Its states are decoded on the planes that can show the thing: those where the class head detects it,
without those between two that turn out alike; where the head cannot tell, from the planes that named it outwards until
it is lost. It knows no words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy import ndimage

from medsight_core.engine.detection import Detections, agreed
from medsight_core.engine.features import ViewFeatures
from medsight_core.engine.regions import Candidate, Finding, detected, presence_of
from medsight_core.engine.views import VolumeView, plane_batches
from medsight_core.model.medsight import MedSightModel
from medsight_core.soft_masks import pack

# Where along a volume the language model looks at least, the most telling place first.
KEY_FRACTIONS = (0.5, 0.35, 0.65, 0.2, 0.8)
PATIENCE = 3  # planes in a row without the thing before it counts as lost
SPECK = 0.01  # of the largest piece of a thing, in cells: smaller ones are no part of it
ALIKE = 0.9  # Dice of the outlines on both neighbours of a plane from which it need not be decoded itself


def key_planes(count: int, names: Sequence[str] = (), detections: Detections | None = None) -> tuple[int, ...]:
    """Which of ``count`` planes the language model is asked about, the most important first; as many for any question.

    names: what the question names. The planes that show it most surely come first, those spread over the volume follow.
    """
    chosen = []
    for name in names:
        scores = detections.of_name(name) if detections is not None else None
        if detections is not None and scores is not None and scores.amax() >= detections.threshold:
            chosen.append(int(scores.argmax()))
    spread = [round(fraction * (count - 1)) for fraction in KEY_FRACTIONS]
    return tuple(dict.fromkeys([*chosen, *spread]))[: len(KEY_FRACTIONS)]


def locate(
    model: MedSightModel,
    features: ViewFeatures,
    candidates: Sequence[Candidate],
    view: VolumeView,
    tell: Callable[[float], None],
    threshold: float,
    detections: Detections | None = None,
    soft: bool = False,
) -> list[Finding]:
    """What the candidates outline in the volume; names that are seen nowhere are left out.

    Several candidates of one name are one region, the union of their masks.
    features, detections: of the view's planes. threshold: least presence on a plane that counts as seen.
    tell: called with how much is done, 0..1, after each batch of planes and before each region is put together.
    soft: whether findings get soft masks.
    """
    if not candidates:
        return []
    config = model.config
    maps, scores = _carry(model, features, candidates, tell, threshold, detections)
    findings = []
    for name in dict.fromkeys(candidate.name for candidate in candidates):
        tell(1.0)
        rows = [row for row, candidate in enumerate(candidates) if candidate.name == name]
        score = scores[rows].max(axis=0)
        presence = float(agreed(torch.from_numpy(score)))
        if presence < threshold:
            continue
        probability = np.where((score >= threshold)[:, None, None], maps[rows].max(axis=0), 0.0)
        probability = without_specks(probability, config.mask_threshold)
        inside = probability > config.mask_threshold
        if not inside.any():
            continue
        side = config.vision_config.image_size
        mask = view.outline(probability, side, config.mask_threshold)
        if not mask.any():
            continue
        softened = pack(view.soften(probability, side), mask, config.mask_threshold) if soft else None
        per_plane = inside.sum(axis=(1, 2))
        confidence = float(probability[inside].mean() * np.average(score, weights=per_plane))
        findings.append(Finding(name, candidates[rows[0]].code, confidence, presence, mask, softened))
    return findings


def without_specks(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Probabilities on planes (P, m, m), zero in outlined pieces that are tiny beside the largest one; corners join."""
    pieces, count = ndimage.label(probability > threshold, np.ones((3, 3, 3)))
    if count < 2:
        return probability
    sizes = np.bincount(pieces.ravel())
    sizes[0] = sizes[1:].max()  # what is not outlined stays
    return np.where(sizes[pieces] >= SPECK * sizes[0], probability, 0.0)


def walk(count: int, starts: Sequence[int], batch: int, found: np.ndarray) -> Iterator[list[int]]:
    """Planes to look at, at most ``batch`` at once: the starts, then their neighbours in both directions.

    found: bool (P,), which whoever walks sets after each batch. A direction ends after `PATIENCE` planes without.
    """
    visited = np.zeros(count, bool)

    def parts(planes: list[int]) -> Iterator[list[int]]:
        visited[planes] = True
        for start in range(0, len(planes), batch):
            yield planes[start : start + batch]

    yield from parts(sorted(set(starts)))
    for step in (1, -1):
        for start in sorted(set(starts))[::step]:
            plane, missed = start, int(not found[start])
            while 0 <= plane + step < count and missed < PATIENCE:
                ahead = [plane + step * n for n in range(1, PATIENCE - missed + 1)]
                ahead = [n for n in ahead if 0 <= n < count]
                yield from parts([n for n in ahead if not visited[n]])
                for plane in ahead:
                    missed = 0 if found[plane] else missed + 1


def sparsely(maps: np.ndarray, there: np.ndarray, starts: Sequence[int], threshold: float) -> Iterator[list[int]]:
    """Planes to look at, in batches, of those that show something; the others lie between two alike, and are filled in.

    maps: (n, P, m, m), which whoever looks sets after each batch. there: bool (P,). starts: planes to be looked at.
    """
    inside = np.flatnonzero(there[:-2] & there[1:-1] & there[2:]) + 1
    between = [plane for plane in inside.tolist() if plane % 2 and plane not in starts]
    first = np.setdiff1d(np.flatnonzero(there), between).tolist()
    yield from (first[batch] for batch in plane_batches(len(first), maps.shape[-1]))
    unlike = []
    for plane in between:
        before, after = maps[:, plane - 1], maps[:, plane + 1]
        if all(_alike(a > threshold, b > threshold) for a, b in zip(before, after)):
            maps[:, plane] = (before + after) / 2
        else:
            unlike.append(plane)
    yield from (unlike[batch] for batch in plane_batches(len(unlike), maps.shape[-1]))


def _carry(
    model: MedSightModel,
    features: ViewFeatures,
    candidates: Sequence[Candidate],
    tell: Callable[[float], None],
    threshold: float,
    detections: Detections | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Probability maps (n, P, m, m) of n candidates, zero where nobody looked, and presence (n, P)."""
    count, side = len(features), model.config.mask_size
    names = [candidate.name for candidate in candidates]
    states = torch.stack([candidate.state for candidate in candidates])  # (n, H)
    maps = np.zeros((len(candidates), count, side, side), dtype=np.float32)
    scores = np.zeros((len(candidates), count), dtype=np.float32)
    found = np.zeros(count, bool)
    known = detected(names, detections)
    starts = [candidate.plane for candidate in candidates]
    if known is None:
        batches = walk(count, starts, plane_batches(count, side)[0].stop, found)
    else:
        scores[:] = known.T.cpu().numpy()
        there = np.asarray((scores >= threshold).any(axis=0))
        batches = sparsely(maps, there, starts, model.config.mask_threshold)
    looked = 0
    for planes in batches:
        output = model.decode(features.patches(planes), states.expand(len(planes), -1, -1))
        maps[:, planes] = output.masks.sigmoid().float().transpose(0, 1).cpu().numpy()
        if known is None:
            own = detections and detections.on(torch.tensor(planes))
            scores[:, planes] = presence_of(model, output, names, own).T.cpu().numpy()
            found[planes] = (scores[:, planes] >= threshold).any(axis=0)
        looked += len(planes)
        tell(looked / count)
    return maps, scores


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the Dice coefficient of two masks is `ALIKE` at least; that of two empty ones is."""
    return bool(2 * np.count_nonzero(one & other) >= ALIKE * (np.count_nonzero(one) + np.count_nonzero(other)))
