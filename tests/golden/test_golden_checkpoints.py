"""The official files at full size, and their way into a model (model-spec section 10, test 9).

The names and shapes are written down from sections 7.1 to 7.4. The files are real ones whose numbers take no room:
safetensors with holes, and ``.pt`` files of meta tensors.
"""

import argparse
import json
import math

import pytest
import torch
from official_checkpoints import OVERRIDES, official_json, save_hollow_shards, write_official, write_tokenizer
from reference.codebook import decode, quantise, unit
from reference.ops import exact
from reference.perceiver import perceive

from medsight_core.model.config import MedSightConfig
from medsight_core.model.loading import load_model
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.official.sources import Sources, prepare
from medsight_core.model.official.write import write

D, H, VOCABULARY = 1024, 4096, 152245


def both(name, weight, bias):
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def norm(name):
    return both(name, (D,), (D,))


def attention(name):
    matrices = {"to_q": (512, D), "to_kv": (D, D), "to_out": (D, 512)}
    return {
        **norm(f"{name}.norm_media"),
        **norm(f"{name}.norm_latents"),
        **{f"{name}.{matrix}.weight": shape for matrix, shape in matrices.items()},
    }


def feed_forward(name):
    return {**norm(f"{name}.0"), f"{name}.1.weight": (4096, D), f"{name}.3.weight": (D, 4096)}


def perceiver_shapes():
    """Section 7.1."""
    shapes = {
        "region_queries": (1, 20, D),
        "region_position_embed.weight": (20, D),
        **attention("init_cross_attn"),
        **norm("init_cross_norm"),
        **norm("init_ff_norm"),
        **feed_forward("init_ff"),
        **both("segmentation_cls_head.proj", (D, D), (D,)),
        **both("segmentation_cls_head.class_embed", (18, D), (18,)),
    }
    for s in range(3):
        shapes |= both(f"conv_adapters.{s}.conv", (D, D, 3, 3), (D,))
        for way in ("region_to_image", "image_to_region"):
            shapes |= attention(f"bi_blocks.{s}.{way}") | norm(f"bi_blocks.{s}.{way}_norm")
        for side in ("region", "image"):
            shapes |= feed_forward(f"bi_blocks.{s}.ff_{side}") | norm(f"bi_blocks.{s}.ff_{side}_norm")
    return {f"region_perceiver.{name}": shape for name, shape in shapes.items()}


def codebook_shapes():
    """Section 7.2."""
    code, head = "region_perceiver.to_code", "region_perceiver.code_decoder.segmentation_cls_head_quant"
    back = "region_perceiver.code_decoder.from_code"
    return {
        **both("modality_predictor", (18, D), (18,)),
        **{f"quantizer.codebooks.{k}.embedding.weight": (32, 64) for k in range(18)},
        **both(f"{code}.0", (D, D), (D,)), **norm(f"{code}.2"),
        **both(f"{code}.3", (64, D), (64,)), **both(f"{code}.5", (64,), (64,)),
        **both(f"{back}.0", (D, 64), (D,)), **norm(f"{back}.2"), **both(f"{back}.3", (D, D), (D,)), **norm(f"{back}.5"),
        **both(f"{head}.proj", (D, D), (D,)), **both(f"{head}.class_embed", (18, D), (18,)),
    }  # fmt: skip


def tower_shapes():
    """Section 1: OpenCLIP's ViT-L/14 at 336 pixels."""
    shapes = {
        "conv1.weight": (D, 3, 14, 14), "class_embedding": (D,), "positional_embedding": (577, D), "proj": (D, 768),
        **norm("ln_pre"), **norm("ln_post"),
    }  # fmt: skip
    for i in range(24):
        block = f"transformer.resblocks.{i}"
        shapes |= norm(f"{block}.ln_1") | norm(f"{block}.ln_2") | both(f"{block}.attn.out_proj", (D, D), (D,))
        shapes |= {f"{block}.attn.in_proj_weight": (3 * D, D), f"{block}.attn.in_proj_bias": (3 * D,)}
        shapes |= both(f"{block}.mlp.c_fc", (4096, D), (4096,)) | both(f"{block}.mlp.c_proj", (D, 4096), (D,))
    return {f"visual.{name}": shape for name, shape in shapes.items()}


