"""The picture of an answer: three planes through what was found, outlined, with everything needed to read them.

Knows how to draw; where planes lie is `medsight_core.imaging.plane`'s business. Uses matplotlib's objects without its
global state, so that it may run in any thread of a server.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import Any, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from medsight_core.answer import Answer, Region
from medsight_core.imaging.plane import Plane, PlaneStack, plane_stack, sample
from medsight_core.imaging.volume import PathLike, Volume
from medsight_core.imaging.window import Window, window_for

_VIEWS = ("axial", "coronal", "sagittal")
_WIDTH, _VIEW, _MARGIN, _LINE = 15.0, 4.8, 0.15, 0.25  # page width, edge of a view, gap, line of text; inches
_DPI = 110
_BACKGROUND, _TEXT, _FAINT, _WARNING = "#0b0d10", "#e8eaed", "#9aa0a6", "#ffb74d"
_EDGE = [patheffects.withStroke(linewidth=2.5, foreground="black")]
_FILL = 0.22  # opacity of a region's colour inside its outline: the anatomy stays readable
_MIN_NUMBERED = 60  # pixels of a section that has room for its number
_ANSWER_LINES = 16
_LEGEND_WIDTH, _CHARACTER = 4.7, 0.088  # width of a column, mean width of a letter; inches
_SCALES_CM = (10, 5, 2, 1, 0.5, 0.2, 0.1)


def write_overlay(path: PathLike, volume: Volume, answer: Answer) -> None:
    """Write a PNG of the axial, coronal and sagittal plane that show most of the answer's regions.

    Each region is outlined in its colour and numbered as in the text; the legend gives name, confidence and volume. The
    views are radiological (patient's left on the right), in true proportions, with orientation letters, a scale bar and
    the places of the other two planes. Without regions the planes go through the middle of the volume.
    """
    regions = [region for region in answer.regions if region.mask is not None]
    stacks = [plane_stack(volume, view, square=False) for view in _VIEWS]
    planes = [stack.plane(_best_index(stack, volume, regions)) for stack in stacks]
    window = window_for(volume)
    columns = 1 if len(answer.regions) <= 8 else 2
    legend_left = _WIDTH - 2 * _MARGIN - columns * _LEGEND_WIDTH
    words = _words(answer, int((legend_left - 4 * _MARGIN) / _CHARACTER))
    lines = max(len(words), -(-len(answer.regions) // columns) + 1)
    top = _LINE * (lines + 2.6)  # lower edge of the views
    height = top + _VIEW + _MARGIN

    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor=_BACKGROUND)
    sizes = [np.multiply(plane.shape[::-1], plane.spacing) for plane in planes]  # width and height in millimetres
    scale = _VIEW / np.max(sizes)  # inches per millimetre: one scale for all views
    bar = _bar_centimetres(min(width for width, _ in sizes))
    for column, (plane, size) in enumerate(zip(planes, sizes)):
        width, tall = size * scale
        left, bottom = _WIDTH * (column + 0.5) / len(planes) - width / 2, top + (_VIEW - tall) / 2
        axes = figure.add_axes((left / _WIDTH, bottom / height, width / _WIDTH, tall / height))
        _draw_view(axes, volume, plane, window, regions)
        _draw_scale(axes, plane, bar)
        for other in planes:
            if other is not plane:
                _draw_crossing(axes, plane, other)
    page = figure.add_axes((0, 0, 1, 1), facecolor="none")
    page.set(xlim=(0, _WIDTH), ylim=(0, height))
    page.axis("off")
    for n, (line, color) in enumerate(words):
        _write(page, 2 * _MARGIN, top - _LINE * (n + 1), line, color, 11.5)
    _draw_legend(page, legend_left, top - _LINE, answer.regions, columns)
    model = " ".join(filter(None, (answer.model.id, answer.model.version)))
    shown = f"{volume.modality}, window {window.low:.0f} to {window.high:.0f}"
    _write(page, 2 * _MARGIN, 0.6 * _LINE, answer.notice, _WARNING, 12, weight="bold")
    _write(page, _WIDTH - 2 * _MARGIN, 0.6 * _LINE, "   ".join(filter(None, (shown, model))), _FAINT, 10, ha="right")
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": "MedSIGHT", "Description": answer.notice})


def _best_index(stack: PlaneStack, volume: Volume, regions: Sequence[Region]) -> int:
    """The plane with most of the regions, each weighted by its own largest section so that small ones count."""
    score = np.zeros(len(stack))
    to_plane = (np.linalg.inv(stack.affine) @ volume.affine)[0]  # plane index as a function of the voxel index
    for region in regions:
        mask = np.asarray(region.mask)
        area = np.zeros(len(stack))
        for k in np.flatnonzero(mask.any(axis=(0, 1))):  # slice by slice: the list of all voxels may be large
            i, j = np.nonzero(mask[:, :, k])
            index = np.rint(to_plane @ (i, j, np.full_like(i, k), np.ones_like(i))).astype(int)
            area += np.bincount(index.clip(0, len(stack) - 1), minlength=len(stack))
        score += area / max(area.max(), 1.0)
    return int(score.argmax()) if score.any() else (len(stack) - 1) // 2


def _draw_view(axes: Axes, volume: Volume, plane: Plane, window: Window, regions: Sequence[Region]) -> None:
    picture = np.repeat(window.to_uint8(sample(volume, plane))[..., None] / np.float32(255), 3, axis=-1)
    sections = []
    for region in regions:
        mask = np.asarray(region.mask, dtype=bool).view(np.uint8)
        coverage = sample(replace(volume, voxels=mask, modality="OT"), plane, fill=0.0)
        inside = coverage >= 0.5
        if inside.any():
            picture[inside] = (1 - _FILL) * picture[inside] + _FILL * np.asarray(region.color, np.float32)
            sections.append((region, coverage, inside))
    axes.imshow(picture, interpolation="bilinear")
    for region, coverage, _ in sections:
        axes.contour(coverage, levels=[0.499], colors=[region.color], linewidths=1.5)
    for region, _, inside in sections:
        if inside.sum() >= _MIN_NUMBERED:
            row, col = _middle(inside)
            _write(axes, col, row, str(region.label), region.color, 10, ha="center", weight="bold")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="#3c4043", linewidth=0.8)
    left, right, top, bottom = plane.edge_letters
    for x, y, letter in ((0.03, 0.5, left), (0.97, 0.5, right), (0.5, 0.965, top), (0.5, 0.035, bottom)):
        # Monospaced: its capital I has serifs and cannot be taken for a mark in the image.
        style = {"ha": "center", "weight": "bold", "family": "monospace", "transform": axes.transAxes}
        _write(axes, x, y, letter, _TEXT, 15, **style)
    caption = f"{plane.orientation.capitalize()}  {_position(plane)}"
    _write(axes, 0.02, 0.965, caption, _TEXT, 10, transform=axes.transAxes)


def _draw_crossing(axes: Axes, plane: Plane, other: Plane) -> None:
    """A faint line where another, perpendicular plane crosses this one."""
    away = float(other.normal @ np.subtract(other.origin, plane.origin)) / plane.spacing
    across, down = float(other.normal @ plane.right), float(other.normal @ plane.down)
    style: dict[str, Any] = {"color": _TEXT, "alpha": 0.35, "linewidth": 0.8, "dashes": (6, 6)}
    if abs(across) > abs(down):
        axes.axvline(away / across, **style)
    else:
        axes.axhline(away / down, **style)


def _bar_centimetres(width: float) -> float:
    """Length of a scale bar for a picture of ``width`` millimetres: round, at most a quarter of it."""
    return next((cm for cm in _SCALES_CM if cm * 10 <= width / 4), _SCALES_CM[-1])


def _draw_scale(axes: Axes, plane: Plane, centimetres: float) -> None:
    rows, cols = plane.shape
    length = centimetres * 10 / plane.spacing
    right, y = cols - 0.5 - 0.03 * cols, rows - 0.5 - 0.035 * rows
    bar = [right - length, right]
    axes.plot(bar, [y, y], color=_TEXT, linewidth=2.5, path_effects=_EDGE, scalex=False, scaley=False)
    _write(axes, right - length / 2, y - 0.025 * rows, f"{centimetres:g} cm", _TEXT, 9, ha="center", va="bottom")


def _draw_legend(page: Axes, left: float, top: float, regions: Sequence[Region], columns: int) -> None:
    per_column = -(-len(regions) // columns)
    for n, region in enumerate(regions):
        x = left + _LEGEND_WIDTH * (n // per_column)
        y = top - _LINE * (n % per_column + 1)
        certain, amount = x + _LEGEND_WIDTH - 1.25, x + _LEGEND_WIDTH - 0.15
        if n % per_column == 0:
            _write(page, certain, top, "confidence", _FAINT, 9, ha="right")
            _write(page, amount, top, "volume", _FAINT, 9, ha="right")
        page.add_patch(
            Rectangle((x, y - 0.07), 0.2, 0.14, facecolor=(*region.color, 0.45), edgecolor=region.color, linewidth=1.5)
        )
        _write(page, x + 0.3, y, f"[{region.label}] {textwrap.shorten(region.name, 36)}", _TEXT, 10.5)
        _write(page, certain, y, f"{region.confidence:.0%}", _TEXT, 10.5, ha="right")
        volume = f"{region.volume_ml:,.1f} ml" if region.volume_ml else "one plane"
        _write(page, amount, y, volume, _TEXT, 10.5, ha="right")


def _words(answer: Answer, width: int) -> list[tuple[str, str]]:
    """Lines of the answer, then of what was not seen, each with its colour; ``width`` in characters."""
    lines = [(line, _TEXT) for part in answer.text.splitlines() for line in textwrap.wrap(part, width)]
    if len(lines) > _ANSWER_LINES:
        lines = [*lines[: _ANSWER_LINES - 1], ("…", _TEXT)]
    absent = textwrap.wrap("Not seen: " + ", ".join(answer.absent), width) if answer.absent else []
    return lines + [(line, _WARNING) for line in absent]


def _middle(inside: np.ndarray) -> tuple[int, int]:
    """The pixel of a section that is nearest to its centre of mass; the centre itself may lie outside."""
    pixels = np.argwhere(inside)
    nearest = pixels[np.argmin(((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1))]
    return int(nearest[0]), int(nearest[1])


def _position(plane: Plane) -> str:
    """Where a patient-aligned plane lies, such as "L 12.5 mm" from the patient origin."""
    axis = int(np.argmax(np.abs(plane.normal)))
    rows, cols = plane.shape
    place = float(plane.to_lps((rows - 1) / 2, (cols - 1) / 2)[axis])
    return f"{('RL', 'AP', 'IS')[axis][place >= 0]} {abs(place):.1f} mm"


def _write(axes: Axes, x: float, y: float, text: str, color: Any, size: float, **style: Any) -> None:
    """Plain text (a dollar sign is no formula) that stays readable on any grey."""
    style.setdefault("va", "center")
    axes.text(x, y, text, color=color, fontsize=size, parse_math=False, path_effects=_EDGE, **style)
