"""Records as tensors: the crop is the image's, batches are ragged, and what does not fit is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tiny_model import tiny_model

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.encoding import IGNORED
from medsight_core.data.records import Conversation, Turn
from medsight_core.errors import InputError
from medsight_core.model.medsight import IMAGE_SENTINEL
from medsight_core.training.datasets import (
    ConversationDataset,
    RegionDataset,
    collate_conversations,
    collate_regions,
    mask_tensor,
)


@pytest.fixture
def processor():
    return tiny_model()[1]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.full((56, 112), 90, np.uint8)).save(path)
    return path


@pytest.fixture
def mask(tmp_path):
    values = np.zeros((56, 112), np.uint8)
    values[:, :56] = 255  # the left half, of which the middle square shows the right half
    path = tmp_path / "mask.png"
    Image.fromarray(values).save(path)
    return path


def test_a_mask_goes_through_the_crop_of_its_image(mask):
    whole = mask_tensor([mask], None, antialias=True)
    assert whole.shape == (56, 56)
    assert whole[:, :28].all()
    assert not whole[:, 28:].any()
    small = mask_tensor([mask], 4, antialias=True)
    assert small.tolist() == [[1, 1, 0, 0]] * 4


def test_several_files_are_one_mask(mask, tmp_path):
    other = tmp_path / "other.png"
    Image.fromarray(255 - np.asarray(Image.open(mask))).save(other)
    assert mask_tensor([mask, other], None, antialias=True).all()


def test_region_samples_and_batches(phantoms, processor):
    data = RegionDataset(BiomedParse(phantoms), processor, target_size=16, antialias=True)
    batch = collate_regions([data[0], data[1]])
    assert batch["pixel_values"].shape == (2, 3, 56, 56)
    assert [len(masks) for masks in batch["masks"]] == [len(data.images[i].masks) for i in (0, 1)]
    assert batch["masks"][0].shape[1:] == (16, 16)
    assert [classes.tolist() for classes in batch["classes"]] == [
        [mask.category for mask in data.images[i].masks] for i in (0, 1)
    ]


def test_an_image_without_masks_is_a_sample(phantoms, processor):
    images = [image for image in BiomedParse(phantoms)]
    bare = type(images[0])("bare", "d", images[0].path, 0, ())
    sample = RegionDataset([bare], processor, 16, antialias=True)[0]
    assert len(sample["masks"]) == len(sample["classes"]) == 0


def test_a_ragged_batch(processor, picture, mask):
    grounded = Conversation("a", (picture,), (Turn("Outline it.", "Here [M0_1]."),), ((mask,),), ("M0_1",))
    words = Conversation("b", (), (Turn("Hello?", "Hello."), Turn("Again?", "Again.")))
    data = ConversationDataset([grounded, words], processor, 2000)
    batch = collate_conversations([data[0], data[1]])
    assert batch["image_counts"].tolist() == [1, 0]
    assert (batch["input_ids"] == IMAGE_SENTINEL).sum(1).tolist() == [processor.config.num_image_tokens, 0]
    assert batch["masks"].shape == (1, 32, 32)
    assert batch["attention_mask"].sum(1).tolist() == [len(data[0]["input_ids"]), len(data[1]["input_ids"])]
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()


def test_official_samples_have_one_slot_for_all_images(processor, picture):
    two = Conversation("a", (picture, picture), (Turn("Compare.", "Alike."),))
    ours, theirs = (ConversationDataset([two], processor, 2000, official)[0] for official in (False, True))
    assert len(ours["input_ids"]) == len(theirs["input_ids"]) + 1  # a newline after each slot

    def slots(sample) -> int:
        inside = sample["input_ids"] == IMAGE_SENTINEL
        return int((inside[1:] & ~inside[:-1]).sum())

    assert (slots(ours), slots(theirs)) == (2, 1)


def test_a_sample_whose_codes_would_be_cut_is_refused_by_name(processor, picture, mask):
    record = Conversation("ct-7", (picture,), (Turn("Outline it." * 20, "Here [M0_1]."),), ((mask,),), ("M0_1",))
    with pytest.raises(InputError, match=r"^Record 'ct-7' is \d+ tokens long and the limit is 100, which would cut"):
        ConversationDataset([record], processor, 100)[0]


def test_codes_that_the_model_does_not_have_are_told(processor, picture, mask):
    record = Conversation("ct-5", (picture,), (Turn("It?", "Here [M77_1]."),), ((mask,),), ("M77_1",))
    with pytest.raises(InputError, match=r"^Record 'ct-5' names codes that the model does not have \(M77_1\): label"):
        ConversationDataset([record], processor, 2000)[0]


def test_a_modality_without_a_table_is_told(phantoms, processor):
    image = BiomedParse(phantoms)[0]
    odd = type(image)("odd", "d", image.path, 18, image.masks)
    with pytest.raises(InputError, match=r"^Image 'odd' has modality 18 and the model knows 0 to 17: correct the meta"):
        RegionDataset([odd], processor, 16, antialias=True)[0]


def test_long_words_after_the_last_code_are_cut(processor, picture):
    record = Conversation("ct-8", (picture,), (Turn("Tell.", "Much. " * 100),))
    assert len(ConversationDataset([record], processor, 200)[0]["input_ids"]) == 200


def test_codes_need_exactly_one_image(processor, picture, mask):
    record = Conversation("ct-9", (picture, picture), (Turn("It?", "Here [M0_1]."),), ((mask,),), ("M0_1",))
    with pytest.raises(InputError, match=r"^Record 'ct-9' has 2 images and region codes: outline on one image a rec"):
        ConversationDataset([record], processor, 2000)[0]


def test_an_unreadable_image_is_an_error_and_no_black_square(processor, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    record = Conversation("x", (tmp_path / "bad.png",), (Turn("What?", "This."),))
    with pytest.raises(InputError, match=r"bad\.png"):
        ConversationDataset([record], processor, 2000)[0]
