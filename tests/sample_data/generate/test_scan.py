"""A generated plane is what the engine shows its model of the same scan, and masks lie on what they name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import tiny_model

from medsight_core.engine.views import VolumeView
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import PlaneRequest
from sample_data.generate.scan import SMALLEST, Film, Layer, Scan

SIDE = 56  # of the tiny model
SHAPE = (70, 90, 60)
LEGEND = {"left lung": (1,), "right lung": (2,), "body": (1, 2, 3, 4), "nodule": (4,), "aorta": (9,)}


def labels() -> np.ndarray:
    """A body with a left part in front and above, a right part at the back and below, and a speck."""
    axes = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij", sparse=True)

    def ball(at: tuple[int, int, int], radius: int) -> np.ndarray:
        return sum((p - c) ** 2 for p, c in zip(axes, at)) < radius**2

    found = np.zeros(SHAPE, np.uint8)
    found[5:65, 8:82, 4:56] = 3
    found[ball((50, 30, 40), 10)] = 1
    found[ball((20, 60, 20), 10)] = 2
    found[34, 45, 20:40] = 4
    return found


def scan(
    spacing: float = 1.0, step: tuple[int, int, int] = (1, 1, 1), flip: bool = False, modality: str = "MR"
) -> Scan:
    """The labels as an image, coarser than they are by ``step``; flip: stored towards R and A."""
    origin = np.array([-30.0, 12.0, 100.0])
    grey = np.array([-1000, 300, 100, -100, 200] if modality == "CT" else [10, 900, 600, 300, 800], np.int16)
    voxels = grey[labels()][:: step[0], :: step[1], :: step[2]]
    affine = np.diag([*(spacing * np.array(step)), 1.0])
    affine[:3, 3] = origin
    if flip:
        voxels = voxels[::-1, ::-1]
        affine[:2, 3] += (np.array(voxels.shape[:2]) - 1) * affine.diagonal()[:2]
        affine[0, 0], affine[1, 1] = -affine[0, 0], -affine[1, 1]
    return Scan(Volume(voxels, affine, modality), (Layer(labels(), LEGEND),), np.full(3, spacing), origin)


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_picture_is_what_the_engine_shows_its_model(orientation, modality):
    _, processor = tiny_model(frame="body", square_planes=True)
    shown = scan(1.5, (1, 1, 3), flip=True, modality=modality)
    volume = shown.volume
    through = {"sagittal": 0, "coronal": 1, "axial": 2}[orientation]
    for index in (int(fraction * volume.shape[through]) for fraction in (0.3, 0.5, 0.6)):
        view = VolumeView.of_plane(volume, PlaneRequest(orientation, index), processor, None)
        film = Film(shown, SIDE)
        place = view.planes[0].origin[through]
        (same,) = [n for n in range(film.count(orientation)) if abs(film.height(orientation, n) - place) < 0.1]
        picture = film.picture(orientation, same)
        expected = view.pixel_values(0, processor)
        torch.testing.assert_close(processor.pixel_values(Image.fromarray(picture.image)), expected)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("step", [(1, 1, 1), (1, 1, 4), (3, 1, 1)])
@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
def test_masks_lie_on_what_they_name(flip, step, orientation):
    film = Film(scan(step=step, flip=flip), 128)
    pictures = [film.picture(orientation, index) for index in range(film.count(orientation))]
    for name, low, high in (("left lung", 200, 256), ("right lung", 160, 200)):
        both = named = bright = 0
        for picture in pictures:
            mask = picture.masks.get(name, np.zeros((128, 128), bool))
            grey = (picture.image >= low) & (picture.image < high)
            if name == "right lung":  # the edge of the left one is as bright
                grey &= ~picture.masks.get("left lung", np.zeros((128, 128), bool))
            both, named, bright = both + (mask & grey).sum(), named + mask.sum(), bright + grey.sum()
        assert 2 * both / (named + bright) > 0.8, name


def test_the_patient_s_right_is_on_the_left_and_up_is_up():
    film = Film(scan(flip=True), 96)

    def middle(orientation: str, name: str) -> tuple[float, float]:
        pictures = [film.picture(orientation, index) for index in range(film.count(orientation))]
        rows, columns = np.nonzero(sum(p.masks[name].astype(int) for p in pictures if name in p.masks))
        return rows.mean(), columns.mean()

    for orientation in ("axial", "coronal"):
        assert middle(orientation, "right lung")[1] < 48 < middle(orientation, "left lung")[1]
    assert middle("axial", "left lung")[0] < middle("axial", "right lung")[0]  # in front
    for orientation in ("coronal", "sagittal"):
        assert middle(orientation, "left lung")[0] < middle(orientation, "right lung")[0]  # above
    assert middle("sagittal", "left lung")[1] < middle("sagittal", "right lung")[1]  # in front


def test_a_tip_is_unclear_and_nothing_is_absent():
    film = Film(scan(), 96)
    pictures = [film.picture("axial", index) for index in range(film.count("axial"))]
    tips = [picture for picture in pictures if "nodule" in picture.unclear]
    assert len(tips) > 5
    assert not any("nodule" in picture.masks or "aorta" in picture.masks for picture in pictures)
    assert not any("aorta" in picture.unclear for picture in pictures)
    for picture in pictures:
        assert all(mask.mean() >= SMALLEST for mask in picture.masks.values())
        assert picture.image.shape == (96, 96)
        assert all(mask.shape == (96, 96) for mask in picture.masks.values())


def test_a_window_may_be_chosen():
    shown = scan(modality="CT")
    default, narrow = (Film(shown, 64, window).picture("axial", 20).image for window in (None, "soft-tissue"))
    assert np.abs(default.astype(int) - narrow).max() > 50
    assert shown.names == tuple(LEGEND)
