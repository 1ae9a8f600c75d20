"""The whole model: splicing, generation, code states, decoding, saving."""

import pytest
import torch
from safetensors import safe_open
from tiny_model import tiny_model
from transformers import AutoConfig, AutoModel

from medsight_core.errors import ModelError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import IMAGE_SENTINEL, MedSightModel


@pytest.fixture(scope="module")
def pair():
    return tiny_model()


def test_an_image_fills_its_slot_in_the_prompt(pair):
    model, processor = pair
    ids = processor.prompt_ids("Outline the liver.")
    images = model.image_tokens(model.encode(torch.randn(1, 3, 56, 56)))
    embeds = model.splice(ids, images)
    slot = ids.index(IMAGE_SENTINEL)
    assert len(embeds) == len(ids) - 1 + model.config.num_image_tokens
    assert torch.equal(embeds[slot : slot + len(images[0])], images[0])
    assert torch.equal(embeds[-1], model.get_input_embeddings().weight[ids[-1]])


def test_the_language_model_sees_the_mean_of_each_square_of_patches():
    model, _ = tiny_model(pool_patches=2)
    features = model.encode(torch.randn(1, 3, 56, 56))
    corner = features.patches[:, :2, 2:].mean((1, 2))  # the second square of the first row
    tokens = model.image_tokens(features)
    assert tokens.shape[1] == model.config.num_image_tokens == 4 + 5
    assert torch.allclose(tokens[:, 1], model.image_to_text(corner), atol=1e-5)
    assert torch.allclose(tokens[:, 4:], model.image_to_text(features.regions), atol=1e-5)


def test_several_images_fill_their_slots_in_order(pair):
    model, processor = pair
    ids = processor.prompt_ids("Compare.", num_images=2)
    images = torch.stack([torch.full((3, 32), 1.0), torch.full((3, 32), 2.0)])
    embeds = model.splice(ids, images)
    assert len(embeds) == len(ids) + 4
    assert (embeds == 1.0).all(dim=1).nonzero()[0] < (embeds == 2.0).all(dim=1).nonzero()[0]


def test_slots_and_images_must_agree(pair):
    model, processor = pair
    with pytest.raises(ValueError, match="1 image slots and 2 images"):
        model.splice(processor.prompt_ids("?"), torch.zeros(2, 3, 32))


@pytest.mark.parametrize("code_state", ["own", "previous"])
def test_code_states_come_from_the_position_that_the_switch_names(code_state):
    model, processor = tiny_model(code_state=code_state, max_new_tokens=16)
    features = model.encode(torch.randn(1, 3, 56, 56))
    prompt = processor.prompt_ids("Outline the liver.")
    reply = model.generate(prompt, features, processor.eos_token, max_new_tokens=16)[0]
    assert reply.code_positions, "the seed must make the random model emit codes"
    # One uncached pass over prompt and reply gives the reference.
    embeds = model.splice([*prompt, *reply.ids], model.image_tokens(features))
    _, states = model(embeds[None])
    first = len(embeds) - len(reply.ids)
    shift = 0 if code_state == "own" else -1
    expected = states[0, [first + position + shift for position in reply.code_positions]]
    assert torch.allclose(reply.code_states, expected, atol=1e-4)


def test_generation_is_greedy_and_repeatable(pair):
    model, processor = pair
    features = model.encode(torch.randn(1, 3, 56, 56))
    ids = processor.prompt_ids("Outline the liver.")
    first, second = (model.generate(ids, features, processor.eos_token, max_new_tokens=8)[0] for _ in range(2))
    assert first.ids == second.ids


def test_one_prompt_for_several_images_equals_one_by_one(pair):
    model, processor = pair
    features = model.encode(torch.randn(3, 3, 56, 56))
    ids = processor.prompt_ids("Outline the liver.")
    together = model.generate(ids, features, processor.eos_token, max_new_tokens=8)
    for index in range(3):
        one = type(features)(*(value[index : index + 1] for value in vars(features).values()))
        assert model.generate(ids, one, processor.eos_token, max_new_tokens=8)[0].ids == together[index].ids


def test_what_the_language_model_remembers_of_images_stands_for_them(pair):
    model, processor = pair
    features = model.encode(torch.randn(3, 3, 56, 56))
    ids, other = (processor.prompt_ids(question) for question in ("Outline the liver.", "Is there a spleen? Where?"))
    memory = model.read(ids, features)
    before = memory.clone()
    for asked in (ids, other, ids):
        whole = model.generate(asked, features, processor.eos_token, max_new_tokens=8)
        remembered = model.generate(asked, None, processor.eos_token, max_new_tokens=8, memory=memory)
        assert [reply.ids for reply in remembered] == [reply.ids for reply in whole]
        for one, same in zip(whole, remembered):
            assert torch.allclose(one.code_states, same.code_states, atol=1e-5)
    assert torch.equal(memory, before), "a reply leaves no trace in what is remembered"
    swapped = model.generate(ids, None, processor.eos_token, max_new_tokens=8, memory=memory.flip(0))
    assert [reply.ids for reply in swapped] == [reply.ids for reply in reversed(whole)]


def test_codes_may_be_decoded_jointly_or_one_by_one():
    joint, _ = tiny_model()
    single, _ = tiny_model(decode_jointly=False)
    patches, states = torch.randn(1, 4, 4, 32), torch.randn(1, 3, 32)
    separate = single.decode(patches, states)
    assert separate.masks.shape == joint.decode(patches, states).masks.shape == (1, 3, 32, 32)
    assert torch.allclose(separate.masks[:, 1:2], joint.decode(patches, states[:, 1:2]).masks, atol=1e-5)


def test_save_and_load_give_the_same_model(pair, tmp_path):
    model, _ = pair
    model.save_pretrained(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]
    loaded = AutoModel.from_pretrained(tmp_path)
    assert isinstance(loaded, MedSightModel)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), MedSightConfig)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(model.state_dict())


def test_the_default_configuration_is_the_official_one():
    config = MedSightConfig()
    assert (config.grid, config.mask_size, config.num_image_tokens) == (24, 192, 596)
    assert config.text_config.vocab_size == config.first_code_token + config.num_code_tokens == 152245
    with torch.device("meta"):
        model = MedSightModel(config)
    vision = sum(p.numel() for p in model.vision.parameters())
    assert round(vision / 1e6, 1) == 303.5  # 304.3 M of model-spec section 1 less the unused 1024 x 768 projection
    text = [model.language, model.image_to_text, model.text_to_image]
    assert round(sum(p.numel() for part in text for p in part.parameters()) / 1e9, 3) == 8.235


@pytest.mark.parametrize(("field", "sentence"), [
    ("code_state", "code_state 'x': use one of own, previous"),
    ("presence", "presence 'x': use one of class, mask, detected"),
])  # fmt: skip
def test_a_wrong_switch_is_refused(field, sentence):
    with pytest.raises(ModelError, match=sentence):
        MedSightConfig(**{field: "x"})
