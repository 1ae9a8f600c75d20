"""Labelled planes of the sample volumes, and their augmentation: the training data of the first-light model.

Planes are cut and windowed exactly as the engine cuts them. Sagittal planes are left out: on one of them nobody can
tell the left side of a symmetric brain from the right, and the model must never learn to guess a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from medsight_core.imaging.body import body_box
from medsight_core.imaging.plane import PlaneStack, VisibleBox, plane_stack
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.imaging.window import window_for
from sample_data.fetch import reference_masks
from sample_data.training.concepts import BY_NAME, CONCEPTS

ORIENTATIONS = ("axial", "coronal")
MIN_VISIBLE_PIXELS = 32  # of a 192 x 192 plane; less is neither taught as present nor as absent


@dataclass
class LabelledPlanes:
    """All planes of all sample volumes.

    images: (P, S, S) uint8. labels: (P, S, S) uint8, 0 or 1 + index into `parts`.
    modality: (P,) "CT" or "MR". orientation: (P,) name. sampling: (P,) probability of being drawn.
    """

    images: Tensor
    labels: Tensor
    modality: np.ndarray
    orientation: np.ndarray
    sampling: Tensor


PARTS = tuple(sorted({part for concept in CONCEPTS for part in concept.parts}))


def load_planes(paths: dict[str, str], side: int) -> LabelledPlanes:
    """Every axial and coronal plane of the sample volumes ``paths`` (id -> file), resized to ``side`` pixels."""
    images, labels, modality, orientation, weights = [], [], [], [], []
    for sample_id, path in paths.items():
        volume = read_volume(path)
        masks = {PARTS.index(name): mask for name, mask in reference_masks(sample_id).items() if name in PARTS}
        window = window_for(volume)
        for direction in ORIENTATIONS:
            stack = plane_stack(volume, direction, body=body_box(volume))
            box = VisibleBox.of(*stack.shape, side)
            labelled = label_planes(volume, stack, masks)
            for index in range(len(stack)):
                image = Image.fromarray(window.to_uint8(stack.sample(volume, index)))
                label = Image.fromarray(labelled[index])
                images.append(np.asarray(box.apply(image)))
                labels.append(np.asarray(label.resize((side, side), Image.Resampling.NEAREST)))
                modality.append(volume.modality)
                orientation.append(direction)
                # Axial planes answer whole-volume questions; the brain has more to learn than the chest.
                share = (0.8 if direction == "axial" else 0.2) * (0.25 if volume.modality == "CT" else 0.75)
                weights.append(share / len(stack))
    return LabelledPlanes(
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack(labels)),
        np.array(modality),
        np.array(orientation),
        torch.tensor(weights, dtype=torch.float64),
    )


def label_planes(volume: Volume, stack: PlaneStack, masks: dict[int, np.ndarray]) -> np.ndarray:
    """Labels (planes, rows, columns) uint8 of the stack: 1 + part, from ``masks`` part -> bool (I, J, K)."""
    labels = np.zeros((len(stack), *stack.shape), dtype=np.uint8)
    best = np.full(labels.shape, 0.5, dtype=np.float32)
    for part, mask in masks.items():
        # Each mask is interpolated by itself, as label values cannot be mixed; cropped to where it is, for speed.
        where = np.argwhere(mask)
        low = np.maximum(where.min(axis=0) - 1, 0)
        crop = mask[tuple(slice(a, b + 2) for a, b in zip(low, where.max(axis=0)))].astype(np.float32)
        affine = volume.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ low
        source = Volume(crop, affine, volume.modality)
        points = where @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        heights = (points - stack.first.origin) @ np.divide(stack.step, stack.distance**2)
        for index in range(max(0, int(heights.min())), min(len(stack), int(heights.max()) + 2)):
            share = stack.sample(source, index, fill=0.0)
            wins = share > best[index]
            labels[index][wins] = 1 + part
            best[index][wins] = share[wins]
    return labels


def draw(planes: LabelledPlanes, count: int, generator: torch.Generator) -> Tensor:
    """Indices (count,) of planes, by their sampling weight."""
    return torch.multinomial(planes.sampling, count, replacement=True, generator=generator)


def augment(
    planes: LabelledPlanes, index: Tensor, generator: torch.Generator, strength: float = 0.4
) -> tuple[Tensor, Tensor]:
    """Randomly moved, scaled, turned and re-contrasted planes: images (B, S, S) in 0..1 and labels (B, S, S) uint8.

    A quarter of them stays as it is, since that is what the samples look like when asked about.
    strength: 1 moves by up to an eighth of the picture and turns by 12 degrees. First light only has to know its
    samples, and learns them much sooner at less.
    """
    images = planes.images[index][:, None].float() / 255
    labels = planes.labels[index][:, None].float()
    count = len(index)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    active = (torch.rand(count, generator=generator) > 0.25).float() * strength
    angle = uniform(-12, 12) * math.pi / 180 * active
    zoom = 1 + uniform(-0.18, 0.18) * active
    stretch = 1 + uniform(-0.06, 0.06) * active
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    shift_x, shift_y = uniform(-0.12, 0.12) * active, uniform(-0.12, 0.12) * active
    theta = torch.stack(
        [torch.stack([cos * stretch, -sin, shift_x], 1), torch.stack([sin, cos / stretch, shift_y], 1)], 1
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, mode="bilinear", align_corners=False)[:, 0]
    labels = F.grid_sample(labels, grid, mode="nearest", align_corners=False)[:, 0]

    def per_image(value: Tensor) -> Tensor:
        return value[:, None, None]

    gamma = torch.exp(uniform(-0.4, 0.4) * active)
    images = images.clamp(0, 1) ** per_image(gamma)
    images = images * per_image(1 + uniform(-0.2, 0.2) * active) + per_image(uniform(-0.08, 0.08) * active)
    noise = torch.randn(images.shape, generator=generator) * per_image(uniform(0, 0.05) * active)
    return (images + noise).clamp(0, 1), labels.to(torch.uint8)


def concept_masks(labels: Tensor, concepts: Tensor) -> Tensor:
    """Masks (B, n, S, S) float of ``concepts`` (B, n) on ``labels`` (B, S, S)."""
    lookup = torch.zeros(len(CONCEPTS), len(PARTS) + 1)
    for concept in CONCEPTS:
        for part in concept.parts:
            lookup[concept.index, 1 + PARTS.index(part)] = 1
    table = lookup[concepts]  # (B, n, parts + 1)
    flat = labels.flatten(1).long()[:, None].expand(-1, concepts.shape[1], -1)
    return table.gather(2, flat).unflatten(-1, labels.shape[1:])


def visible_pixels(labels: Tensor) -> Tensor:
    """How many pixels of each concept (B, C) the planes ``labels`` (B, S, S) show."""
    counts = torch.stack([torch.bincount(plane.flatten().long(), minlength=len(PARTS) + 1) for plane in labels])
    columns = [counts[:, [1 + PARTS.index(part) for part in concept.parts]].sum(1) for concept in CONCEPTS]
    return torch.stack(columns, dim=1)


def known_concepts(modality: str) -> list[int]:
    """Indices of the concepts that images of this modality may show."""
    return [concept.index for concept in CONCEPTS if concept.modality == modality]


assert set(PARTS) <= set(BY_NAME), "every labelled part is a concept of its own"  # noqa: S101
