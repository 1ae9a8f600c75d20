from __future__ import annotations

import numpy as np
import pytest
from volume_builders import affine_of, all_storages

from medsight_core.errors import InputError
from medsight_core.imaging import window as window_module
from medsight_core.imaging.volume import Volume
from medsight_core.imaging.window import PRESETS, Window, window_for

CT = Volume(np.zeros((2, 2, 2), np.int16), np.eye(4), "CT")


def test_window_maps_its_ends_to_black_and_white_and_rounds_between():
    window = Window(-1000, 400)
    values = np.array([-3024, -1000, -300, 400, 32767], np.int16)
    np.testing.assert_array_equal(window.to_uint8(values), [0, 0, 128, 255, 255])
    assert window.to_uint8(values).dtype == np.uint8


def test_sixteen_bit_data_keeps_its_grey_levels():
    values = np.linspace(0, 65535, 256).astype(np.uint16)
    np.testing.assert_array_equal(Window(0, 65535).to_uint8(values), np.arange(256))


def test_ct_takes_presets_by_name_and_by_level_and_width():
    assert window_for(CT) == PRESETS["chest"] == Window(-1000, 400)
    assert window_for(CT, "Lung") == PRESETS["lung"]
    assert window_for(CT, "40/400") == Window(-160, 240)
    assert window_for(CT, " -600 / 1500.5 ") == Window(-1350.25, 150.25)


def test_other_modalities_take_percentiles_of_what_is_not_zero():
    voxels = np.zeros((20, 20, 20), np.float32)
    voxels[5:15] = np.linspace(100, 1100, voxels[5:15].size).reshape(10, 20, 20)
    voxels[6, 6, 6] = 1e6  # one hot voxel does not darken everything else
    window = window_for(Volume(voxels, np.eye(4), "MR"))
    assert (window.low, window.high) == (pytest.approx(105, abs=1), pytest.approx(1095, abs=1))
    assert window_for(Volume(voxels, np.eye(4), "MR"), "500/1000") == Window(0, 1000)


def test_the_window_does_not_depend_on_storage_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(window_module, "_SAMPLES", 300)  # every third voxel along each axis
    volume = Volume(np.random.default_rng(0).gamma(2, 100, (20, 21, 22)), affine_of((1, 1, 2)), "MR")
    assert len({window_for(stored) for stored, _ in all_storages(volume)}) == 1


@pytest.mark.parametrize("value", [0, 5, -5])
def test_a_constant_image_has_a_window(value: int):
    volume = Volume(np.full((3, 3, 3), value, np.int16), np.eye(4), "MR")
    window = window_for(volume)
    assert window.low < window.high
    assert window.to_uint8(volume.voxels).max() in (0, 255)


def test_windows_that_do_not_exist_are_refused():
    with pytest.raises(
        InputError, match=r"Unknown window 'liverish': use one of chest, lung, .*, or LEVEL/WIDTH such as 40/400"
    ):
        window_for(CT, "liverish")
    with pytest.raises(InputError, match=r"The window 'lung' is for CT and this image is MR: leave it out"):
        window_for(Volume(CT.voxels, np.eye(4), "MR"), "lung")
    with pytest.raises(InputError, match=r"The window 40 to 40 is empty: give a positive width"):
        window_for(CT, "40/0")
