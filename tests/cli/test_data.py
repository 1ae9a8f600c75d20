"""`medsight data check` tells figures and faults, and its exit code says whether the set can be trained on."""

from __future__ import annotations

import pytest
from training_sets import grounded_record, write_labelled, write_picture, write_records
from typer.testing import CliRunner

from medsight_core.cli.data import app


def run(*arguments: object) -> tuple[int, list[str]]:
    """Exit code and the lines of output, blanks between columns taken out."""
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return result.exit_code, [" ".join(line.split()) for line in result.output.splitlines()]


def test_labelled_images_are_recognised_and_summed_up(tmp_path):
    meta = write_labelled(tmp_path, modality=4)
    write_picture(tmp_path / "phantoms/train/0000_CT_abdomen.png", shape=(40, 80))
    assert run(meta) == (
        0,
        [
            "images 3",
            "image files 3",
            "mask files 3",
            "without masks 1",
            "masks of modality 4 3",
            "area of the masks 12.50% of the image, 90% of them 12.50% to 12.50%",
            "not square 33.3% of the images; the model sees their middle",
            "outside it 0.0% of the masks' area; 0 masks wholly",
            "Nothing is wrong with them.",
        ],
    )


def test_conversations_are_recognised_and_held_against_a_model(tmp_path, tiny_model_dir):
    path = write_records(tmp_path / "records.json", [grounded_record(tmp_path)])
    code, lines = run(path, "--model", tiny_model_dir)
    assert code == 0
    assert "masks of modality 0 2 in 2 codes" in lines
    assert any(line.startswith("longest sequence ") and line.endswith(" tokens") for line in lines)
    code, lines = run(path, "--model", tiny_model_dir, "--max-length", 30)
    assert code == 2
    assert lines[-2].startswith("record 0 (ct-000123): It is ")
    assert "the limit is 30" in lines[-2]


def test_the_first_faults_are_told_whole_and_the_others_counted(tmp_path):
    record = grounded_record(tmp_path)
    path = write_records(tmp_path / "records.json", [{**record, "image": f"ct/{n}.png"} for n in range(23)] + [record])
    code, lines = run(path)
    assert code == 2
    assert lines[-21:-1] == [
        f"record {n} (ct-000123): There is no image '{tmp_path}/ct/{n}.png': check the path." for n in range(20)
    ]
    assert lines[-1] == "23 of 24 conversations cannot be trained on, 3 more faults are not shown."
    code, lines = run(path, "--limit", 2)
    assert (code, lines[0]) == (2, "conversations 2 of 24")
    assert lines[-1] == "1 of 2 conversations cannot be trained on."


def test_a_root_is_for_conversations_only(tmp_path):
    (tmp_path / "lists").mkdir()
    path = write_records(tmp_path / "lists/records.json", [grounded_record(tmp_path)])
    assert run(path, "--root", tmp_path)[0] == 0
    meta = write_labelled(tmp_path)
    assert run(meta, "--root", tmp_path) == (2, [f"'{meta}' says itself where its images are: leave out --root."])


@pytest.mark.parametrize("option", ["--limit", "--max-length"])
def test_nothing_is_not_a_number_of_records_or_tokens(tmp_path, option):
    assert run(tmp_path, option, 0)[0] == 2


def test_a_missing_file_and_a_missing_model_are_told(tmp_path):
    path = tmp_path / "none.json"
    assert run(path) == (
        2,
        [
            f"'{path}' cannot be opened (No such file or directory): give a BiomedParse meta file or a file of "
            "conversations."
        ],
    )
    meta = write_labelled(tmp_path)
    code, lines = run(meta, "--model", tmp_path)
    assert (code, lines) == (
        1,
        [f"There is no model in {tmp_path}: give a folder with config.json and model.safetensors."],
    )
