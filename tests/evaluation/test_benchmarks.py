"""Each benchmark's published files as cases, and the sentences for what is wrong with them."""

from __future__ import annotations

import json
import sys
import types

import pytest
from evaluation import fixtures
from evaluation.fixtures import BUILDERS, mask, picture, write

from medsight_core.errors import InputError, NotFoundError
from medsight_core.evaluation.benchmarks import BENCHMARKS, benchmark_named, read_cases


def read(name, root, skip_bad=False):
    return read_cases(BENCHMARKS[name], root, root / "unpacked", skip_bad)


def cases(name, tmp_path):
    found, bad = read(name, BUILDERS[name](tmp_path))
    assert bad == []
    return found


def told(name, root):
    """The sentence that ends the reading."""
    with pytest.raises(InputError) as caught:
        read(name, root)
    return str(caught.value)


def change(path, number, **fields):
    """Replace fields of a record; None removes one."""
    listed = json.loads(path.read_text())
    listed[number] = {key: value for key, value in {**listed[number], **fields}.items() if value is not None}
    return write(path, listed)


def test_every_benchmark_has_a_fixture():
    assert set(BUILDERS) == set(BENCHMARKS)


def test_vqa_rad_takes_the_test_questions(tmp_path):
    found = cases("vqa-rad", tmp_path)
    assert [case.id for case in found] == ["0", "1", "2", "4"]
    assert [case.kind for case in found] == ["closed", "closed", "open", "open"]
    assert [case.modality for case in found] == ["Head", "Chest", "Chest", "Abd"]
    assert found[3].answer == "2"
    assert found[0].images == (tmp_path / "VQA_RAD Image Folder" / "synpic0.png",)


def test_slake_takes_the_english_questions(tmp_path):
    found = cases("slake", tmp_path)
    assert [(case.id, case.kind, case.modality) for case in found] == [("11", "open", "X-ray"), ("13", "closed", "MRI")]


def test_pathvqa_exported(tmp_path):
    found = cases("pathvqa", tmp_path)
    assert [(case.id, case.kind) for case in found] == [("test-0", "open"), ("test-1", "closed")]
    assert {case.modality for case in found} == {"Pathology"}


def test_omnimedvqa_files_by_modality_are_not_read_twice(tmp_path):
    first, second = cases("omnimedvqa", tmp_path)
    assert first.choices == ("CT", "X-ray", "MRI", "Ultrasound")
    assert first.prompt == (
        "What imaging is this?\nA. CT\nB. X-ray\nC. MRI\nD. Ultrasound\nAnswer briefly: choose one of these options."
    )
    assert (first.answer, first.modality) == ("X-ray", "X-ray")
    assert (second.choices, second.modality) == (("Yes", "No"), "X-ray")  # under "modality"


def test_omnimedvqa_files_by_data_set_are_read_without_the_others(tmp_path):
    root = fixtures.omnimedvqa(tmp_path)
    (root / "QA_information" / "Open-access" / "Modality_X-Ray.json").unlink()
    assert [case.id for case in read("omnimedvqa", root)[0]] == ["Chest_0001"]


def test_mmmu_takes_the_medical_subjects(tmp_path):
    choice, opened = cases("mmmu-med", tmp_path)
    assert len(choice.images) == 2
    assert choice.prompt.startswith("Compare image 1 with image 2.\nA. Better\n")
    assert (choice.kind, choice.answer, choice.modality) == ("choice", "Worse", "Clinical Medicine")
    assert (opened.kind, opened.choices, opened.answer) == ("open", (), "aspirin")


def test_diagseg_targets_may_be_unions(tmp_path):
    first, second, third = cases("diagseg", tmp_path)
    masks = [tmp_path / "masks" / f"{number}.png" for number in range(5)]
    assert first.masks == ((masks[1],), (masks[1], masks[2]))
    assert (first.kind, first.answer) == ("closed", "Yes")
    assert (second.kind, second.modality, second.masks) == ("open", "Dermoscopy", ((masks[3],),))
    assert third.masks == ((masks[4],),)


def test_diagseg_words_are_asked_for_apart_where_the_questions_exist(tmp_path):
    root = fixtures.diagseg(tmp_path)
    records = json.loads((root / "diagseg.json").read_text())
    for record in records:
        record["question"] = record["question"].removesuffix(" Segment it.")
    write(root / "diagseg_vqa.json", records)
    found, _ = read("diagseg", root)
    assert [case.id for case in found] == ["q1", "q2", "q3", "q1/vqa", "q2/vqa", "q3/vqa"]
    assert [case.kind for case in found] == ["outline"] * 3 + ["closed", "open", "open"]
    assert [bool(case.masks) for case in found] == [True] * 3 + [False] * 3
    assert found[3].prompt == "Is there a tumour?"


