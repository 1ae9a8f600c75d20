"""What the authors' files become, layout by layout, and which sentence answers what does not fit."""

import argparse
import json
from dataclasses import replace

import pytest
import torch
from official_checkpoints import OVERRIDES, save_clip, save_shards, vision_state, write_official
from safetensors.torch import load_file

from medsight_core.errors import InputError, ModelError
from medsight_core.model.official.sources import NO_CODEBOOK, PAPER_TIME, PROJECTED_ONLY, Sources, prepare

PREFIX = "model.vision_tower.vision_tower."


@pytest.fixture
def official(tmp_path):
    return write_official(tmp_path)


def sources(official):
    return Sources(official.llm, official.perceiver, official.vision, official.codebook)


def prepared(official, **changes):
    return prepare(replace(sources(official), **changes), overrides=OVERRIDES)


def language_tensors(official):
    return {name: tensor for shard in official.llm.glob("*.safetensors") for name, tensor in load_file(shard).items()}


def rewrite(official, file, change):
    """Let ``change`` work on the tensors of one of the files, and save it as it was."""
    if file == "llm":
        tensors = language_tensors(official)
        change(tensors)
        save_shards(official.llm, tensors)
        return official.llm
    path = getattr(official, file)
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path, weights_only=True)
    state = content["state_dict" if file == "vision" else "model"]
    change(state)
    torch.save(content, path)
    return path


def refusal(kind, act, *arguments, **named):
    with pytest.raises(kind) as caught:
        act(*arguments, **named)
    return str(caught.value)


def assert_makes(prepared, model, leave_out=()):
    """Every tensor comes out as in ``model``."""
    assert prepared.conversion.faults == []
    for name, tensor in model.state_dict().items():
        if not name.startswith(tuple(leave_out)):
            assert torch.equal(prepared.conversion.make(name, torch.float32), tensor), name


# layouts


def test_the_final_layout(official):
    ready = prepared(official)
    assert_makes(ready, official.model)
    assert ready.steps == {official.perceiver: 79280, official.codebook: 35673}
    assert ready.notes == ()
    assert (ready.config.first_code_token, ready.config.vision_layer) == (258, -1)


def test_the_stage_4_layout_takes_the_codes_from_their_own_table(tmp_path):
    official = write_official(tmp_path, "stage-4")
    assert_makes(prepared(official), official.model)


def test_the_paper_time_layout_brings_the_visual_side(tmp_path):
    official = write_official(tmp_path, "paper-time", vision_layer=-2)
    ready = prepared(official, vision=None, perceiver=None)
    assert_makes(ready, official.model)
    assert ready.notes == (PAPER_TIME,)
    assert prepare(ready.sources, layer=-1, overrides=OVERRIDES).notes == ()


def test_files_go_before_what_a_paper_time_folder_brings(tmp_path):
    old, new = write_official(tmp_path / "a", "paper-time"), write_official(tmp_path / "b", seed=1)
    ready = prepared(old, vision=new.vision, perceiver=None)
    assert ready.conversion.faults == []
    name = "vision.encoder.layers.1.mlp.fc1.weight"
    assert torch.equal(ready.conversion.make(name, torch.float32), new.model.state_dict()[name])
    name = "perceiver.stages.2.upsample_conv.weight"
    assert torch.equal(ready.conversion.make(name, torch.float32), old.model.state_dict()[name])
    reasons = {one.key: one.reason for one in ready.conversion.dropped}
    assert reasons[f"{PREFIX}image_encoder.class_embedding"] == "the file of --vision is used"
    assert f"{PREFIX}region_perceiver.region_queries" not in reasons


def test_without_a_codebook_it_is_new_and_always_the_same(official):
    first, second = (prepared(official, codebook=None) for _ in range(2))
    assert_makes(first, official.model, leave_out=["codebook."])
    assert first.notes == (NO_CODEBOOK,)
    for name in (name for name in first.conversion.shapes if name.startswith("codebook.")):
        one, other = (ready.conversion.make(name, torch.float32) for ready in (first, second))
        assert torch.equal(one, other), name
    assert first.conversion.make("codebook.tables", torch.float32).abs().max() <= 1 / 32


def test_a_new_codebook_leaves_the_random_numbers_of_others_alone(official):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    prepared(official, codebook=None)
    assert torch.equal(torch.rand(3), expected)


def test_a_projected_codebook_is_looked_at_and_left_out(official):
    ready = prepared(official, codebook=official.projected)
    assert_makes(ready, official.model, leave_out=["codebook."])
    assert ready.notes == (PROJECTED_ONLY,)
    assert [one.key for one in ready.conversion.dropped if one.source == official.projected] == ["projected_codebook"]
    torch.save(torch.zeros(576, 31), official.projected)
    assert refusal(ModelError, prepared, official, codebook=official.projected) == (
        f"The tensor in {official.projected} is (576, 31), a projected codebook is (576, 32): give another file."
    )


