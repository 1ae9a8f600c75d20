"""Contact sheets: every plane beside its outlines, in the colours of the terminology."""

from __future__ import annotations

import numpy as np
from PIL import Image

from medsight_core.terminology import color
from sample_data.generate.gallery import main, outlined, sheet
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


def test_a_sheet_holds_each_plane_twice():
    page = sheet([plane()] * 5, columns=2)
    assert page.size == (160, 3 * 53)
    assert page.getpixel((5, 5)) == (77, 77, 77)


def test_the_command_writes_a_sheet_for_each_source_that_is_there(tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--sources", "abdomen,fetal", "--planes", "2", "--side", "64"]
    assert main(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["abdomen.png"]
    assert Image.open(tmp_path / "abdomen.png").size == (512, 77)
    said = capsys.readouterr().out
    assert "fetal: left out. Fetal heads are needed: give the folder of HC18 with --fetal." in said
    assert main(["--sources", "nothing"]) == 2
    assert "There is no source 'nothing'" in capsys.readouterr().err
