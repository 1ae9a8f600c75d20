"""Every fault that a training set can have is found and named, and the figures are right."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from tiny_model import tiny_config, tiny_tokenizer
from training_sets import grounded_record, write_labelled, write_meta, write_picture, write_records

from medsight_core.data.check import Fault, check_biomedparse, check_conversations, holds_labelled_images
from medsight_core.data.records import Conversations
from medsight_core.errors import InputError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.processor import MedSightProcessor


@pytest.fixture
def labelled(tmp_path):
    return write_labelled(tmp_path, count=4)


@pytest.fixture
def record(tmp_path):
    return grounded_record(tmp_path)


def processor(**overrides) -> MedSightProcessor:
    config = tiny_config(**overrides)
    return MedSightProcessor(config, tiny_tokenizer(config.codebook_config.code_tokens))


def overwrite(path, values) -> None:
    Image.fromarray(np.asarray(values)).save(path)


def test_a_sound_set_has_no_faults_and_its_figures_are_right(tmp_path, labelled):
    write_labelled(tmp_path, "wide", count=2)
    write_picture(tmp_path / "wide/train/0001_CT_abdomen.png", shape=(40, 80))
    # Columns 20 to 60 are seen: half of this mask, which covers a tenth of the picture.
    write_picture(tmp_path / "wide/train_mask/0001_CT_abdomen_right+kidney.png", (40, 80), (0, 16, 40, 24))
    calls: list[tuple[int, int]] = []
    report = check_biomedparse(write_meta(tmp_path, {"phantoms": 0, "wide": 5}), lambda *done: calls.append(done))
    assert report.bad == []
    assert calls == [(n, 6) for n in range(1, 7)]
    assert (report.kind, report.total, report.records, report.without_masks) == ("images", 6, 6, 2)
    assert (len(report.images), len(report.masks), report.non_square) == (6, 6, 1)
    assert report.masks_by_modality == {0: 5, 5: 1}
    assert report.mask_areas((0.0, 1.0)) == pytest.approx([0.1, 0.125])
    assert report.hidden_masks == 0
    assert report.hidden_area == pytest.approx(0.05 / (5 * 0.125 + 0.1))


def test_masks_that_the_crop_leaves_out_are_counted(tmp_path, labelled):
    write_picture(tmp_path / "phantoms/train/0001_CT_abdomen.png", shape=(40, 80))
    write_picture(tmp_path / "phantoms/train_mask/0001_CT_abdomen_right+kidney.png", (40, 80), (0, 0, 40, 20))
    report = check_biomedparse(labelled)
    assert (report.bad, report.hidden_masks) == ([], 1)


def test_every_fault_of_labelled_images_is_named(tmp_path, labelled):
    folder = tmp_path / "phantoms"
    image, masks = folder / "train/0003_CT_abdomen.png", folder / "train_mask"
    overwrite(folder / "train/0000_CT_abdomen.png", np.full((64, 64), 4000, np.uint16))
    overwrite(masks / "0001_CT_abdomen_right+kidney.png", np.eye(64, dtype=np.uint8))
    (masks / "0002_CT_abdomen_liver.png").write_bytes(b"")
    overwrite(masks / "0002_CT_abdomen_right+kidney.png", np.full((32, 64), 255, np.uint8))
    image.unlink()
    assert check_biomedparse(labelled).bad == [
        Fault(
            "record 0 (phantoms/0000_CT_abdomen)",
            f"'{folder}/train/0000_CT_abdomen.png' has more than 8 bits a value (mode I;16): window it to 8 bits "
            "first.",
        ),
        Fault(
            "record 1 (phantoms/0001_CT_abdomen)",
            f"'{masks}/0001_CT_abdomen_right+kidney.png' holds nothing above 127, its brightest value is 1: store 255 "
            "inside the target, or leave the mask out.",
        ),
        Fault(
            "record 2 (phantoms/0002_CT_abdomen)",
            f"'{masks}/0002_CT_abdomen_liver.png' cannot be read as a picture: it is damaged or not one of PNG, JPEG, "
            "BMP, TIFF, GIF, WEBP.",
        ),
        Fault(
            "record 2 (phantoms/0002_CT_abdomen)",
            f"'{masks}/0002_CT_abdomen_right+kidney.png' has 64 x 32 pixels and its image 64 x 64: make them equally "
            "large.",
        ),
        Fault("record 3 (phantoms/0003_CT_abdomen)", f"There is no image '{image}': check the path."),
    ]


def test_a_record_that_cannot_be_parsed_does_not_end_the_check(tmp_path, labelled):
    path = tmp_path / "phantoms/train.json"
    lists = json.loads(path.read_text())
    lists["annotations"][-1]["category_id"] = 99
    path.write_text(json.dumps(lists))
    report = check_biomedparse(labelled)
    assert report.records == 4
    assert report.bad == [
        Fault(
            "record 1",
            f"Annotation 0 of '{path}' has the category 99, which is not in its list of categories: add it there.",
        )
    ]


def test_modalities_and_classes_are_held_against_the_model(tmp_path, labelled):
    assert check_biomedparse(labelled, config=tiny_config()).bad == []
    config = MedSightConfig(perceiver_config={"num_classes": 3})
    meta = write_meta(tmp_path, {"phantoms": 18})
    where = [f"record {n} (phantoms/000{n}_CT_abdomen)" for n in range(4)]
    modality = "Its modality is 18: use 0 to 17."
    assert [fault for fault in check_biomedparse(meta).bad] == [Fault(w, modality) for w in where]
    kidney = tmp_path / "phantoms/train_mask/0001_CT_abdomen_right+kidney.png"
    assert check_biomedparse(meta, config=config).bad[1:3] == [
        Fault(where[1], modality),
        Fault(
            where[1], f"'{kidney}' has the category 3 and the model 3 classes, 0 to 2: start from a model with more."
        ),
    ]


def test_a_limit_spreads_over_the_set(tmp_path):
    meta = write_labelled(tmp_path, count=9)
    (tmp_path / "phantoms/train/0008_CT_abdomen.png").unlink()
    report = check_biomedparse(meta, limit=3)
    assert (report.total, report.records, len(report.images)) == (9, 3, 2)
    assert [fault.where for fault in report.bad] == ["record 8 (phantoms/0008_CT_abdomen)"]
    assert check_biomedparse(meta, limit=100).records == 9


def test_a_sound_file_of_conversations_has_no_faults_and_its_figures_are_right(tmp_path, record):
    text = {"conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Hello."}]}
    path = write_records(tmp_path / "records.jsonl", [record, text, record])
    report = check_conversations(path)
    assert report.bad == []
    assert (report.kind, report.records, report.without_images, report.without_masks) == ("conversations", 3, 1, 1)
    assert (len(report.images), len(report.masks)) == (1, 2)
    assert report.codes == {"M0_16": 2, "M0_7": 2}
    assert report.masks_by_modality == {0: 4}
    assert report.longest is None


def test_files_start_from_the_root_that_is_given(tmp_path, record):
    (tmp_path / "lists").mkdir()
    path = write_records(tmp_path / "lists" / "records.json", [record])
    assert len(check_conversations(path).bad) == 3
    assert check_conversations(path, root=tmp_path).bad == []


def faults(tmp_path, record, **options) -> list[str]:
    report = check_conversations(write_records(tmp_path / "records.json", [record]), **options)
    assert {fault.where for fault in report.bad} <= {"record 0 (ct-000123)", "record 0"}
    return [fault.reason for fault in report.bad]


def test_masks_and_codes_that_do_not_pair_are_named(tmp_path, record):
    record["mask_orders"] = [871]
    assert faults(tmp_path, record) == [
        f"Record 0 of '{tmp_path / 'records.json'}': 'ct-000123' has 2 region codes (M0_16, M0_7) and 1 masks: list "
        "one mask a code in mask_orders, in the order of the text."
    ]


def test_masks_in_another_order_than_the_text_are_named(tmp_path, record):
    record["mask_orders"] = [874, 871]
    assert faults(tmp_path, record) == [
        f"Mask {mask} stands for [{text}] in the text and for [{stored}] in mask_codes: put mask_orders in the order "
        "of the text."
        for mask, text, stored in ((874, "M0_16", "M0_7"), (871, "M0_7", "M0_16"))
    ]
    del record["mask_codes"]
    assert faults(tmp_path, record) == []


def test_codes_outside_the_codebook_are_named(tmp_path, record):
    record["mask_codes"] = None
    record["conversations"][3]["value"] = "Liver: [M18_0]; spleen: [M0_32]."
    exists = "codes go from [M0_0] to [M17_31]."
    assert faults(tmp_path, record) == [f"Its code [{code}] does not exist: {exists}" for code in ("M18_0", "M0_32")]
    record["conversations"][3]["value"] = "Liver: [M1_0]; spleen: [M0_31]."
    assert faults(tmp_path, record) == []
    small = processor(codebook_config={"num_modalities": 1, "num_codes": 32, "code_dim": 8})
    expected = "Its code [M1_0] does not exist: codes go from [M0_0] to [M0_31]."
    assert faults(tmp_path, record, processor=small) == [expected]


def test_regions_on_several_images_are_named(tmp_path, record):
    record["image"] = ["ct/slice88.png", "ct/slice88.png"]
    assert faults(tmp_path, record) == ["It has 2 images and region codes: outline on one image a record."]


def test_a_code_whose_files_are_all_empty_is_named(tmp_path, record):
    overwrite(tmp_path / "ct_mask/spleen.png", np.zeros((64, 64), np.uint8))
    empty = f"'{tmp_path}/ct_mask/spleen.png' holds nothing above 127, its brightest value is 0: store 255 inside the "
    assert faults(tmp_path, record) == [empty + "target, or leave the mask out."]
    record["mask_files"]["874"] = ["ct_mask/spleen.png", "ct_mask/liver.png"]
    assert faults(tmp_path, record) == []


def test_an_image_that_is_missing_or_deep_is_named(tmp_path, record):
    overwrite(tmp_path / "ct/slice88.png", np.zeros((64, 64), np.uint16))
    deep = f"'{tmp_path}/ct/slice88.png' has more than 8 bits a value (mode I;16): window it to 8 bits first."
    assert faults(tmp_path, record) == [deep]
    record["image"] = "ct/none.png"
    assert faults(tmp_path, record) == [f"There is no image '{tmp_path}/ct/none.png': check the path."]


def test_what_the_length_limit_would_cut_is_named(tmp_path, record):
    processing = processor()
    path = write_records(tmp_path / "records.json", [record])
    conversation = Conversations(path)[0]
    ids = processing.prompt_start()
    for turn, images in zip(conversation.turns, (1, 0)):
        ids += processing.question_ids(turn.question, images) + processing.answer_ids(turn.answer)
    length = len(ids) - 1 + processing.config.num_image_tokens
    to_last_code = length - len(processing.tokenizer(".<|im_end|>\n")["input_ids"])

    assert check_conversations(path, processor=processing).longest == length
    assert faults(tmp_path, record, processor=processing, max_length=to_last_code) == []
    assert faults(tmp_path, record, processor=processing, max_length=to_last_code - 1) == [
        f"It is {length} tokens long and the limit is {to_last_code - 1}, which would cut its image or codes: shorten "
        "it or raise --max-length."
    ]


def test_the_length_limit_is_never_above_what_the_model_can_read(tmp_path, record):
    text = {**tiny_config().text_config.to_dict(), "max_position_embeddings": 50}
    (reason,) = faults(tmp_path, record, processor=processor(text_config=text))
    assert "the limit is 50, which" in reason


def test_an_empty_file_is_refused(tmp_path):
    path = write_records(tmp_path / "records.json", [])
    with pytest.raises(InputError) as caught:
        check_conversations(path)
    assert str(caught.value) == f"'{path}' holds no conversations: check that it is the right file."


def test_the_kind_of_a_file_is_told_by_its_content(tmp_path, labelled, record):
    assert holds_labelled_images(labelled)
    labelled.write_bytes(b"\xef\xbb\xbf\n" + labelled.read_bytes())
    assert holds_labelled_images(labelled)
    assert not holds_labelled_images(write_records(tmp_path / "a.json", [record]))
    assert not holds_labelled_images(write_records(tmp_path / "a.jsonl", [record]))
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file or directory")):
        with pytest.raises(InputError) as caught:
            holds_labelled_images(path)
        assert str(caught.value) == (
            f"'{path}' cannot be opened ({reason}): give a BiomedParse meta file or a file of conversations."
        )