def test_the_tower_is_taken_from_a_file_of_another_grid(official):
    visual = vision_state(official.model.state_dict())
    visual["visual.positional_embedding"] = torch.randn(1 + 36, 32)
    save_clip(official.vision, visual)
    assert prepared(official).conversion.faults == []
    visual["visual.positional_embedding"] = torch.randn(1 + 35, 32)
    save_clip(official.vision, visual)
    assert refusal(ModelError, prepared(official).conversion.check).startswith(
        f"'visual.positional_embedding' in {official.vision} is 36 x 32 where 17 x 32 is needed: "
    )


def test_counters_and_duplicates_of_a_whole_stage_2_state_are_left_out(official):
    def change(state):
        state["region_perceiver.quantizer.codebooks.0.embedding.weight"] = torch.zeros(32, 8)
        state["quantizer.codebooks.0.ema_usage"] = torch.zeros(32)

    rewrite(official, "codebook", change)
    assert_makes(prepared(official), official.model)


# what does not fit


@pytest.mark.parametrize(
    ("file", "key", "near"),
    [
        ("perceiver", "region_perceiver.region_queries", "region_perceiver.bi_blocks.2.ff_region_norm.bias"),
        ("perceiver", "region_perceiver.conv_adapters.2.conv.bias", "region_perceiver.conv_adapters.1.conv.bias"),
        (
            "perceiver",
            "region_perceiver.bi_blocks.2.ff_image.3.weight",
            "region_perceiver.bi_blocks.2.ff_image.1.weight",
        ),
        ("perceiver", "region_perceiver.init_cross_attn.to_q.weight", "region_perceiver.init_cross_attn.to_kv.weight"),
        ("codebook", "quantizer.codebooks.0.embedding.weight", "quantizer.codebooks.10.embedding.weight"),
        ("codebook", "modality_predictor.bias", "modality_predictor.weight"),
        ("llm", "model.layers.1.self_attn.q_norm.weight", "model.layers.1.self_attn.k_norm.weight"),
        ("llm", "model.token_projection.2.bias", "model.token_projection.0.bias"),
        ("llm", "lm_head.weight", "model.norm.weight"),
        ("llm", "model.embed_tokens.weight", "model.norm.weight"),
    ],
)
def test_a_missing_tensor_is_named(official, file, key, near):
    path = rewrite(official, file, lambda state: state.pop(key))
    sentence = refusal(ModelError, prepared(official).conversion.check)
    assert sentence.startswith(f"{path} lacks {key!r} (the nearest name is {near!r}): use the authors' complete file.")


@pytest.mark.parametrize("key", ["visual.conv1.weight", "visual.positional_embedding", "visual.ln_post.bias"])
def test_a_missing_tensor_of_the_tower_is_named(official, key):
    rewrite(official, "vision", lambda state: state.pop(f"module.{key}"))
    assert refusal(ModelError, prepared(official).conversion.check).startswith(
        f"{official.vision} lacks {key!r} (the nearest "
    )


@pytest.mark.parametrize(
    ("file", "key", "near"),
    [
        ("perceiver", "region_perceiver.region_querys", "region_perceiver.region_queries"),
        ("vision", "visual.ln_pots.weight", "visual.ln_post.weight"),
        ("codebook", "modality_predictor.weights", "modality_predictor.weight"),
        ("llm", "model.region_mm_projector.0.weight", "model.mm_projector.0.weight"),
    ],
)
def test_an_unexpected_tensor_is_named(official, file, key, near):
    path = rewrite(official, file, lambda state: state.update({key: torch.ones(1)}))
    sentence = refusal(ModelError, prepared(official).conversion.check)
    assert sentence.startswith(str(path))
    assert sentence.endswith(
        f" holds {key!r}, which MedSIGHT does not know (the nearest name is {near!r}): use the authors' unchanged file."
    )


def test_a_renamed_tensor_is_the_nearest_to_the_missing_one(official):
    def rename(state):
        state["region_perceiver.region_query"] = state.pop("region_perceiver.region_queries")

    rewrite(official, "perceiver", rename)
    conversion = prepared(official).conversion
    assert [fault.kind for fault in conversion.faults] == ["missing", "unexpected"]
    assert refusal(ModelError, conversion.check) == (
        f"{official.perceiver} lacks 'region_perceiver.region_queries' (the nearest name is "
        "'region_perceiver.region_query'): use the authors' complete file. (2 tensors are wrong; --dry-run "
        "lists them all.)"
    )


