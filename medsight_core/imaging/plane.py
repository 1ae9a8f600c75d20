"""Planes through the patient and their way back to voxels: the only home of coordinates.

Knows patient space (LPS millimetres), how a plane is shown, and how maps painted on planes become voxels. Knows nothing
of models, windows or files. The picture a model sees of a plane is `medsight_core.imaging.visible_box`'s business.

Display is radiological, as in 3D Slicer: axial and coronal planes have the patient's left on the right of the picture,
axial planes posterior at the bottom, coronal and sagittal planes inferior at the bottom, sagittal planes anterior on
the left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from medsight_core.errors import InputError
from medsight_core.imaging.grid import PatientOrder, resample_into
from medsight_core.imaging.visible_box import VisibleBox
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import ORIENTATIONS, PlaneRange, PlaneRequest
from medsight_core.soft_masks import eight_bits

__all__ = [
    "Plane",
    "PlaneStack",
    "VisibleBox",
    "as_displayed",
    "plane_for",
    "plane_range",
    "plane_stack",
    "sample",
    "voxels_on_plane",
]

_ALIGNED = 1e-3  # largest component off the patient axes, of a unit vector, that still counts as along them
_ORTHONORMAL = 1e-4
_MAX_PIXELS = 4096  # a side of a plane
_SLAB_VOXELS = 1 << 21  # of a mask made at once
_MARGIN = 0.05  # around a body, of its longer side in the plane

Box = tuple[np.ndarray, np.ndarray]  # lowest and highest LPS millimetres, (3,) each

# Patient axes (0 = L, 1 = P, 2 = S) that a plane's rows, columns and stack follow, with the sign for rows and columns.
_FRAMES = {
    "axial": ((0, 1.0), (1, 1.0), 2),
    "coronal": ((0, 1.0), (2, -1.0), 1),
    "sagittal": ((1, 1.0), (2, -1.0), 0),
}


@dataclass(frozen=True)
class Plane:
    """A rectangle of square pixels in the patient.

    origin: centre of the pixel in row 0, column 0, LPS millimetres.
    right: unit vector along a row (increasing column); down: unit vector along a column (increasing row).
    spacing: edge of a pixel in millimetres.
    shape: rows and columns.
    orientation: "axial", "sagittal", "coronal" or "oblique".

    Raises InputError unless right and down are perpendicular unit vectors and the pixels have a size.
    """

    origin: tuple[float, float, float]
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    spacing: float
    shape: tuple[int, int]
    orientation: str = "oblique"

    def __post_init__(self) -> None:  # noqa: D105
        for name in ("origin", "right", "down"):
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        object.__setattr__(self, "spacing", float(self.spacing))
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        frame = np.array([self.right, self.down])
        if not np.allclose(frame @ frame.T, np.eye(2), atol=_ORTHONORMAL):
            raise InputError(
                f"The plane's axes {_text(self.right)} and {_text(self.down)} are not perpendicular unit vectors: "
                "normalise them."
            )
        if not (self.spacing > 0 and min(self.shape) >= 1 and np.isfinite([*self.origin, self.spacing]).all()):
            raise InputError(
                f"A plane of {self.shape[0]} x {self.shape[1]} pixels of {self.spacing:g} mm cannot be used: give a "
                "positive size and spacing."
            )

    @property
    def normal(self) -> np.ndarray:
        """Unit vector right x down, LPS (3,)."""
        return np.cross(self.right, self.down)

    @property
    def affine(self) -> np.ndarray:
        """From (row, column, millimetres along the normal) to LPS, (4, 4)."""
        affine = np.eye(4)
        affine[:3, 0] = np.multiply(self.down, self.spacing)
        affine[:3, 1] = np.multiply(self.right, self.spacing)
        affine[:3, 2] = self.normal
        affine[:3, 3] = self.origin
        return affine

    @property
    def edge_letters(self) -> tuple[str, str, str, str]:
        """Patient directions (R, L, A, P, S or I) that the left, right, top and bottom edge of the picture face."""
        (left, right), (top, bottom) = _ends(self.right), _ends(self.down)
        return left, right, top, bottom

    def settled(self) -> Plane:
        """The same plane without the rounding noise of how it was computed, to tell whether two are one."""
        return replace(self, **{name: np.round(getattr(self, name), 6) + 0.0 for name in ("origin", "right", "down")})

    def to_lps(self, rows: np.ndarray | float, cols: np.ndarray | float) -> np.ndarray:
        """Patient coordinates (..., 3) of pixel positions (centres at whole numbers); the arguments broadcast."""
        rows, cols = np.broadcast_arrays(np.asarray(rows, float), np.asarray(cols, float))
        steps = rows[..., None] * np.asarray(self.down) + cols[..., None] * np.asarray(self.right)
        return np.asarray(self.origin) + self.spacing * steps


@dataclass(frozen=True)
class PlaneStack:
    """Parallel planes at equal distances, ordered along increasing L, P or S.

    first: the plane of index 0.
    step: from a plane to the next, LPS millimetres, along its normal or against it.
    count: number of planes.
    """

    first: Plane
    step: tuple[float, float, float]
    count: int

    def __len__(self) -> int:
        """Number of planes."""
        return self.count

    @property
    def distance(self) -> float:
        """Millimetres from one plane to the next."""
        return float(np.linalg.norm(self.step))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of each plane."""
        return self.first.shape

    @property
    def affine(self) -> np.ndarray:
        """From (plane, row, column) to LPS, (4, 4)."""
        affine = np.eye(4)
        affine[:3, 0] = self.step
        affine[:3, 1:3] = self.first.affine[:3, :2]
        affine[:3, 3] = self.first.origin
        return affine

    @property
    def planes(self) -> tuple[Plane, ...]:
        """All planes in order."""
        return tuple(self.plane(index) for index in range(self.count))

    def plane(self, index: int) -> Plane:
        """The plane of an index 0 <= index < len; IndexError beyond."""
        if not 0 <= index < self.count:
            raise IndexError(f"plane {index} of {self.count}")
        return replace(self.first, origin=tuple(np.add(self.first.origin, np.multiply(self.step, index))))

    def every(self, stride: int) -> PlaneStack:
        """Each ``stride``-th plane, with as much left out at one end as at the other."""
        skipped = (self.count - 1) % stride // 2
        return PlaneStack(
            self.plane(skipped), _vector(np.multiply(self.step, stride)), (self.count - 1 - skipped) // stride + 1
        )

    def spread(self, count: int) -> PlaneStack:
        """``count`` planes that stand for the same slab, which ends half a step beyond the outermost ones."""
        step = np.multiply(self.step, self.count / count)
        origin = np.add(self.first.origin, (step - self.step) / 2)
        return PlaneStack(replace(self.first, origin=_vector(origin)), _vector(step), count)

    def sample(self, volume: Volume, index: int, fill: float | None = None) -> np.ndarray:
        """`sample` of the plane of an index, float32 (rows, columns)."""
        return sample(volume, self.plane(index), fill)

    def to_voxels(self, maps: np.ndarray, volume: Volume, fill: float = 0.0) -> np.ndarray:
        """Maps (planes, rows, columns) painted on this stack, at every voxel centre: float32 (I, J, K).

        Trilinear between planes and pixels, an exact copy where pixels lie on voxels; voxels outside the stack become
        ``fill``. Oblique and sheared volumes are handled by their full affine.
        """
        if maps.shape != (self.count, *self.shape):
            raise ValueError(f"maps of shape {maps.shape} do not fit a stack of {(self.count, *self.shape)}")
        order = PatientOrder.of(volume.affine)
        voxels = np.empty(volume.shape, np.float32)
        to_stack = np.linalg.inv(self.affine) @ order.arrange_affine(volume.affine, volume.shape)
        resample_into(order.arrange(voxels), maps, to_stack, fill)
        return voxels

    def part(self, planes: slice) -> PlaneStack:
        """The stack of the planes start..stop - 1 alone."""
        return PlaneStack(self.plane(planes.start), self.step, planes.stop - planes.start)

    def outline(self, maps: np.ndarray, volume: Volume, threshold: float) -> np.ndarray:
        """The voxels, bool (I, J, K), where `to_voxels` of maps (planes, rows, columns) exceeds ``threshold`` >= 0.

        Only voxels that can are computed, slab by slab: a small thing in a large volume costs little time and memory.
        """
        return self._painted(maps, volume, threshold, np.dtype(bool), lambda slab: slab > threshold)

    def soften(self, maps: np.ndarray, volume: Volume, least: float) -> np.ndarray:
        """`eight_bits` of `to_voxels` of maps (planes, rows, columns), uint8 (I, J, K), 0 where not above ``least``."""
        kind = np.dtype(np.uint8)
        return self._painted(maps, volume, least, kind, lambda slab: np.where(slab > least, eight_bits(slab), 0))

    def _painted(
        self,
        maps: np.ndarray,
        volume: Volume,
        threshold: float,
        kind: np.dtype,
        paint: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """(I, J, K) of ``kind``: what ``paint`` makes of the values of slabs, 0 where nothing exceeds ``threshold``."""
        order = PatientOrder.of(volume.affine)
        outlined = np.zeros(volume.shape, kind)
        above = maps > threshold
        if not above.any():
            return outlined
        voxels = order.arrange(outlined)
        to_stack = np.linalg.inv(self.affine) @ order.arrange_affine(volume.affine, volume.shape)
        sides = [np.flatnonzero(above.any(axis=others))[[0, -1]] + (-1, 1) for others in ((1, 2), (0, 2), (0, 1))]
        corners = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
        to_voxel = np.linalg.inv(to_stack)
        corners = corners @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, voxels.shape)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, low, voxels.shape)
        if (low == high).any():  # what is painted lies beside the volume
            return outlined
        thickness = max(1, _SLAB_VOXELS // int(np.prod(high[:2] - low[:2])))
        for start in range(low[2], high[2], thickness):
            first, stop = [*low[:2], start], [*high[:2], min(start + thickness, high[2])]
            slab = np.empty(np.subtract(stop, first), np.float32)
            moved = to_stack.copy()
            moved[:3, 3] += to_stack[:3, :3] @ first
            resample_into(slab, maps, moved, 0.0)
            voxels[tuple(map(slice, first, stop))] = paint(slab)
        return outlined


def plane_stack(volume: Volume, orientation: str, square: bool = True, body: Box | None = None) -> PlaneStack:
    """All planes of an orientation that cover the volume.

    Along the patient's axes (within 1e-3, in whatever order and direction the array is stored) planes lie on voxel
    slices and, where the voxels are square in the plane, pixels on voxels. Otherwise the planes are aligned with the
    patient, cover the bounding box, and lie as far apart as voxels along the array axis nearest to their normal.
    A pixel is as small as the smaller of the two in-plane voxel spacings.

    square: add pixels outside the volume, split evenly, until rows equal columns, so that a centre crop loses nothing.
    body: lowest and highest LPS millimetres of what the planes must show (`body.body_box`). They then show that and a
        twentieth of its longer side around it, instead of the volume: the same picture for every storage of a scan.
    """
    if orientation not in ORIENTATIONS:
        raise InputError(f"Unknown plane orientation {orientation!r}: use {', '.join(ORIENTATIONS)}.")
    order = PatientOrder.of(volume.affine)
    affine = order.arrange_affine(volume.affine, volume.shape)
    sizes = np.array(volume.shape)[list(order.axes)]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = _plane_axes(affine)  # columns: directions that stand for L, P, S
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in sizes], indexing="ij"), axis=-1).reshape(-1, 3)
    corners = (corners @ affine[:3, :3].T + affine[:3, 3]) @ axes  # millimetres along those directions
    low, high = corners.min(axis=0), corners.max(axis=0)
    (across, across_sign), (along, along_sign), through = _FRAMES[orientation]
    extent = float(max(high[across] - low[across], high[along] - low[along]))
    # Voxels of absurd proportions must not ask for a picture that no memory holds.
    pixel = max(float(min(spacing[across], spacing[along])), extent / _MAX_PIXELS)
    step = np.full(3, pixel)
    step[through] = spacing[through]
    count = np.array([_count(high[d] - low[d], step[d]) for d in range(3)])
    first = (low + high) / 2 - step * (count - 1) / 2  # the lowest plane and pixel along each direction
    if body is not None:
        first, count = _frame(first, step, count, np.array(body) @ axes, through)
    size = count[[along, across]]
    shape = np.full(2, size.max()) if square else size
    first[[along, across]] -= pixel * np.where(
        [along_sign > 0, across_sign > 0], (shape - size) // 2, shape - size - (shape - size) // 2
    )
    for d, sign, pixels in ((along, along_sign, shape[0]), (across, across_sign, shape[1])):
        if sign < 0:  # the picture begins at the other end
            first[d] += pixel * (pixels - 1)
    plane = Plane(
        origin=_vector(axes @ first),
        right=_vector(axes[:, across] * across_sign),
        down=_vector(axes[:, along] * along_sign),
        spacing=pixel,
        shape=(shape[0], shape[1]),
        orientation=orientation,
    )
    return PlaneStack(plane, _vector(axes[:, through] * spacing[through]), int(count[through]))


