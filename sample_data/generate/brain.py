"""Brain MR of any contrast from real subjects' label maps, with lesions that nobody has; and real T1 images, reshaped.

A generated scan keeps the anatomy of its subject up to a smooth change of shape. Left is left: a mirrored subject has
its labels exchanged. On sagittal planes nobody can tell the sides of a brain apart, so `study` takes them away there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.volume import Volume
from medsight_core.terminology import other_side
from sample_data.generate.brain_contrast import draw_sequence, finding_levels, mr_levels
from sample_data.generate.brain_labels import LEGEND, MIRRORED, Head, labels_where
from sample_data.generate.contrast import Acquisition, bend, paint, rician, shade, smooth_field
from sample_data.generate.deform import Deformation, Strength, warp_image, warp_labels
from sample_data.generate.findings import Growth, grow
from sample_data.generate.scan import Layer, Scan

_LESION, _TUMOUR = 1, 2
FINDINGS = {"lesion": (_LESION,), "tumour": (_TUMOUR,)}
_MARGIN = 10  # points of air around a label map, for what a change of shape moves out of it

_WHITE = labels_where(lambda part: part.tissue == "white matter")
# A tumour grows anywhere in the cerebrum but in its ventricles.
_CEREBRUM = labels_where(
    lambda part: part.in_brain and part.tissue in ("white matter", "cortex", "thalamus", "striatum", "pallidum")
)


@dataclass(frozen=True)
class HeadStyle:
    """How a head is shown.

    sequence: one of `brain_contrast.SEQUENCES`. stripped: only the brain.
    lesions: how many. tumour: whether it has one.
    """

    sequence: str
    stripped: bool
    lesions: int
    tumour: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> HeadStyle:
        """Any style: a fifth without skull, a third with lesions, a fifth with a tumour."""
        lesions = int(rng.integers(1, 5)) if rng.random() < 0.35 else 0
        return cls(draw_sequence(rng), rng.random() < 0.2, lesions, rng.random() < 0.2)


def reshaped(head: Head, rng: np.random.Generator, strength: Strength = Strength()) -> np.ndarray:  # noqa: B008
    """The subject's labels changed in shape, in half of the cases mirrored, and cut to a field of view."""
    labels = np.pad(head.labels, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, _MARGIN)))
    if rng.random() < 0.5:
        labels = mirrored(labels)
    deformation = Deformation.draw(labels.shape, strength, rng)
    labels = warp_labels(labels, deformation.places(labels.shape))
    return labels[:, :, _field_of_view(labels, 0.4, rng)]


def mirrored(labels: np.ndarray) -> np.ndarray:
    """The subject as in a mirror: the picture turned round, and what was left is now called right."""
    return MIRRORED[labels[::-1]]


def generated_brain(head: Head, rng: np.random.Generator, style: HeadStyle | None = None) -> Scan:
    """A scan of a subject in a drawn or given style."""
    style = style or HeadStyle.draw(rng)
    labels = reshaped(head, rng)
    if style.stripped:
        labels = _stripped(labels, keep_fluid=rng.random() < 0.7)
    means, spreads = mr_levels(style.sequence, rng)
    values = paint(labels, means, spreads, rng)
    values *= 1 + np.float32(rng.uniform(0, 0.06)) * smooth_field(values.shape, 30, rng)
    findings = _add_findings(labels, values, float(means[_WHITE[0]]), style, rng)
    return Scan(_acquired(values, rng), (Layer(labels, LEGEND), Layer(findings, FINDINGS)), np.ones(3), np.zeros(3))


@dataclass(frozen=True)
class Atlas:
    """A real T1 image and its labels on the same grid, 1 mm, axes towards L, P and S; see `real_brain`."""

    subject: str
    image: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    legend: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, subject: str, volume: Volume, masks: Mapping[str, np.ndarray]) -> Atlas:
        """From an image and its reference masks (`sample_data.fetch`), which do not overlap.

        A "cerebral cortex" of both sides is parted at the patient's middle: the one image that has it is symmetric.
        """
        order = PatientOrder.of(volume.affine)
        labels = np.zeros(volume.shape, np.uint8)
        for label, mask in enumerate(masks.values(), start=1):
            labels[mask] = label
        labels = np.ascontiguousarray(order.arrange(labels))
        legend: dict[str, tuple[int, ...]] = {name: (label,) for label, name in enumerate(masks, start=1)}
        if "cerebral cortex" in legend:
            affine = order.arrange_affine(volume.affine, volume.shape)
            left = affine[0, 3] + affine[0, 0] * np.arange(len(labels)) > 0
            (cortex,) = legend.pop("cerebral cortex")
            other = len(masks) + 1
            labels[left] = np.where(labels[left] == cortex, np.uint8(other), labels[left])
            legend |= {"right cerebral cortex": (cortex,), "left cerebral cortex": (other,)}
            legend["brain"] = tuple(sum((legend[name] for name in legend if name != "cerebrospinal fluid"), ()))
        legend = {name: values for name, values in legend.items() if name in LEGEND}
        return cls(subject, np.ascontiguousarray(order.arrange(volume.voxels), dtype=np.float32), labels, legend)


