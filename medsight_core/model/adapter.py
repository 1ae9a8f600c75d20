"""What a model folder adds to its base language model: a LoRA adapter and the rows of the region codes.

Such a folder holds every part but the base's own numbers, in half precision. Its ``adapter_config`` has

    r               rank of the adapter
    alpha           its strength: a layer's weight W becomes W + alpha / r * B A
    target_modules  last names of the adapted linear layers, such as "q_proj"
    last_layers     how many decoder layers have it, counted from the last; null for all

It knows nothing of where a base comes from, nor of training.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medsight_core.errors import ModelError

if TYPE_CHECKING:
    from medsight_core.model.medsight import MedSightModel

LANGUAGE = "language."
ROWS = ("codes.inputs", "codes.outputs")  # (codes, H) of the token table and of the head
FACTORS = ("lora_A", "lora_B")
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_FIELDS = {"r", "alpha", "target_modules", "last_layers"}
_LAYER = re.compile(r"\blayers\.(\d+)\.")


def adapted_layers(language: Any, adapter: Mapping[str, Any] | None) -> dict[str, Any]:
    """The linear layers that an adapter changes, by their names in the language model; none without an adapter.

    Raises ModelError for an adapter that names no layer of it, or has other fields than this version knows.
    """
    if adapter is None:
        return {}
    if set(adapter) != _FIELDS:
        odd = ", ".join(sorted(set(adapter) ^ _FIELDS))
        raise ModelError(
            f"The adapter_config in config.json is wrong about {odd}: it has {', '.join(sorted(_FIELDS))}."
        )
    count = language.config.num_hidden_layers
    first = 0 if adapter["last_layers"] is None else count - adapter["last_layers"]
    found = {}
    for name, module in language.named_modules():
        place = _LAYER.search(name)
        if place and int(place[1]) >= first and name.rpartition(".")[2] in adapter["target_modules"]:
            found[name] = module
    if not found:
        raise ModelError(
            f"The adapter_config in config.json names {', '.join(adapter['target_modules'])} and the language model "
            "has no such layer: use the names of its linear layers."
        )
    return found


def attach(language: Any, adapter: Mapping[str, Any] | None) -> None:
    """Put LoRA layers, which change nothing yet, around a language model's own. Needs peft, as all training does."""
    if adapter is None:
        return
    from peft import LoraConfig, inject_adapter_in_model

    names = list(adapted_layers(language, adapter))
    inject_adapter_in_model(LoraConfig(r=adapter["r"], lora_alpha=adapter["alpha"], target_modules=names), language)


def adapter_parameters(model: MedSightModel) -> dict[str, nn.Parameter]:
    """The factors of an attached adapter, by the names that a folder has for them.

    "language.{layer}.lora_A" (r, in) and "language.{layer}.lora_B" (out, r).
    """
    layers = adapted_layers(model.language, model.config.adapter_config)
    return {
        f"{LANGUAGE}{name}.{factor}": layer.get_submodule(factor).get_parameter("default.weight")
        for name, layer in layers.items()
        for factor in FACTORS
    }


def parts_of(model: MedSightModel) -> dict[str, Tensor]:
    """All that a folder holds of a model with an attached adapter, by name; the tensors are the model's own."""
    parts = {name: value for name, value in model.state_dict().items() if not name.startswith(LANGUAGE)}
    parts |= {name: factor.detach() for name, factor in adapter_parameters(model).items()}
    first, count = model.config.first_code_token, model.config.num_code_tokens
    for name, table in zip(ROWS, _tables(model.language)):
        parts[name] = table.weight.detach()[first : first + count]
    return parts


def save_parts(model: MedSightModel, folder: Path, weights: str = "model.safetensors") -> None:
    """Write config.json and our parts of a model with an attached adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(model.config)
    config.dtype = torch.float16
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    # Clones: code rows are views of whole tables.
    parts = {
        name: value.to("cpu", torch.float16 if value.is_floating_point() else value.dtype, copy=True).contiguous()
        for name, value in parts_of(model).items()
    }
    save_file(parts, folder / weights, metadata={"format": "pt"})


def misfits(model: MedSightModel, stored: Mapping[str, Tensor]) -> list[str]:
    """The keys of a folder's tensors that are missing, unexpected or misshapen for a model around its base, sorted."""
    config = model.config
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items() if not name.startswith(LANGUAGE)}
    for name, layer in adapted_layers(model.language, config.adapter_config).items():
        rank = config.adapter_config["r"]
        shapes[f"{LANGUAGE}{name}.lora_A"] = (rank, layer.in_features)
        shapes[f"{LANGUAGE}{name}.lora_B"] = (layer.out_features, rank)
    shapes |= dict.fromkeys(ROWS, (config.num_code_tokens, model.language.config.hidden_size))
    found = {name: tuple(value.shape) for name, value in stored.items()}
    return sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))


@torch.no_grad()
def put_together(model: MedSightModel, stored: Mapping[str, Tensor], merge: bool) -> None:
    """Fill a model around its base with a folder's tensors, which fit.

    merge: fold the adapter into the layers it changes, so that inference costs what the base costs and needs no peft;
    the model is then one without a base, whose `save_pretrained` writes every number. Otherwise the adapter is
    attached, to be trained.
    """
    config, language = model.config, model.language
    own = {name: value for name, value in stored.items() if not name.startswith(LANGUAGE) and name not in ROWS}
    model.load_state_dict(own, strict=False)  # the language model alone is missing
    for name, table in zip(ROWS, _tables(language)):
        table.weight = nn.Parameter(torch.cat([table.weight[: config.first_code_token], stored[name].to(table.weight)]))
    table, head = _tables(language)
    table.num_embeddings = head.out_features = language.config.vocab_size = len(table.weight)
    if merge:
        for name, layer in adapted_layers(language, config.adapter_config).items():
            down, up = (stored[f"{LANGUAGE}{name}.{factor}"].to(layer.weight) for factor in FACTORS)
            layer.weight.addmm_(up, down, alpha=config.adapter_config["alpha"] / config.adapter_config["r"])
        config.base_language, config.adapter_config = "", None
        return
    attach(language, config.adapter_config)
    for name, parameter in adapter_parameters(model).items():
        parameter.copy_(stored[name])


def _tables(language: Any) -> tuple[Any, Any]:
    """Token table and head, whose weights are (V, H) both."""
    return language.get_input_embeddings(), language.get_output_embeddings()
