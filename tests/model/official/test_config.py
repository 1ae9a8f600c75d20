"""Their config.json and their shapes as our configuration."""

import pytest
from official_checkpoints import official_json
from tiny_model import tiny_config

from medsight_core.errors import InputError, ModelError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.official.config import (
    codebook_config,
    perceiver_config,
    text_config,
    vision_config,
    vision_layer,
)

OFFICIAL = official_json(tiny_config())


def test_the_language_model_of_their_config_json():
    config = text_config(OFFICIAL, {})
    assert (config.hidden_size, config.num_key_value_heads, config.head_dim, config.vocab_size) == (32, 1, 16, 834)
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 1e6}
    assert config.max_position_embeddings == 40960
    assert config.use_cache, "theirs is off because of training"


def test_rope_parameters_as_newer_versions_write_them():
    rope = {"rope_type": "default", "rope_theta": 5e5}
    official = {name: value for name, value in OFFICIAL.items() if not name.startswith("rope")}
    assert text_config({**official, "rope_parameters": rope}, {}).rope_parameters["rope_theta"] == 5e5


def test_a_config_json_without_a_size():
    official = {name: value for name, value in OFFICIAL.items() if name != "num_key_value_heads"}
    with pytest.raises(ModelError) as caught:
        text_config(official, {})
    assert str(caught.value) == (
        "The official config.json has no 'num_key_value_heads': use the one that came with the weights."
    )


def test_a_config_json_with_an_impossible_size():
    with pytest.raises(ModelError) as caught:
        text_config({**OFFICIAL, "hidden_size": "many"}, {})
    assert str(caught.value).startswith("These sizes make no qwen3 (")
    assert "'hidden_size' expected int, got str" in str(caught.value)
    assert str(caught.value).endswith("): correct config.json, the files or the size overrides.")


def test_shapes_tell_the_sizes_and_overrides_the_rest():
    shapes = {
        "conv1.weight": (128, 3, 16, 16), "transformer.resblocks.0.mlp.c_fc.weight": (300, 128),
        "transformer.resblocks.10.ln_1.bias": (128,),
    }  # fmt: skip
    config = vision_config(shapes, {"image_size": 64})
    found = (config.hidden_size, config.num_attention_heads, config.patch_size, config.intermediate_size)
    assert found == (128, 2, 16, 300)
    assert (config.num_hidden_layers, config.image_size, config.hidden_act) == (11, 64, "quick_gelu")
    shapes = {
        "region_queries": (1, 7, 128), "bi_blocks.1.ff_image.0.bias": (128,), "init_cross_attn.to_q.weight": (192, 128),
        "init_ff.1.weight": (256, 128), "segmentation_cls_head.class_embed.bias": (5,),
    }  # fmt: skip
    config = perceiver_config(shapes, {})
    assert (config.num_queries, config.num_stages, config.num_heads, config.head_dim) == (7, 2, 3, 64)
    assert (config.ffn_ratio, config.num_classes) == (2, 4)
    assert perceiver_config(shapes, {"head_dim": 32}).num_heads == 6
    shapes = {"quantizer.codebooks.0.embedding.weight": (8, 16), "quantizer.codebooks.3.embedding.weight": (8, 16)}
    config = codebook_config(shapes, {})
    assert (config.num_modalities, config.num_codes, config.code_dim) == (4, 8, 16)


def test_without_shapes_it_is_the_official_model():
    official = MedSightConfig()
    assert vision_config({}, {}).to_diff_dict() == official.vision_config.to_diff_dict()
    assert perceiver_config({}, {}).to_diff_dict() == official.perceiver_config.to_diff_dict()
    assert codebook_config({}, {}).to_diff_dict() == official.codebook_config.to_diff_dict()


def test_an_override_that_does_not_exist():
    with pytest.raises(InputError) as caught:
        vision_config({}, {"heads": 2})
    assert str(caught.value) == "The size overrides name 'heads', which clip_vision_model does not have: correct it."


@pytest.mark.parametrize(("theirs", "ours"), [(-1, -1), (-2, -2), (22, 23)])
def test_their_layers_do_not_count_the_embeddings(theirs, ours):
    assert vision_layer({"mm_vision_select_layer": theirs}) == ours


def test_the_layer_of_the_published_model_is_the_default():
    assert vision_layer({}) == -2
