"""Pictures are 8-bit or refused, masks are thresholded, and names stay below their folder."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from training_sets import write_picture

from medsight_core.data.images import inside, read_image, read_mask
from medsight_core.errors import InputError, NotFoundError

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("mode", "expected"), [("L", "L"), ("1", "L"), ("RGB", "RGB"), ("RGBA", "RGB"), ("P", "RGB"), ("LA", "RGB")]
)
def test_pictures_of_every_mode_become_grey_or_rgb(tmp_path, mode, expected):
    stored = Image.fromarray(COLOURS).convert(mode)
    stored.save(tmp_path / "picture.png")
    image = read_image(tmp_path / "picture.png")
    assert (image.mode, image.size) == (expected, (8, 6))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(stored.convert(expected)))


@pytest.mark.parametrize("extension", ["jpg", "bmp", "tif", "gif", "webp"])
def test_other_formats_are_read(tmp_path, extension):
    Image.fromarray(COLOURS).save(tmp_path / f"picture.{extension}")
    assert read_image(tmp_path / f"picture.{extension}").size == (8, 6)


def test_a_mask_is_where_its_grey_value_is_above_half(tmp_path):
    values = np.array([[0, 1, 127], [128, 200, 255]], np.uint8)
    Image.fromarray(values).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, [[False, False, False], [True, True, True]])
    Image.fromarray(values > 127).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "bits.png"), mask)


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [("deep.png", np.uint16, "I;16"), ("deep.tif", np.float32, "F"), ("whole.tif", np.int32, "I")],
)
def test_more_than_eight_bits_are_refused(tmp_path, read, name, kind, mode):
    Image.fromarray(COLOURS[..., 0].astype(kind)).save(tmp_path / name)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    expected = f"'{tmp_path / name}' has more than 8 bits a value (mode {mode}): window it to 8 bits first."
    assert str(caught.value) == expected


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_missing_files_are_named(tmp_path, read):
    with pytest.raises(NotFoundError) as caught:
        read(tmp_path / "none.png")
    assert str(caught.value) == f"There is no image '{tmp_path / 'none.png'}': check the path."


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"no picture", lambda data: b""])
def test_damaged_files_are_named(tmp_path, damage):
    path = write_picture(tmp_path / "picture.png")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"'{path}' cannot be read as a picture: it is damaged or not one of PNG, JPEG, BMP, TIFF, GIF, WEBP."
    )


def test_formats_whose_readers_start_programs_are_not_opened(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "picture.eps")
    with pytest.raises(InputError, match="cannot be read as a picture"):
        read_image(tmp_path / "picture.eps")


def test_a_folder_is_not_a_picture(tmp_path):
    with pytest.raises(InputError, match="cannot be read as a picture"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "deep/er/a.png", "./a.png", "deep/../a.png", "..a.png"])
def test_names_below_the_root_are_paths(tmp_path, name):
    assert inside(tmp_path, name).is_relative_to(tmp_path)
    assert inside(tmp_path, str(tmp_path / "a.png")) == tmp_path / "a.png"


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "deep/../../a.png", "", ".", "a\0.png"])
def test_names_that_leave_the_root_are_refused(tmp_path, name):
    with pytest.raises(InputError) as caught:
        inside(tmp_path / "root", name)
    expected = f"The file name {name!r} does not stay inside '{tmp_path / 'root'}': give names relative to this folder."
    assert str(caught.value) == expected


def test_a_neighbour_whose_name_begins_alike_is_outside(tmp_path):
    with pytest.raises(InputError, match="does not stay inside"):
        inside(tmp_path / "root", "../root2/a.png")


def test_relative_roots_are_roots(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inside(".", "a.png") == tmp_path / "a.png"