def real_brain(atlas: Atlas, rng: np.random.Generator) -> Scan:
    """The real image with another shape, shading, resolution and noise; one in six is left as it is."""
    image, labels = atlas.image, atlas.labels
    if rng.random() < 1 / 6:
        return Scan(Volume(image, np.eye(4), "MR"), (Layer(labels, atlas.legend),), np.ones(3), np.zeros(3))
    legend = dict(atlas.legend)
    if rng.random() < 0.5:
        image, labels = image[::-1], labels[::-1]
        legend = {other_side(name) or name: values for name, values in legend.items()}
    places = Deformation.draw(labels.shape, Strength(), rng).places(labels.shape)
    part = _field_of_view(labels, 0.15, rng)
    image = warp_image(image, [place[:, :, part] for place in places])
    labels = warp_labels(labels, [place[:, :, part] for place in places])
    image /= np.float32(np.percentile(image[::4, ::4, ::4], 99))
    return Scan(_acquired(image, rng), (Layer(labels, legend),), np.ones(3), np.zeros(3))


def _acquired(values: np.ndarray, rng: np.random.Generator) -> Volume:
    """What a scanner makes of ``values`` (X, Y, Z), 1 mm, between about 0 and 1."""
    image, affine = Acquisition.draw(1.0, rng).take(values, 1.0, np.zeros(3))
    shade(image, rng.uniform(0, 0.25), rng)
    bend(image, 0.18, rng)
    level = rng.uniform(0.003, 0.05)
    if rng.random() < 0.5:
        rician(image, level, rng)
    else:  # as scanners that blank the air
        image += np.float32(level) * rng.standard_normal(image.shape, dtype=np.float32) * (image > 0.03)
    image *= np.float32(rng.uniform(300, 1500))
    return Volume(np.rint(np.clip(image, 0, 32000)).astype(np.int16), affine, "MR")


def _field_of_view(labels: np.ndarray, neck: float, rng: np.random.Generator) -> slice:
    """Which part of the height is scanned: often less of the ``neck`` (its share), now and then less of the vertex."""
    height = labels.shape[2]
    start = int(height * rng.uniform(0, neck)) if rng.random() < 0.6 else 0
    stop = height - (int(height * rng.uniform(0, 0.12)) if rng.random() < 0.15 else 0)
    return slice(start, stop)


def _stripped(labels: np.ndarray, keep_fluid: bool) -> np.ndarray:
    kept = np.zeros(256, np.uint8)
    values = [*LEGEND["brain"], *(labels_where(lambda part: part.tissue == "fluid") if keep_fluid else ())]
    kept[values] = values
    return kept[labels]


def _add_findings(
    labels: np.ndarray, values: np.ndarray, white: float, style: HeadStyle, rng: np.random.Generator
) -> np.ndarray:
    """Paint lesions and a tumour over the anatomy; their labels, uint8 (X, Y, Z)."""
    findings = np.zeros_like(labels)
    if style.tumour:
        growth = grow(_among(labels, _CEREBRUM), rng.uniform(18, 45), 1.0, rng, waviness=0.25, least=0.6)
        _paint_growth(growth, _TUMOUR, findings, values, white, rng)
    if style.lesions:
        room = _among(labels, _WHITE) & (findings == 0)
        for _ in range(style.lesions):
            growth = grow(room, rng.uniform(5, 16), 1.0, rng)
            _paint_growth(growth, _LESION, findings, values, white, rng)
    return findings


def _paint_growth(
    growth: Growth | None, label: int, findings: np.ndarray, values: np.ndarray, white: float, rng: np.random.Generator
) -> None:
    """Bright, dark, or a bright ring around a dark core; with a little texture."""
    if growth is None:
        return
    core, rim = finding_levels(white, rng)
    look = np.where(growth.depth > rng.uniform(0.6, 0.85), np.float32(rim), np.float32(core))
    look += rng.normal(0, 0.03, look.shape).astype(np.float32)
    values[growth.box][growth.inside] = look[growth.inside]
    findings[growth.box][growth.inside] = label


def _among(labels: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    table = np.zeros(256, bool)
    table[list(wanted)] = True
    return table.take(labels)
