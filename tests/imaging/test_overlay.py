from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from volume_builders import affine_of, all_storages

from medsight_core.answer import NOTICE, Answer, ModelInfo, Region
from medsight_core.imaging.overlay import write_overlay
from medsight_core.imaging.volume import Volume

RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def phantom(affine: np.ndarray | None = None) -> tuple[Volume, Answer]:
    """A grey head with a red ball on the patient's left and a green one on the right, 24 mm apart."""
    affine = affine_of((1, 1, 2), origin=(-24, -24, -24)) if affine is None else affine
    shape = (48, 48, 24)
    x, y, z = np.moveaxis(np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    head = x**2 + y**2 + z**2 < 22**2
    masks = {"left ball": ((x - 12) ** 2 + y**2 + z**2 < 49), "right ball": ((x + 12) ** 2 + y**2 + z**2 < 49)}
    regions = tuple(
        Region(n, name, "", (0, 1), 0.9, volume_ml=1.4, color=(RED, GREEN)[n - 1], mask=mask)
        for n, (name, mask) in enumerate(masks.items(), start=1)
    )
    return Volume((head * 100).astype(np.int16), affine, "MR"), Answer("The balls cost $5 and $6.", regions, ("liver",))


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def centre_of(pixels: np.ndarray, color: tuple[float, ...]) -> tuple[float, float]:
    """Mean row and column of the pixels that are tinted with a primary colour, in the first view (axial)."""
    first_view = pixels[: pixels.shape[1] // 3, : pixels.shape[1] // 3]
    channel = color.index(1.0)
    others = [c for c in range(3) if c != channel]
    tinted = first_view[..., channel] > first_view[..., others].max(axis=-1) + 40
    assert tinted.sum() > 200
    rows, cols = np.nonzero(tinted)
    return rows.mean(), cols.mean()


def test_the_left_ball_is_drawn_on_the_right(tmp_path: Path):
    volume, answer = phantom()
    write_overlay(tmp_path / "o.png", volume, answer)
    pixels = picture(tmp_path / "o.png")
    red, green = centre_of(pixels, RED), centre_of(pixels, GREEN)
    assert red[1] > green[1] + 100
    assert red[0] == pytest.approx(green[0], abs=12)
    assert Image.open(tmp_path / "o.png").info["Description"] == NOTICE


def test_all_three_planes_go_through_what_was_found(tmp_path: Path):
    volume, answer = phantom()
    mask = np.zeros(volume.shape, bool)
    mask[30:37, 8:15, 17:20] = True  # off the middle in every direction
    found = replace(answer.regions[0], mask=mask)
    write_overlay(tmp_path / "o.png", volume, Answer("Here.", (found,)))
    pixels = picture(tmp_path / "o.png")
    size = pixels.shape[1] // 3
    for view in range(3):
        shown = pixels[:size, view * size : (view + 1) * size]
        assert (shown[..., 0] > shown[..., 1:].max(axis=-1) + 40).sum() > 100


def test_the_picture_does_not_depend_on_how_the_volume_is_stored(tmp_path: Path):
    volume, answer = phantom()
    write_overlay(tmp_path / "a.png", volume, answer)
    for n, (stored, undo) in enumerate(all_storages(volume)):
        if n in (7, 30):  # two of the 48
            place = undo(np.arange(volume.voxels.size).reshape(stored.shape))  # stored voxel of each given voxel
            back = np.empty(volume.voxels.size, int)
            back[place.ravel()] = np.arange(volume.voxels.size)
            regions = tuple(
                Region(
                    r.label,
                    r.name,
                    "",
                    r.span,
                    r.confidence,
                    r.volume_ml,
                    color=r.color,
                    mask=r.mask.ravel()[back].reshape(stored.shape),
                )
                for r in answer.regions
            )
            write_overlay(tmp_path / "b.png", stored, Answer(answer.text, regions, answer.absent))
            np.testing.assert_array_equal(picture(tmp_path / "a.png"), picture(tmp_path / "b.png"))


def test_oblique_volumes_and_answers_without_masks_or_regions_are_drawn(tmp_path: Path):
    affine = affine_of((1, 1, 2), degrees=(20, 10, 5))
    affine[:3, 3] = affine[:3, :3] @ (-24, -24, -12)
    volume, answer = phantom(affine)
    write_overlay(tmp_path / "o.png", volume, answer)
    red, green = (centre_of(picture(tmp_path / "o.png"), color) for color in (RED, GREEN))
    assert red[1] > green[1] + 80
    for other in (Answer("I do not see a brain.", absent=("brain",)), answer.without_masks(), Answer("")):
        write_overlay(tmp_path / "p.png", volume, other)
        assert picture(tmp_path / "p.png").std() > 10


def test_long_answers_with_many_regions_fit(tmp_path: Path):
    volume, answer = phantom()
    many = tuple(
        Region(n, f"left inferior lateral structure {n}", "", (0, 1), 0.5, color=RED, mask=answer.regions[0].mask)
        for n in range(1, 40)
    )
    write_overlay(tmp_path / "o.png", volume, Answer("word " * 900, many, model=ModelInfo("demo", "1")))
    height, width, _ = picture(tmp_path / "o.png").shape
    assert 0.5 < height / width < 1


def test_a_cold_font_cache_and_no_display_are_enough(tmp_path: Path):
    program = """
import sys
import numpy as np
from medsight_core.answer import Answer
from medsight_core.imaging.overlay import write_overlay
from medsight_core.imaging.volume import Volume
write_overlay(sys.argv[1], Volume(np.arange(64.0).reshape(4, 4, 4), np.eye(4), "MR"), Answer("Hello."))
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    environment["MPLCONFIGDIR"] = str(tmp_path / "cold")
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "o.png")], check=True, env=environment, timeout=120)
    assert (tmp_path / "o.png").stat().st_size > 5000