def plane_for(volume: Volume, request: PlaneRequest, square: bool = True, body: Box | None = None) -> Plane:
    """The plane that a request means.

    A named orientation is the patient-aligned plane through the centre of the asked slice, on the pixels of
    `plane_stack`; its index counts along the array axis nearest to the normal, in stored order. An oblique request is
    taken as it is. Raises InputError for an index outside the volume, naming the allowed range, and for an oblique
    plane that misses the volume.
    """
    if request.orientation == "oblique":
        return _oblique_plane(volume, request)
    stack = plane_stack(volume, request.orientation, square, body)
    axis = PatientOrder.of(volume.affine).axes[_FRAMES[request.orientation][2]]
    count = volume.shape[axis]
    if not 0 <= request.index < count:
        raise InputError(
            f"There is no {request.orientation} slice {request.index} in this volume: use 0 to {count - 1}."
        )
    centre = (np.array(volume.shape) - 1) / 2
    centre[axis] = request.index
    centre = volume.affine[:3, :3] @ centre + volume.affine[:3, 3]
    direction = np.divide(stack.step, stack.distance)
    shift = direction @ (centre - stack.first.origin)
    return replace(stack.first, origin=_vector(np.add(stack.first.origin, shift * direction)))


def plane_range(volume: Volume, request: PlaneRange, square: bool = True, body: Box | None = None) -> PlaneStack:
    """The planes that a range of at least two means: as many as slices, the outermost as of `plane_for`.

    Raises InputError for an index outside the volume, naming the allowed range.
    """
    ends = [
        plane_for(volume, PlaneRequest(request.orientation, index), square, body)
        for index in (request.first, request.last)
    ]
    first, last = sorted(ends, key=lambda plane: plane.origin[_FRAMES[request.orientation][2]])
    steps = request.last - request.first
    return PlaneStack(first, _vector(np.subtract(last.origin, first.origin) / steps), steps + 1)


