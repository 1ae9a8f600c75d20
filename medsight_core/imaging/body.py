"""Where the patient is in a volume: the box that planes are framed by, whatever air the file stores around it.

A model that knows a head by its size in the picture must see it at that size in every storage of the same scan.
"""

from __future__ import annotations

import numpy as np

from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.volume import Volume, once_a_volume
from medsight_core.imaging.window import window_for

_CT_TISSUE = -300.0  # Hounsfield units; darker is air and lung
_BRIGHT = 0.15  # of the window's width, in every other modality
_OUTLIERS = 0.1  # per cent of the bright voxels left out at each end: specks are not the patient
_SAMPLES = 1 << 21  # voxels looked at, about


@once_a_volume
def body_box(volume: Volume) -> tuple[np.ndarray, np.ndarray] | None:
    """Lowest and highest LPS millimetres (3,) along each patient axis of the tissue in ``volume``.

    The same, to about a voxel, for every storage order, rotation and padding of a scan. None where nothing is brighter
    than the background.
    """
    order = PatientOrder.of(volume.affine)
    affine = order.arrange_affine(volume.affine, volume.shape)
    stride = max(1, round((volume.voxels.size / _SAMPLES) ** (1 / 3)))
    voxels = order.arrange(volume.voxels)[::stride, ::stride, ::stride]
    if volume.modality == "CT":
        threshold = _CT_TISSUE
    else:
        window = window_for(volume)
        threshold = window.low + _BRIGHT * (window.high - window.low)
    bright = np.argwhere(voxels > threshold) * stride
    if not len(bright):
        return None
    points = bright @ affine[:3, :3].T + affine[:3, 3]
    low, high = np.percentile(points, (_OUTLIERS, 100 - _OUTLIERS), axis=0)
    return low, high