def test_mecovqa_masks_and_prompts(tmp_path):
    first, second = cases("mecovqa-g", tmp_path)
    assert first.prompt == "Where is the liver? Segmentation result:"
    assert (first.modality, second.modality) == ("CT", "MRI")
    assert first.references((40, 60)).sum() == 20 * 20  # stored as ones


def test_biomedparse_requests(tmp_path):
    found = cases("biomedparse", tmp_path)
    assert [(case.id, case.prompt, case.modality) for case in found] == [
        ("amos/1", "Outline the liver.", "CT"),
        ("amos/2", "Outline the liver.", "CT"),
        ("amos/3", "Outline the right kidney.", "CT"),
        ("polyps/1", "Outline the polyp.", "Endoscopy"),  # from its sentence
    ]


class FakeParquet(types.ModuleType):
    """Stands in for pyarrow.parquet: a table is what its file holds as JSON, pictures as names of files."""

    def read_table(self, path):
        rows = json.loads(path.read_text())
        for row in rows:
            for key, value in row.items():
                if key.startswith("image") and value:
                    row[key] = {"bytes": (path.parent / value).read_bytes(), "path": value}
        return types.SimpleNamespace(to_pylist=lambda: rows)


def test_parquet_is_read_with_pyarrow_and_its_pictures_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", FakeParquet("pyarrow.parquet"))
    picture(tmp_path / "data" / "a.png", seed=3)
    row = {"image": "a.png", "question": "Is it benign?", "answer": "yes"}
    write(tmp_path / "data" / "test-00000-of-00001.parquet", [row, row])
    found, _ = read("pathvqa", tmp_path)
    assert [case.id for case in found] == ["test-00000-of-00001-0", "test-00000-of-00001-1"]
    assert found[0].images[0].read_bytes() == (tmp_path / "data" / "a.png").read_bytes()
    assert found[0].images[0].is_relative_to(tmp_path / "unpacked")


def test_damaged_parquet_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", FakeParquet("pyarrow.parquet"))
    (tmp_path / "test-0.parquet").write_text("{")
    assert told("pathvqa", tmp_path) == f"'{tmp_path}/test-0.parquet' cannot be read as parquet: copy the file again."


def test_parquet_without_pyarrow_teaches(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "test-0.parquet").touch()
    assert told("pathvqa", tmp_path) == (
        f"'{tmp_path}/test-0.parquet' needs pyarrow to be read: install it with 'pip install pyarrow', or export the "
        "questions as docs/evaluation.md shows."
    )


# What is wrong

SKIP = "; repair it, or leave such records out with --skip-bad."


def test_an_unknown_benchmark():
    with pytest.raises(InputError) as caught:
        benchmark_named("vqarad")
    assert str(caught.value) == (
        "Unknown benchmark 'vqarad': use one of diagseg, mecovqa-g, vqa-rad, slake, pathvqa, omnimedvqa, mmmu-med, "
        "biomedparse."
    )


def test_folders_that_are_not_there_or_not_laid_out(tmp_path):
    assert told("slake", tmp_path / "none") == (
        f"There is no folder '{tmp_path}/none': give the folder of SLAKE with --data."
    )
    assert told("pathvqa", tmp_path) == (
        f"There is no test.json or test.jsonl or **/test-*.parquet in '{tmp_path}': lay the benchmark out as "
        "docs/evaluation.md shows."
    )
    write(tmp_path / "test.json", [])
    assert told("slake", tmp_path) == (
        f"'{tmp_path}' holds no test questions of SLAKE: check that it is the right folder."
    )


def test_json_that_is_none(tmp_path):
    write(tmp_path / "test.json", "x")
    (tmp_path / "test.json").write_text('[{"qid": 1,, }]')
    assert told("slake", tmp_path).startswith(f"Record 0 of '{tmp_path}/test.json' is not valid JSON (")
    assert told("slake", tmp_path).endswith(SKIP)
    (tmp_path / "test.json").write_text("no list")
    assert told("slake", tmp_path) == (
        f"'{tmp_path}/test.json' does not hold a list of records in brackets: check that it is the right file."
    )