def test_a_wrong_shape_is_named(official):
    key = "model.layers.0.mlp.down_proj.weight"
    rewrite(official, "llm", lambda state: state.update({key: torch.ones(32, 63)}))
    sentence = refusal(ModelError, prepared(official).conversion.check)
    assert sentence.startswith(f"{key!r} in {official.llm}/model-0000")
    assert sentence.endswith(
        ".safetensors is 32 x 63 where 32 x 64 is needed: use files that belong together, or give sizes that are not "
        "the official ones with --size-overrides."
    )


def test_the_codebooks_file_is_no_perceiver(official):
    faults = prepared(official, perceiver=official.codebook).conversion.faults
    assert {"missing", "unexpected"} <= {fault.kind for fault in faults}


def test_a_folder_without_the_visual_side_needs_its_files(official):
    assert refusal(InputError, prepared, official, vision=None) == (
        f"{official.llm} holds no {PREFIX}image_encoder.* as the paper's checkpoints do: give the file with --vision."
    )
    assert refusal(InputError, prepared, official, perceiver=None) == (
        f"{official.llm} holds no {PREFIX}region_perceiver.* as the paper's checkpoints do: give the file with "
        "--perceiver."
    )


def test_a_converted_folder_is_not_converted_again(official):
    (official.llm / "config.json").write_text(json.dumps({"model_type": "medsight"}))
    assert refusal(InputError, prepared, official) == (
        f"{official.llm} is a converted model already: give the authors' folder."
    )


def test_options_that_do_not_exist(official):
    assert refusal(InputError, prepare, sources(official), code_state="next") == (
        "The code state 'next' does not exist: use own or previous."
    )
    for overrides, what in (({"vision": {}}, "'vision' as {}"), ({"vision_config": 3}, "'vision_config' as 3")):
        assert refusal(InputError, prepare, sources(official), overrides=overrides) == (
            f"The size overrides have {what}: use vision_config, perceiver_config, codebook_config, text_config, each "
            "an object of sizes."
        )
    assert refusal(InputError, prepare, sources(official), layer=-4, overrides=OVERRIDES) == (
        "The tower has 2 layers and none is -4: use --vision-layer -2 or -1."
    )
    odd = {**OVERRIDES, "vision_config": {"num_attention_heads": 3, "image_size": 56}}
    assert refusal(ModelError, prepare, sources(official), overrides=odd).startswith(
        "These sizes make no clip_vision_model ("
    )


# the tokenizer


def test_a_tokenizer_from_another_folder(official, tmp_path):
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for file in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"):
        (official.llm / file).rename(folder / file)
    assert refusal(InputError, prepared, official) == (
        f"There is no tokenizer_config.json in {official.llm}: give the tokenizer's folder with --tokenizer."
    )
    ids = prepared(official, tokenizer=folder).processor.prompt_ids("Liver [M0_16]?")
    assert 258 + 16 in ids


def test_a_damaged_tokenizer(official):
    (official.llm / "tokenizer_config.json").write_text("{")
    assert refusal(ModelError, prepared, official) == (
        f"No usable tokenizer in {official.llm}: give its folder with --tokenizer."
    )


def test_a_tokenizer_without_codes(official):
    config = json.loads((official.llm / "tokenizer_config.json").read_text())
    config["added_tokens_decoder"] = {key: config["added_tokens_decoder"][key] for key in ("256", "257")}
    (official.llm / "tokenizer_config.json").write_text(json.dumps(config))
    (official.llm / "added_tokens.json").unlink()
    assert refusal(ModelError, prepared, official) == (
        f"The tokenizer in {official.llm} has [M0_0] at None and [M17_31] at None, where 576 ids in a row below 834 "
        "are needed: give the tokenizer of these weights with --tokenizer."
    )


def test_a_tokenizer_whose_codes_lie_beyond_the_vocabulary(official):
    rewrite(official, "llm", lambda state: state.update({"model.embed_tokens.weight": torch.ones(800, 32)}))
    content = json.loads((official.llm / "config.json").read_text())
    (official.llm / "config.json").write_text(json.dumps({**content, "vocab_size": 800}))
    assert refusal(ModelError, prepared, official).startswith(
        f"The tokenizer in {official.llm} has [M0_0] at 258 and [M17_31] at 833, where 576 ids in a row below 800 are "
    )


def test_a_tokenizer_with_the_codes_in_another_order(official):
    for file in ("added_tokens.json", "tokenizer_config.json"):
        text = (official.llm / file).read_text()
        text = text.replace("[M0_1]", "[X]").replace("[M0_2]", "[M0_1]").replace("[X]", "[M0_2]")
        (official.llm / file).write_text(text)
    assert refusal(ModelError, prepared, official).startswith(f"The tokenizer in {official.llm} has [M0_0] at 258 and ")
