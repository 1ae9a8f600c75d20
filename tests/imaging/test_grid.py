from __future__ import annotations

import numpy as np
import pytest
from volume_builders import affine_of, all_storages

from medsight_core.imaging import grid
from medsight_core.imaging.grid import PatientOrder, resample_into
from medsight_core.imaging.volume import Volume


def test_patient_order_undoes_every_storage():
    volume = Volume(np.arange(2 * 3 * 4).reshape(2, 3, 4), affine_of((1, 2, 3), degrees=(12, -9, 20)), "MR")
    for stored, _ in all_storages(volume):
        order = PatientOrder.of(stored.affine)
        np.testing.assert_array_equal(order.arrange(stored.voxels), volume.voxels)
        np.testing.assert_allclose(order.arrange_affine(stored.affine, stored.shape), volume.affine, atol=1e-12)


def test_axes_go_to_the_patient_axes_with_the_least_tilt_in_all():
    # i lies at 45 degrees between L and P; k is nearly P, so that i must stand for L
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0.69, 0.0, 0.1], [0.72, 0.1, 0.99], [0.0, 0.99, 0.0]])
    assert PatientOrder.of(affine).axes == (0, 2, 1)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (25, 10, -5)], ids=["axis by axis", "freely"])
def test_working_in_slabs_changes_nothing(monkeypatch: pytest.MonkeyPatch, degrees: tuple):
    source = np.random.default_rng(0).normal(size=(9, 8, 7))
    matrix = affine_of((0.6, 0.7, 0.8), degrees, origin=(0.5, -0.3, 1))
    whole, parts = np.empty((12, 11, 10), np.float32), np.empty((12, 11, 10), np.float32)
    resample_into(whole, source, matrix, fill=-1)
    monkeypatch.setattr(grid, "_SLAB_POINTS", 5 * 11 * 10)
    resample_into(parts, source, matrix, fill=-1)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert (whole != -1).sum() > 300
    assert (whole == -1).any()