def sample(volume: Volume, plane: Plane, fill: float | None = None) -> np.ndarray:
    """The volume on a plane, trilinearly interpolated, float32 (rows, columns); outside it ``fill``.

    fill: None stands for `Volume.background`.
    """
    order = PatientOrder.of(volume.affine)
    affine = order.arrange_affine(volume.affine, volume.shape)
    picture = np.empty((*plane.shape, 1), np.float32)
    to_volume = np.linalg.inv(affine) @ plane.affine
    resample_into(picture, order.arrange(volume.voxels), to_volume, volume.background if fill is None else fill)
    return picture[..., 0]


def voxels_on_plane(volume: Volume, plane: Plane, mask: np.ndarray) -> np.ndarray:
    """The voxels that a mask (rows, columns) on a plane covers, (I, J, K) of its type; 0 covers nothing.

    A voxel belongs to the plane when its centre is no farther from it than half a voxel's extent along the normal, and
    is covered when the pixel below its centre is. A plane on a voxel slice gives exactly that slice.
    """
    if mask.shape != plane.shape:
        raise ValueError(f"a mask of shape {mask.shape} does not fit a plane of {plane.shape}")
    # (row, column, distance) of a voxel index; distance in millimetres
    to_plane = np.linalg.inv(plane.affine) @ volume.affine
    half = np.abs(to_plane[2, :3]).sum() / 2
    axis = int(np.argmax(np.abs(to_plane[2, :3])))  # the array axis that leaves the plane fastest
    sizes = list(volume.shape)
    sizes[axis] = 1
    index = list(np.indices(sizes, dtype=np.float64, sparse=True))
    others = [a for a in range(3) if a != axis]
    crossing = -(to_plane[2, 3] + sum(to_plane[2, a] * index[a] for a in others)) / to_plane[2, axis]
    nearest = np.floor(np.round(crossing, 6) + 0.5)
    covered = np.zeros(volume.shape, mask.dtype)
    for offset in (-2, -1, 0, 1, 2):  # half an extent is at most one and a half steps along this axis
        index[axis] = nearest + offset
        row, col, distance = (
            np.round(to_plane[r, 3] + sum(to_plane[r, a] * index[a] for a in range(3)), 6) for r in range(3)
        )
        row, col = (np.floor(x + 0.5).astype(np.intp) for x in (row, col))
        hit = (distance >= -half) & (distance < half) & (index[axis] >= 0) & (index[axis] < volume.shape[axis])
        hit &= (row >= 0) & (row < plane.shape[0]) & (col >= 0) & (col < plane.shape[1])
        hit[hit] = mask[row[hit], col[hit]] > 0
        places = list(np.nonzero(hit))
        places[axis] = index[axis][hit].astype(np.intp)
        covered[tuple(places)] = mask[row[hit], col[hit]]
    return covered


