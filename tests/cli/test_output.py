"""An answer's files and its text on a terminal."""

import json

import numpy as np
import pytest
from rich.console import Console

from medsight_core.answer import Answer, Region
from medsight_core.cli import output
from medsight_core.errors import InputError, ServerError
from medsight_core.imaging.segmentation_file import read_segmentation, write_segmentation
from medsight_core.imaging.volume import Volume


@pytest.fixture(scope="module")
def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(-1000, 400, (20, 18, 10)).astype(np.int16)
    return Volume(voxels, np.diag([2.0, 2.0, 5.0, 1.0]), "CT")


@pytest.fixture(scope="module")
def answer(volume) -> Answer:
    left, right = np.zeros(volume.shape, bool), np.zeros(volume.shape, bool)
    left[12:18, 4:12, 2:8] = True
    right[2:8, 4:12, 2:8] = True
    return Answer(
        text="The right lung [1] and the left lung [2] are outlined. No liver is seen.",
        regions=(
            Region(1, "right lung", "M0_1", (4, 14), 0.94, 5.76, (2, 7), (1.0, 0.0, 0.0), mask=right),
            Region(2, "left lung", "M0_2", (27, 36), 0.5, 5.76, (2, 7), (0.0, 1.0, 0.0), mask=left),
        ),
        absent=("liver",),
    )


def test_save_writes_answer_segments_and_picture(tmp_path, volume, answer):
    written = output.save(tmp_path / "deep" / "out", volume, answer)
    assert [path.name for path in written] == ["answer.json", "segmentation.seg.nrrd", "overlay.png"]
    assert {path.name for path in (tmp_path / "deep" / "out").iterdir()} == {path.name for path in written}
    assert Answer.from_json(json.loads(written[0].read_text())) == answer.without_masks()
    for segment, region in zip(read_segmentation(written[1]).segments, answer.regions):
        assert segment.name == region.name
        np.testing.assert_array_equal(segment.mask, region.mask)
    assert written[2].read_bytes().startswith(b"\x89PNG")


def test_a_servers_label_file_is_kept_byte_for_byte_and_drawn(tmp_path, volume, answer):
    write_segmentation(tmp_path / "sent.seg.nrrd", volume, answer)
    sent = (tmp_path / "sent.seg.nrrd").read_bytes()
    output.save(tmp_path / "local", volume, answer)
    output.save(tmp_path / "remote", volume, answer.without_masks(), sent)
    assert (tmp_path / "remote" / "segmentation.seg.nrrd").read_bytes() == sent
    pictures = [(tmp_path / side / "overlay.png").read_bytes() for side in ("local", "remote")]
    assert pictures[0] == pictures[1]


def test_an_answer_without_regions_leaves_no_label_file_of_an_earlier_one(tmp_path, volume, answer):
    output.save(tmp_path, volume, answer)
    written = output.save(tmp_path, volume, Answer(text="No liver is seen.", absent=("liver",)))
    assert {path.name for path in tmp_path.iterdir()} == {"answer.json", "overlay.png"}
    assert [path.name for path in written] == ["answer.json", "overlay.png"]


def test_a_label_file_that_lacks_a_region_is_refused(tmp_path, volume, answer):
    half = Answer(text="The right lung [1].", regions=answer.regions[:1])
    write_segmentation(tmp_path / "half.seg.nrrd", volume, half)
    with pytest.raises(ServerError, match="The server's label file lacks left lung: check that both sides"):
        output.save(tmp_path / "out", volume, answer.without_masks(), (tmp_path / "half.seg.nrrd").read_bytes())


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path, volume, answer):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as caught:
        output.save(tmp_path / "file", volume, answer)
    expected = f"The answer cannot be written to '{tmp_path / 'file'}' (File exists): choose another folder."
    assert str(caught.value) == expected


def test_show_colours_the_names_and_tells_regions_absences_and_notice(answer):
    console = Console(record=True, width=100, file=open("/dev/null", "w"))  # noqa: SIM115
    output.show(console, answer)
    lines = console.export_text(clear=False).splitlines()
    assert lines[0] == answer.text
    assert lines[2].split() == ["1", "right", "lung", "5.8", "0.94"]
    assert lines[-2:] == ["Not seen: liver", "Research use only. Not for clinical use."]
    assert "\x1b[1;38;2;255;0;0mright lung" in console.export_text(styles=True)


def test_brackets_in_an_answer_are_text_and_not_markup():
    console = Console(record=True, width=100, file=open("/dev/null", "w"))  # noqa: SIM115
    output.show(console, Answer(text="[bold]A lung[/bold] [1]", absent=("[red]liver",)))
    assert console.export_text().splitlines()[:2] == ["[bold]A lung[/bold] [1]", "Not seen: [red]liver"]
