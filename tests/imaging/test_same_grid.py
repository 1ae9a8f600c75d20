"""Two grids are one, or every difference is named: upright, oblique and sheared ones."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from volume_builders import affine_of

from medsight_core.errors import VolumeError
from medsight_core.imaging.same_grid import Grid, check_same_grid, crop_offset, grid_differences
from medsight_core.imaging.volume import read_volume

SHAPE = (60, 50, 20)
UPRIGHT = {"spacing": (1.0, 1.0, 3.0), "origin": (-30.0, 20.0, 5.0)}
GEOMETRIES = {
    "upright": UPRIGHT,
    "oblique": {**UPRIGHT, "degrees": (10, -20, 35)},
    "sheared": {**UPRIGHT, "degrees": (4, 8, -3), "tilt": 0.3},
}


def grid(**changes) -> Grid:
    return Grid(changes.pop("shape", SHAPE), affine_of(**{**UPRIGHT, **changes}))


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_rounded_headers_are_the_same_grid(geometry):
    affine = affine_of(**geometry)
    assert grid_differences(Grid(SHAPE, affine.astype(np.float32).astype(float)), Grid(SHAPE, affine)) == []


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_a_file_of_the_image_is_on_the_images_grid(tmp_path, geometry):
    affine = affine_of(**geometry)
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine), path)
    volume = read_volume(path)
    assert grid_differences(Grid(volume.shape, volume.affine), Grid(SHAPE, affine)) == []


def test_a_quaternion_header_is_close_enough(tmp_path):
    affine = affine_of(**GEOMETRIES["oblique"])
    image = sitk.Image([*SHAPE], sitk.sitkUInt8)
    image.SetSpacing(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    image.SetDirection((affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    volume = read_volume(tmp_path / "a.nii.gz")
    assert grid_differences(Grid(volume.shape, volume.affine), Grid(SHAPE, affine)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": (60, 50, 21)}, "its size is 60 x 50 x 21 and the image's 60 x 50 x 20"),
        ({"spacing": (1.0, 1.0, 2.5)}, "its spacing is 1 x 1 x 2.5 mm and the image's 1 x 1 x 3 mm"),
        ({"origin": (-30.0, 20.0, 15.0)}, "its origin is 10 mm away"),
    ],
)
def test_one_difference_is_named_alone(change, words):
    assert grid_differences(grid(**change), grid()) == [words]


def test_a_shear_turns_an_axis_and_lengthens_it():
    assert grid_differences(grid(tilt=0.3), grid()) == [  # 0.3 mm aside on 3 mm
        "its spacing is 1 x 1 x 3.015 mm and the image's 1 x 1 x 3 mm",
        "its direction along k is turned by 5.71 degrees",
    ]


def test_a_turned_grid_is_named_for_each_axis_that_turned():
    differences = grid_differences(grid(degrees=(0, 0, 12)), grid())
    assert differences == [f"its direction along {axis} is turned by 12 degrees" for axis in "ij"]


def test_the_other_order_along_an_axis_is_no_small_matter():
    flipped = grid().affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    assert grid_differences(Grid(SHAPE, flipped), grid()) == ["its direction along i is turned by 180 degrees"]


@pytest.mark.parametrize("kind", ["oblique", "sheared"])
def test_losing_the_angles_of_an_image_is_noticed(kind):
    """What a format that knows no such angles does to it."""
    assert any("direction" in words for words in grid_differences(grid(), grid(**GEOMETRIES[kind])))


def test_a_drift_that_adds_up_over_many_voxels_is_noticed():
    near = grid(spacing=(1.0005, 1.0, 3.0))
    assert grid_differences(near, grid()) == [], "60 voxels: 0.03 mm at the far end"
    wide = (600, 50, 20)
    assert grid_differences(Grid(wide, near.affine), Grid(wide, grid().affine)) != []


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_a_piece_of_a_grid_knows_where_it_was_cut_out(geometry):
    whole = Grid(SHAPE, affine_of(**geometry))
    piece = whole.affine.copy()
    piece[:, 3] = whole.affine @ (7, 0, 3, 1)
    assert crop_offset(Grid((10, 50, 17), piece), whole) == (7, 0, 3)
    assert crop_offset(whole, whole) == (0, 0, 0)
    assert crop_offset(Grid((10, 51, 17), piece), whole) is None, "it reaches out of the image"
    piece[:, 3] = whole.affine @ (7.5, 0, 3, 1)
    assert crop_offset(Grid((10, 50, 17), piece), whole) is None, "it lies between the voxels"
    piece[:, 3] = whole.affine @ (-1, 0, 0, 1)
    assert crop_offset(Grid((10, 50, 17), piece), whole) is None, "it begins outside"


def test_a_turned_piece_is_none():
    assert crop_offset(grid(shape=(5, 5, 5), degrees=(0, 0, 30)), grid()) is None


def test_the_refusal_names_all_and_says_what_to_do():
    with pytest.raises(VolumeError) as caught:
        check_same_grid(grid(shape=(1, 2, 3), origin=(0, 0, 0)), grid())
    assert str(caught.value) == (
        "The segmentation does not lie on the image's voxels: its size is 1 x 2 x 3 and the image's 60 x 50 x 20, "
        "its origin is 36.4 mm away; export it again with the image as its reference geometry."
    )
    check_same_grid(grid(), grid())
