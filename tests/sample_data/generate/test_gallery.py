"""Contact sheets: every plane beside its outlines, in the colours of the terminology, which a key explains."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFont

from medsight_core.terminology import color
from sample_data.generate.gallery import colour_key, main, outlined, sheet, wrapped
from sample_data.generate.study import LabelledPlane


def plane() -> LabelledPlane:
    mask = np.zeros((40, 40), bool)
    mask[10:20, 12:30] = True
    return LabelledPlane(
        np.full((40, 40), 77, np.uint8), {"liver": mask}, ("liver",), (), "CT", "axial", "someone", "abdomen"
    )


def test_outlines_are_drawn_in_the_colour_of_the_name():
    picture = outlined(plane())
    liver = np.rint(255 * np.array(color("liver")))
    assert (picture[10, 15] == liver).all()
    assert (picture[15, 12] == liver).all()
    assert (picture[15, 20] == 77).all()  # inside
    assert (picture[5, 5] == 77).all()


def rgb(name: str) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in color(name))


def test_a_sheet_holds_each_plane_twice_and_a_key():
    page = sheet([plane()] * 5, columns=2).convert("RGB")
    caption = 13 * len(wrapped("abdomen, axial, 1 masks, someone", 76)) + 4
    assert page.size == (160, 3 * (40 + caption) + 17)
    for left in (0, 40):
        assert page.getpixel((left + 5, 5)) == pytest.approx((77, 77, 77), abs=2)
    assert page.getpixel((55, 10)) == page.getpixel((8, page.height - 10)) == rgb("liver")


def test_what_a_caption_says_is_never_cut_off():
    text = "chest-phantom, sagittal, 4 masks, chest-phantom-1726096246"
    lines = wrapped(text, 200)
    assert len(lines) == 2
    assert " ".join(lines) == text
    assert all(ImageFont.load_default().getlength(line) <= 200 for line in lines)
    assert wrapped(text, 1000) == [text]


def test_a_key_has_the_colour_of_each_name_and_wraps():
    names = ["right kidney", "liver", "left kidney"]
    wide, narrow = colour_key(names, 400), colour_key(names, 100)
    assert (wide.size, narrow.size) == ((400, 17), (100, 51))
    squares = [narrow.getpixel((8, 17 * row + 6)) for row in range(3)]
    assert squares == [rgb(name) for name in ("left kidney", "right kidney", "liver")]
    assert colour_key([], 100).height == 0


def test_the_command_writes_a_sheet_for_each_source_that_is_there(tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--sources", "abdomen,fetal", "--planes", "2", "--side", "64"]
    assert main(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["abdomen.png"]
    assert Image.open(tmp_path / "abdomen.png").width == 512
    said = capsys.readouterr().out
    assert "fetal: left out. Fetal heads are needed: give the folder of HC18 with --fetal." in said
    assert main(["--sources", "nothing"]) == 2
    assert "There is no source 'nothing'" in capsys.readouterr().err
