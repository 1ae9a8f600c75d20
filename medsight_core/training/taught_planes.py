"""Cases cut into planes as the engine sees them, with what is outlined on each: what adapting learns from.

Knows volumes, labels and names; knows no losses and no optimiser. Planes are small (a byte a pixel), so those of a few
dozen cases stay in memory.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from medsight_core.data.corrected_cases import Case
from medsight_core.engine.known import known_names
from medsight_core.engine.views import VOLUME_ORIENTATION, VolumeView, choose_window, framed_body
from medsight_core.imaging.label_file import read_label_file
from medsight_core.imaging.plane import plane_stack, sample
from medsight_core.imaging.same_grid import Grid
from medsight_core.imaging.visible_box import VisibleBox
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.model.processor import MedSightProcessor
from medsight_core.terminology import split_side

_SHARES = {"axial": 0.6, "coronal": 0.2, "sagittal": 0.2}  # whole volumes are answered from axial planes
_EMPTY = 0.25  # share of planes without any of the things
_TIP = 0.25  # of a mask cell; less than that of a thing is neither there nor not there


@dataclass(frozen=True, eq=False)
class TaughtPlane:
    """One plane of a case.

    picture: uint8 (S, S), as the model sees it. masks: uint8 (m, m) by name, 255 inside, of what it shows.
    absent: names known not to be on it. view: words for it, such as "axial MR".
    """

    picture: np.ndarray = field(repr=False)
    masks: Mapping[str, np.ndarray] = field(repr=False)
    absent: tuple[str, ...]
    view: str


def case_volume(case: Case) -> Volume:
    """The image of a case. Raises what `read_volume` raises."""
    return read_volume(case.image, modality=case.modality)


def case_masks(case: Case, volume: Volume) -> dict[str, np.ndarray]:
    """What is outlined, bool (I, J, K) by name. VolumeError when the label does not lie on the image."""
    masks: dict[str, np.ndarray] = {}
    if case.label is None:
        return masks
    file = read_label_file(case.label).on(Grid(volume.shape, volume.affine))
    for name, segment in zip(case.segments, file.segments):
        if name:
            masks[name] = masks[name] | segment.mask if name in masks else segment.mask
    return masks


def taught_planes(case: Case, processor: MedSightProcessor, most: int, seed: int) -> list[TaughtPlane]:
    """About ``most`` planes of a case, mostly such as show something, in all orientations that the model knows."""
    volume = case_volume(case)
    masks = {name: mask for name, mask in case_masks(case, volume).items() if mask.any()}
    config = processor.config
    window, body = choose_window(volume, None, config.ct_window), framed_body(volume, config.frame)
    shares = {name: share for name, share in _SHARES.items() if name in config.orientations}
    rng = random.Random(f"{seed}/{case.id}")
    found: list[TaughtPlane] = []
    for orientation, share in shares.items():
        if orientation == VOLUME_ORIENTATION:
            planes = VolumeView.of_volume(volume, processor, None).planes
        else:
            planes = plane_stack(volume, orientation, config.square_planes, body).planes
        views = [VolumeView(volume, (plane,), None, window) for plane in rng.sample(planes, len(planes))]
        layers, absent = _named_for(views[0], processor, masks, case.absent)
        count = max(1, round(most * share / sum(shares.values())))
        found += [_plane(view, layers, absent, processor) for view in _telling(views, layers, count)]
    return found


def _telling(views: Sequence[VolumeView], layers: Mapping[str, Volume], count: int) -> list[VolumeView]:
    """The first ``count`` planes, of which not too many show nothing."""
    if not layers:
        return list(views[:count])
    volume = views[0].volume
    union = _layer(np.logical_or.reduce([layer.voxels for layer in layers.values()]), volume)
    blank = round(count * _EMPTY)
    room = {True: count - blank, False: blank}
    chosen = []
    for view in views:
        shows = bool((sample(union, view.planes[0], fill=0.0) > 0.5).any())
        if room[shows]:
            room[shows] -= 1
            chosen.append(view)
        if not any(room.values()):
            break
    return chosen


def _named_for(
    view: VolumeView, processor: MedSightProcessor, masks: Mapping[str, np.ndarray], absent: Sequence[str]
) -> tuple[dict[str, Volume], tuple[str, ...]]:
    """Outlines and absent names as the model calls them on such planes: on sagittal ones mostly without a side."""
    known = set(known_names(processor.config, view))

    def called(name: str) -> str:
        base = split_side(name)[1]
        return base if name not in known and base in known else name

    merged: dict[str, np.ndarray] = {}
    for name, mask in masks.items():
        other = called(name)
        merged[other] = merged[other] | mask if other in merged else mask
    layers = {name: _layer(mask, view.volume) for name, mask in merged.items()}
    # A thing without its side is absent only where neither side is there.
    return layers, tuple(name for name in absent if called(name) == name and name not in merged)


def _layer(mask: np.ndarray, volume: Volume) -> Volume:
    return Volume(mask.astype(np.uint8), volume.affine, "OT")


def _plane(
    view: VolumeView, layers: Mapping[str, Volume], absent: Sequence[str], processor: MedSightProcessor
) -> TaughtPlane:
    side, cells = processor.config.vision_config.image_size, processor.config.mask_size
    box = VisibleBox.of(**view.box, side=side)
    picture = np.asarray(box.apply(Image.fromarray(view.window.to_uint8(sample(view.volume, view.planes[0])))))
    shown, lacking = {}, list(absent)
    for name, layer in layers.items():
        covered = np.rint(255 * sample(layer, view.planes[0], fill=0.0)).astype(np.uint8)
        seen = torch.from_numpy(np.array(box.apply(Image.fromarray(covered)))).float()
        cell = F.adaptive_avg_pool2d(seen[None, None], cells)[0, 0].numpy()
        if (cell > 255 / 2).any():
            shown[name] = np.rint(cell).astype(np.uint8)
        elif cell.max() < 255 * _TIP:
            lacking.append(name)
    return TaughtPlane(picture, shown, tuple(lacking), view.words)