def language_shapes():
    """Section 7.4."""
    shapes = {
        "model.embed_tokens.weight": (VOCABULARY, H), "model.norm.weight": (H,), "lm_head.weight": (VOCABULARY, H),
        **both("model.mm_projector.0", (H, D), (H,)), **both("model.mm_projector.2", (H, H), (H,)),
        **both("model.token_projection.0", (H, H), (H,)), **both("model.token_projection.2", (D, H), (D,)),
    }  # fmt: skip
    for i in range(36):
        layer = f"model.layers.{i}"
        shapes |= {f"{layer}.self_attn.{name}_proj.weight": (H, H) for name in "qo"}
        shapes |= {f"{layer}.self_attn.{name}_proj.weight": (1024, H) for name in "kv"}
        shapes |= {f"{layer}.self_attn.{name}_norm.weight": (128,) for name in "qk"}
        shapes |= {f"{layer}.mlp.{name}_proj.weight": (12288, H) for name in ("gate", "up")}
        shapes |= {f"{layer}.mlp.down_proj.weight": (H, 12288)}
        shapes |= {f"{layer}.{name}_layernorm.weight": (H,) for name in ("input", "post_attention")}
    return shapes


def numbers(shapes):
    return sum(math.prod(shape) for shape in shapes.values())


def hollow_torch_file(path, shapes, entry, **others):
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    torch.save({entry: state, **others}, path)
    return path


def full_size(folder, layout="final"):
    """The authors' files at full size; returns what `prepare` takes."""
    language, llm = language_shapes(), folder / "medsight_full_instruct"
    llm.mkdir()
    if layout == "stage-4":
        language["model.embed_tokens.base_emb.weight"] = language.pop("model.embed_tokens.weight")
        language["model.embed_tokens.codebook_emb.weight"] = (576, H)
    if layout == "paper-time":
        inside = "model.vision_tower.vision_tower."
        language |= {f"{inside}image_encoder.{name[7:]}": shape for name, shape in tower_shapes().items()}
        language |= {f"{inside}{name}": shape for name, shape in perceiver_shapes().items()}
    save_hollow_shards(llm, language, count=7)
    (llm / "config.json").write_text(json.dumps(official_json(MedSightConfig())))
    write_tokenizer(llm, MedSightConfig().codebook_config.code_tokens, first=151669)
    trained = {"steps": 79280, "args": argparse.Namespace(lr=1e-4)}
    text_tower = {"text_encoder.embeddings.word_embeddings.weight": (30522, 768), "logit_scale": ()}
    clip = {f"module.{name}": shape for name, shape in {**tower_shapes(), **text_tower}.items()}
    return Sources(
        llm,
        hollow_torch_file(folder / "0079280.pt", perceiver_shapes(), "model", **trained),
        hollow_torch_file(folder / "unimed_clip_vit_l14_base_text_encoder.pt", clip, "state_dict", epoch=10),
        hollow_torch_file(folder / "0035673.pt", codebook_shapes(), "model", **trained),
    )


def test_the_document_counts_as_it_says():
    assert (len(perceiver_shapes()), numbers(perceiver_shapes())) == (117, 102_895_634)
    assert (len(language_shapes()), round(numbers(language_shapes()) / 1e9, 3)) == (407, 8.235)
    assert (len(tower_shapes()), round(numbers(tower_shapes()) / 1e6, 1)) == (296, 304.3)
    assert round(numbers(codebook_shapes()) / 1e6, 2) == 3.36


def test_every_official_tensor_has_its_place_at_full_size(tmp_path):
    prepared = prepare(full_size(tmp_path))
    conversion = prepared.conversion
    assert conversion.faults == []
    assert len(conversion.mapped) == 858  # docs/official-weights.md says so
    assert {dropped.key for dropped in conversion.dropped} == {
        "region_perceiver.region_position_embed.weight",
        "visual.proj",
        "text_encoder.embeddings.word_embeddings.weight",
        "logit_scale",
    }
    wanted = {**perceiver_shapes(), **codebook_shapes(), **tower_shapes(), **language_shapes()}
    del wanted["region_perceiver.region_position_embed.weight"], wanted["visual.proj"]
    assert {mapped.key: mapped.shape for mapped in conversion.mapped} == wanted
    assert sum(math.prod(shape) for shape in conversion.shapes.values()) == numbers(wanted)
    with torch.device("meta"):
        ours = MedSightModel(MedSightConfig()).state_dict()
    assert {name for mapped in conversion.mapped for name in mapped.ours} == set(ours)
    assert conversion.shapes == {name: tuple(tensor.shape) for name, tensor in ours.items()}


