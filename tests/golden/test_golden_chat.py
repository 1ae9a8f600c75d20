"""The bytes of a conversation and the place of its images against the reference (model-spec section 10, test 7)."""

import pytest
import torch
from reference.chat import IMAGE, expanded_position, image_tokens, splice, turns
from reference.official_names import projector_names
from reference.seeding import seed_every_parameter
from tiny_model import tiny_config, tiny_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import IMAGE_SENTINEL
from medsight_core.model.processor import MedSightProcessor

HISTORY = [("\nOutline the liver.", "The liver is segmented as [M0_16].")]
QUESTION = "And the spleen?"
ASSISTANT = "<|im_start|>assistant\n"  # the header that the official model writes itself (section 12, "prompt")


def joining_tokenizer(code_tokens: list[str]) -> PreTrainedTokenizerFast:
    """A byte tokenizer that joins two newlines, as real ones do: a cut in the wrong place then changes the ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate([*alphabet, "ĊĊ"])}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[("Ċ", "Ċ")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.add_tokens(code_tokens)
    return tokenizer


@pytest.fixture(scope="module")
def processor() -> MedSightProcessor:
    config = tiny_config(first_code_token=259)
    return MedSightProcessor(config, joining_tokenizer(config.codebook_config.code_tokens))


def tokenise(tokenizer, text: str) -> list[int]:
    """Ids of one turn; the image marker is cut out first, as the throw-away tokenizer of the document does."""
    ids: list[int] = []
    for index, piece in enumerate(text.split("<image>")):
        ids += [IMAGE] * (index > 0) + (tokenizer(piece, add_special_tokens=False)["input_ids"] if piece else [])
    return ids


def reference_ids(tokenizer, images: int = 1) -> list[int]:
    return [token for turn in turns(QUESTION, HISTORY, images) for token in tokenise(tokenizer, turn)]


def test_the_reference_conversation_is_the_one_of_the_document():
    assert "".join(turns(QUESTION, HISTORY)) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<image>\n\nOutline the liver.<|im_end|>\n"
        "<|im_start|>assistant\nThe liver is segmented as [M0_16].<|im_end|>\n"
        "<|im_start|>user\nAnd the spleen?<|im_end|>\n"
    )


@pytest.mark.parametrize("images", [1, 3])
def test_a_conversation_has_the_ids_of_the_document(processor, images):
    ours = processor.prompt_ids(QUESTION, HISTORY, num_images=images)
    assert IMAGE_SENTINEL == IMAGE
    joined = processor.tokenizer.convert_tokens_to_ids("ĊĊ")
    assert joined in ours, "the example must tell a cut inside a turn"
    assert ours == reference_ids(processor.tokenizer, images) + tokenise(processor.tokenizer, ASSISTANT)
    assert ours.count(259 + 16) == 1  # [M0_16]


def test_code_tokens_survive_skipping_special_tokens_and_keep_their_blank(processor):
    ids = tokenise(processor.tokenizer, "as [M17_31].")
    assert ids[-2] == 259 + 32 * 17 + 31
    assert processor.tokenizer.convert_ids_to_tokens(ids[-3]) == "Ġ"
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == "as [M17_31]."


@pytest.mark.parametrize("images", [1, 2])
@torch.no_grad()
def test_images_stand_in_their_slots(images):
    model, processor = tiny_model()
    seed_every_parameter(model, seed=40)
    features = model.encode(torch.randn(images, 3, 56, 56, generator=torch.Generator().manual_seed(41)))
    tokens = model.image_tokens(features)
    expected_tokens = image_tokens(projector_names(model.state_dict()), features.patches, features.regions)
    torch.testing.assert_close(tokens, expected_tokens, atol=1e-5, rtol=0.0)

    ids = processor.prompt_ids(QUESTION, HISTORY, num_images=images)
    table, per_image = model.language.model.embed_tokens.weight, model.config.num_image_tokens
    ours = model.splice(ids, tokens)
    assert len(ours) == len(ids) - images + per_image * images
    assert torch.equal(ours[None], splice(table, ids, list(tokens)))
    for index in range(len(ids)):
        if ids[index] != IMAGE:
            assert torch.equal(ours[expanded_position(ids, index, per_image)], table[ids[index]])


def test_the_official_image_fills_596_positions_and_codes_follow_the_vocabulary():
    config = MedSightConfig()
    assert config.num_image_tokens == 576 + 20
    assert expanded_position([1, IMAGE, 2, 3], 3, config.num_image_tokens) == 3 + 595
    assert config.first_code_token == 151_669
    assert len(config.codebook_config.code_tokens) == 576
    assert config.codebook_config.code_tokens[32 * 5 + 7] == "[M5_7]"
    text = config.text_config
    assert text.vocab_size == 152_245
    assert (text.rope_parameters["rope_theta"], text.rms_norm_eps, text.tie_word_embeddings) == (1e6, 1e-6, False)
