"""What a model of a given size costs: parameters, memory and arithmetic, as the engine uses it.

Counted on torch's meta device, where tensors have shapes and no values: no weight is read or allocated. It knows no
machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.quantize import small_layers

QUESTION_TOKENS = 64  # words of a question with what the chat format puts around them


@dataclass(frozen=True)
class Costs:
    """Memory in numbers (multiply by the bytes of one), arithmetic in FLOP, two for each multiplication.

    parameters: of all parts. step_parameters: of those read for each token of a reply, the language model without its
        token table, of which a step takes one row.
    language_parameters, small_parameters: the language model's, and of these what `model.quantize` makes small.
    cache_per_token: keys and values, 2 * layers * key-value heads * head size.
    states_per_token: hidden states that generation keeps for the codes, (layers + 1) * width.
    mask_maps: the perceiver's widest moment for one plane, at the mask's size m: m^2 * (3 * D + 2 * heads * head size),
        the image, its norm, keys and values, and another image's worth for all that is smaller.
    see, regions, decode: tower, first and second perceiver pass, of one plane, operation by operation, in float32. In
        half precision, where `double_and_filter` is not used, a perceiver pass takes up to 1.6 times as many.
    read: the language model over a prompt of one image and a question, ``prompt_tokens`` = T: 2 * T * parameters of its
        layers + 4 * T^2 * layers * heads * head size + 2 * parameters of its head, which predicts one token.
    """

    parameters: int
    step_parameters: int
    language_parameters: int
    small_parameters: int
    cache_per_token: int
    states_per_token: int
    mask_maps: int
    see: int
    regions: int
    decode: int
    read: int
    prompt_tokens: int


def costs_of(config: MedSightConfig) -> Costs:
    """Costs of a model of these sizes, whose language model is of the Llama or Qwen kind."""
    text, perceiver = config.text_config, config.perceiver_config
    side, width = config.vision_config.image_size, config.vision_config.hidden_size
    with torch.device("meta"):
        model = MedSightModel(config).eval().requires_grad_(False)
        (patches, _), see = _counted(lambda: model.see(torch.empty(1, 3, side, side)))
        _, regions = _counted(lambda: model.perceiver.regions(patches))
        _, decode = _counted(lambda: model.decode(patches, torch.empty(1, 1, text.hidden_size)))
    table, head = (_count(part) for part in (model.get_input_embeddings(), model.language.get_output_embeddings()))
    tied = model.language.get_output_embeddings().weight is model.get_input_embeddings().weight
    step_parameters = _count(model.language) - (0 if tied else table)
    tokens = config.num_image_tokens + QUESTION_TOKENS
    attention = 4 * tokens**2 * text.num_hidden_layers * text.num_attention_heads * text.head_dim
    return Costs(
        parameters=_count(model),
        step_parameters=step_parameters,
        language_parameters=_count(model.language),
        small_parameters=sum(layer.weight.numel() for layer in small_layers(model.language).values()),
        cache_per_token=2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim,
        states_per_token=(text.num_hidden_layers + 1) * text.hidden_size,
        mask_maps=config.mask_size**2 * (3 * width + 2 * perceiver.num_heads * perceiver.head_dim),
        see=see,
        regions=regions,
        decode=decode,
        read=2 * tokens * (step_parameters - head) + attention + 2 * head,
        prompt_tokens=tokens,
    )


def _count(module: nn.Module) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _counted(run: Callable[[], Any]) -> tuple[Any, int]:
    with FlopCounterMode(display=False) as counter:
        result = run()
    return result, counter.get_total_flops()