def test_the_configuration_is_the_papers(tmp_path):
    config, paper = prepare(full_size(tmp_path)).config, MedSightConfig()
    for part in ("vision_config", "perceiver_config", "codebook_config"):
        assert getattr(config, part).to_diff_dict() == getattr(paper, part).to_diff_dict()
    theirs, ours = config.text_config.to_diff_dict(), paper.text_config.to_diff_dict()
    assert theirs.pop("max_position_embeddings") == 40960
    assert ours.pop("max_position_embeddings") > 0
    assert theirs == ours
    assert config.first_code_token == paper.first_code_token
    assert (config.vision_layer, config.presence, config.mask_threshold) == (-2, "mask", 0.5)
    assert config.licence == "not stated by the authors"


@pytest.mark.parametrize(("layout", "count"), [("stage-4", 408), ("paper-time", 820)])
def test_the_other_layouts_at_full_size(tmp_path, layout, count):
    sources = full_size(tmp_path, layout)
    if layout == "paper-time":
        sources = Sources(sources.llm, codebook=sources.codebook)
    conversion = prepare(sources).conversion
    assert conversion.faults == []
    mine = [one for one in (*conversion.mapped, *conversion.dropped) if one.source == sources.llm]
    assert len(mine) == count


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Tiny official files, and the folder that they became."""
    root = tmp_path_factory.mktemp("official")
    official = write_official(root)
    sources = Sources(official.llm, official.perceiver, official.vision, official.codebook)
    write(prepare(sources, overrides=OVERRIDES), root / "out", dtype=torch.float32)
    return official, root / "out"


def test_nothing_is_lost_on_the_way(converted, tmp_path):
    official, folder = converted
    model, processor = load_model(folder)
    expected = official.model.state_dict()
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    model.save_pretrained(tmp_path / "again")
    processor.save_pretrained(tmp_path / "again")
    again, _ = load_model(tmp_path / "again")
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@torch.no_grad()
def test_the_converted_perceiver_computes_what_the_official_one_does(converted):
    official, folder = converted
    model, _ = load_model(folder)
    with torch.serialization.safe_globals([argparse.Namespace]):
        params = torch.load(official.perceiver, weights_only=True)["model"]
    generator = torch.Generator().manual_seed(1)
    patches, queries = torch.randn(1, 4, 4, 32, generator=generator), torch.randn(1, 3, 32, generator=generator)
    for given in (None, queries):
        ours = model.perceiver(patches, given)
        reference = perceive(exact(params), patches.double(), 2, 3, None if given is None else given.double())
        torch.testing.assert_close(ours.queries.double(), reference.queries, atol=1e-5, rtol=0.0)
        torch.testing.assert_close(ours.masks.double(), reference.masks[-1], atol=1e-5, rtol=0.0)
        torch.testing.assert_close(ours.classes.double(), reference.classes, atol=1e-5, rtol=0.0)


@torch.no_grad()
def test_the_converted_codebook_computes_what_the_official_one_does(converted):
    official, folder = converted
    model, _ = load_model(folder)
    with torch.serialization.safe_globals([argparse.Namespace]):
        params = torch.load(official.codebook, weights_only=True)["model"]
    regions = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(2))
    tables = [3, 17, 0]
    ours = model.codebook(regions, torch.zeros(3, 32), torch.tensor(tables))
    assert ours.codes.tolist() == quantise(params, regions, tables).indices.tolist()
    every = torch.cat([unit(params[f"quantizer.codebooks.{k}.embedding.weight"]) for k in range(18)])
    torch.testing.assert_close(model.codebook.token_vectors(), decode(params, every), atol=1e-5, rtol=0.0)