def as_displayed(plane: Plane) -> Plane:
    """The same rectangle turned and mirrored into radiological display, as a model knows left by its place."""
    through = int(np.argmax(np.abs(plane.normal)))
    (across, across_sign), (along, along_sign), _ = next(f for f in _FRAMES.values() if f[2] == through)
    if abs(plane.right[across]) < abs(plane.right[along]):  # it lies on its side
        plane = replace(plane, right=plane.down, down=plane.right, shape=plane.shape[::-1])
    rows, cols = plane.shape
    if plane.right[across] * across_sign < 0:
        right = np.array(plane.right)
        plane = replace(plane, origin=_vector(plane.origin + right * plane.spacing * (cols - 1)), right=_vector(-right))
    if plane.down[along] * along_sign < 0:
        down = np.array(plane.down)
        plane = replace(plane, origin=_vector(plane.origin + down * plane.spacing * (rows - 1)), down=_vector(-down))
    return plane


def _plane_axes(affine: np.ndarray) -> np.ndarray:
    """Orthonormal columns to lay planes along: the array's own axes when they follow the patient's, else the patient's.

    ``affine`` is in L, P, S order. The own axes keep planes on voxel slices when a header is a hair off.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(directions - np.eye(3)).max() > _ALIGNED:
        return np.eye(3)
    left, _, right = np.linalg.svd(directions)
    return left @ right  # nearest rotation


def _frame(
    first: np.ndarray, step: np.ndarray, count: np.ndarray, body: np.ndarray, through: int
) -> tuple[np.ndarray, np.ndarray]:
    """First positions and counts (3,) of a lattice cut or continued to frame a ``body`` (2, 3), lowest and highest.

    In the plane it may go beyond the volume; through it, only existing planes are kept.
    """
    low, high = body
    margin = np.full(3, _MARGIN * np.delete(high - low, through).max())
    margin[through] = 0
    start = np.floor((low - margin - first) / step + 0.5 + 0.01)
    stop = np.ceil((high + margin - first) / step + 0.5 - 0.01)
    stop = np.maximum(stop, start + 1)
    start[through] = np.clip(start[through], 0, count[through] - 1)
    stop[through] = np.clip(stop[through], start[through] + 1, count[through])
    return first + start * step, (stop - start).astype(int)


def _oblique_plane(volume: Volume, request: PlaneRequest) -> Plane:
    plane = Plane(
        request.origin,  # type: ignore[arg-type]
        request.right,  # type: ignore[arg-type]
        request.down,  # type: ignore[arg-type]
        request.spacing,
        request.shape,  # type: ignore[arg-type]
    )
    rows, cols = (np.linspace(0, n - 1, min(n, 512)) for n in plane.shape)
    points = plane.to_lps(rows[:, None], cols[None, :])
    to_index = np.linalg.inv(volume.affine)
    index = points @ to_index[:3, :3].T + to_index[:3, 3]
    if not ((index >= -0.5) & (index <= np.array(volume.shape) - 0.5)).all(axis=-1).any():
        raise InputError("The oblique plane does not meet the volume: give an origin in the patient's LPS millimetres.")
    return plane


def _count(extent: float, step: float) -> int:
    """Steps that cover an extent; a hundredth of a step may stay uncovered, as headers are not exact."""
    return max(1, math.ceil(extent / step - 0.01))


def _ends(direction: tuple[float, float, float]) -> tuple[str, str]:
    """The letters behind and ahead of a direction, by the patient axis that lies nearest to it."""
    axis = int(np.argmax(np.abs(direction)))
    behind, ahead = (("R", "L"), ("A", "P"), ("I", "S"))[axis]
    return (behind, ahead) if direction[axis] > 0 else (ahead, behind)


def _vector(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _text(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