def test_a_missing_image_names_file_and_record_and_can_be_skipped(tmp_path):
    root = fixtures.vqa_rad(tmp_path)
    (root / "VQA_RAD Image Folder" / "synpic1.png").unlink()
    listing, missing = root / "VQA_RAD Dataset Public.json", root / "VQA_RAD Image Folder" / "synpic1.png"
    assert told("vqa-rad", root) == f"Record 1 of '{listing}' (id 1): its file '{missing}' is missing{SKIP}"
    found, bad = read("vqa-rad", root, skip_bad=True)
    assert [case.id for case in found] == ["0", "4"]
    assert bad == [
        f"Record {number} of '{listing}' (id {number}): its file '{missing}' is missing." for number in (1, 2)
    ]


def test_a_missing_mask(tmp_path):
    root = fixtures.biomedparse(tmp_path)
    (root / "amos" / "test_mask" / "slice2_CT_abdomen_liver.png").unlink()
    assert told("biomedparse", root) == (
        f"Record 1 of '{root}/amos/test.json' (id 2): its file "
        f"'{root}/amos/test_mask/slice2_CT_abdomen_liver.png' is missing{SKIP}"
    )


@pytest.mark.parametrize(
    ("name", "file", "fields", "fault"),
    [
        ("slake", "test.json", {"answer": None}, "its field 'answer' is None where a text is expected"),
        ("slake", "test.json", {"question": " "}, "its field 'question' is ' ' where a text is expected"),
        ("slake", "test.json", {"answer_type": "MAYBE"}, "its answer_type is 'MAYBE' where OPEN or CLOSED is expected"),
        (
            "omnimedvqa", "QA_information/Open-access/Modality_X-Ray.json", {"gt_answer": "PET"},
            "its answer 'PET' is none of its options ['CT', 'X-ray', 'MRI', 'Ultrasound']",
        ),
        ("mmmu-med", "validation.json", {"options": "['a'"}, "its options \"['a'\" are not a list of texts"),
        ("mmmu-med", "validation.json", {"options": [1]}, "its options [1] are not a list of texts"),
        (
            "mmmu-med", "validation.json", {"answer": "D"},
            "its answer 'D' is not the letter of one of its 3 options",
        ),
        ("mmmu-med", "validation.json", {"image_1": None, "image_2": None}, "it has no image_1"),
        ("diagseg", "diagseg.json", {"mask_ids": [9]}, "its mask 9 is not among the masks 1, 2, 3, 4"),
        ("diagseg", "diagseg.json", {"mask_ids": 9}, "its field 'mask_ids' is 9 where a list is expected"),
        ("diagseg", "diagseg.json", {"masks": [7]}, "its masks are [7] where pairs of id and path are expected"),
        (
            "mecovqa-g", "MeCoVQA_Grounding_test.json",
            {"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "none"}]},
            "no answer of it names a mask as '<mask>FILE</mask>'",
        ),
        (
            "mecovqa-g", "MeCoVQA_Grounding_test.json",
            {"conversations": [{"from": "human"}, {"from": "gpt", "value": "<mask>x</mask>"}]},
            "no text under 'value'",
        ),
        ("mecovqa-g", "MeCoVQA_Grounding_test.json", {"image": "../secret.png"}, "does not stay inside"),
    ],
)  # fmt: skip
def test_bad_records(tmp_path, name, file, fields, fault):
    root = BUILDERS[name](tmp_path)
    change(root / file, 0, **fields)
    sentence = told(name, root)
    assert sentence.startswith(f"Record 0 of '{root / file}'")
    assert fault in sentence
    assert sentence.endswith(SKIP)
    _, bad = read(name, root, skip_bad=True)
    assert len(bad) == 1


def test_a_target_without_a_name(tmp_path):
    root = fixtures.biomedparse(tmp_path)
    listed = json.loads((root / "polyps" / "test.json").read_text())
    listed["annotations"][0]["sentences"] = []
    write(root / "polyps" / "test.json", listed)
    assert "neither its mask file 'frame_Endoscope_colon' nor its sentences say what is outlined" in told(
        "biomedparse", root
    )


def test_an_id_that_is_there_twice(tmp_path):
    root = fixtures.slake(tmp_path)
    change(root / "test.json", 2, qid=11)
    assert told("slake", root) == (f"Record 2 of '{root}/test.json' (id 11): another record has its id '11'{SKIP}")


def test_masks_of_a_skipped_record_are_not_asked_for(tmp_path):
    root = fixtures.diagseg(tmp_path)
    mask(root / "masks" / "9.png", None)
    (root / "masks" / "3.png").unlink()
    found, bad = read("diagseg", root, skip_bad=True)
    assert [case.id for case in found] == ["q1", "q3"]
    assert len(bad) == 1


def test_a_missing_file_is_of_the_type_for_it(tmp_path):
    with pytest.raises(NotFoundError):
        read("slake", tmp_path)
