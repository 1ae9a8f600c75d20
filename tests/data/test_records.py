"""Records of the published conversation format become conversations, and back; what does not fit is refused by id."""

from __future__ import annotations

import pytest
from training_sets import grounded_record, write_records

from medsight_core.data.records import Conversation, Conversations, Turn, parse_conversation, split_code, to_record
from medsight_core.errors import InputError


@pytest.fixture
def record(tmp_path):
    return grounded_record(tmp_path)


def test_a_grounded_record_is_turns_codes_and_masks(tmp_path, record):
    assert parse_conversation(record, tmp_path) == Conversation(
        id="ct-000123",
        images=(tmp_path / "ct/slice88.png",),
        turns=(
            Turn("We will look at an abdominal CT slice.", "Ready."),
            Turn("Outline the liver and the spleen.", "Liver: [M0_16]; spleen: [M0_7]."),
        ),
        masks=((tmp_path / "ct_mask/liver.png",), (tmp_path / "ct_mask/spleen.png",)),
        codes=("M0_16", "M0_7"),
    )


def test_masks_follow_their_order_and_may_be_unions(tmp_path, record):
    record["mask_orders"] = [874, 871]
    record["mask_files"]["874"] = ["ct_mask/a.png", "ct_mask/b.png"]
    masks = parse_conversation(record, tmp_path).masks
    assert masks == ((tmp_path / "ct_mask/a.png", tmp_path / "ct_mask/b.png"), (tmp_path / "ct_mask/liver.png",))


def test_codes_of_every_turn_count_in_order(tmp_path, record):
    record["conversations"][1]["value"] = "Ready: [M0_1]."
    record["conversations"][2]["value"] = "You showed [M0_1]; and the others?"
    record["mask_orders"] = [871, 871, 871, 874]
    assert parse_conversation(record, tmp_path).codes == ("M0_1", "M0_1", "M0_16", "M0_7")


def test_a_pubmedvision_record_keeps_four_images_and_has_no_masks(tmp_path):
    record = {
        "id": 7,
        "image": [f"images/{n}.jpg" for n in range(6)],
        "conversations": [
            {"from": "human", "value": "<image>\n<image>\nWhat do they show?"},
            {"from": "gpt", "value": " A nodule. "},
        ],
        "mask_files": None,
        "mask_orders": [],
        "modality": "CT",
    }
    conversation = parse_conversation(record, tmp_path)
    assert (conversation.id, len(conversation.images)) == ("7", 4)
    assert conversation.turns == (Turn("What do they show?", " A nodule. "),)
    assert (conversation.masks, conversation.codes) == ((), ())


@pytest.mark.parametrize("image", [None, [], ""])
def test_text_alone_is_a_conversation(tmp_path, record, image):
    record.update(image=image, mask_orders=None, mask_files=None)
    record["conversations"] = record["conversations"][:2]
    assert parse_conversation(record, tmp_path).images == ()


def test_writing_and_reading_give_the_same_conversation(tmp_path, record):
    grounded = parse_conversation(record, tmp_path)
    union = Conversation("u", grounded.images * 2, (Turn("?", "[M1_2]"),), (grounded.masks[0] * 2,), ("M1_2",))
    text = Conversation("t", (), (Turn("Hello?", "Hello."),))
    named = Conversation("n", (), (Turn("?", "[M1_2] [M1_3]"),), ((), ()), ("M1_2", "M1_3"), ("liver", ""))
    for conversation in (grounded, union, text, named):
        assert parse_conversation(to_record(conversation, tmp_path), tmp_path) == conversation
    written = to_record(grounded, tmp_path)
    assert written["image"] == "ct/slice88.png"
    assert written["mask_files"] == {"0": "ct_mask/liver.png", "1": "ct_mask/spleen.png"}
    assert (written["mask_orders"], written["mask_codes"]) == ([0, 1], {"0": "M0_16", "1": "M0_7"})


def test_a_file_outside_the_root_is_not_written(tmp_path, record):
    conversation = parse_conversation(record, tmp_path)
    with pytest.raises(InputError, match="does not stay inside"):
        to_record(conversation, tmp_path / "ct_mask")


@pytest.mark.parametrize("extension", ["json", "jsonl"])
def test_a_file_of_records_is_a_sequence_of_conversations(tmp_path, record, extension):
    plain = {"conversations": [{"from": "user", "value": "Hello?"}, {"from": "assistant", "value": "Hello."}]}
    path = write_records(tmp_path / f"records.{extension}", [record, plain])
    conversations = Conversations(path)
    assert len(conversations) == 2
    assert conversations[0] == parse_conversation(record, tmp_path)
    assert conversations[-1] == Conversation("1", (), (Turn("Hello?", "Hello."),))
    assert list(conversations) == [conversations[0], conversations[1]]
    assert Conversations(path, tmp_path / "elsewhere")[0].images == (tmp_path / "elsewhere/ct/slice88.png",)


def test_a_code_is_split_into_its_numbers():
    assert split_code("M10_27") == (10, 27)


def change(**fields):
    return lambda record: record.update(fields)


TURN = {"from": "human", "value": "?"}


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            change(mask_orders=[871]),
            "'ct-000123' has 2 region codes (M0_16, M0_7) and 1 masks: list one mask a code in mask_orders, in the "
            "order of the text.",
        ),
        (
            lambda record: record["conversations"][3].update(value="Nothing."),
            "'ct-000123' has 0 region codes (none) and 2 masks: list one mask a code in mask_orders, in the order of "
            "the text.",
        ),
        (
            change(mask_files={"871": "a.png"}),
            "'ct-000123' lists the mask 874 and gives no file for it: add it to mask_files.",
        ),
        (
            change(mask_files={"871": "a.png", "874": ""}),
            "'ct-000123' lists the mask 874 and gives no file for it: add it to mask_files.",
        ),
        (
            change(mask_files={"871": 5, "874": "a.png"}),
            "'ct-000123' has 5 in mask_files: give a file name or a list of them.",
        ),
        (change(mask_files=["a.png"]), "'ct-000123' has ['a.png'] in mask_files: give an object of files by mask."),
        (change(mask_orders=871), "'ct-000123' has 871 in mask_orders: give a list of masks."),
        (change(image=[1]), "'ct-000123' has [1] in image: give a file name or a list of them."),
        (change(image="../x.png"), "The file name '../x.png' does not stay inside '{root}': give names relative to "
                                   "this folder."),
        (
            change(conversations=[TURN]),
            "'ct-000123' is not questions and answers by turns: give one answer to each question.",
        ),
        (change(conversations=None), "'ct-000123' is not questions and answers by turns: give one answer to each "
                                     "question."),
        (
            change(conversations=[TURN, TURN]),
            "Message 1 of 'ct-000123' is from 'human': it should be a text from gpt or assistant.",
        ),
        (
            change(conversations=[{"from": "system", "value": "?"}, TURN]),
            "Message 0 of 'ct-000123' is from 'system': it should be a text from human or user.",
        ),
        (
            change(conversations=["?", TURN]),
            "Message 0 of 'ct-000123' is from None: it should be a text from human or user.",
        ),
    ],
)  # fmt: skip
def test_a_record_that_does_not_fit_is_refused_with_its_id(tmp_path, record, spoil, expected):
    spoil(record)
    with pytest.raises(InputError) as caught:
        parse_conversation(record, tmp_path)
    assert str(caught.value) == expected.format(root=tmp_path)
    path = write_records(tmp_path / "records.json", [record])
    with pytest.raises(InputError) as caught:
        Conversations(path)[0]
    assert str(caught.value) == f"Record 0 of '{path}': {expected.format(root=tmp_path)}"
