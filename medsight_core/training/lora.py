"""Low-rank adapters on parts of a model while it adapts, folded into the weights at the end (PEFT does the layers).

A folder written afterwards is like any other: it loads without peft, and costs nothing more to run. It knows no losses
and no data.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from medsight_core.model.adapter import ALL_LINEAR, LANGUAGE, adapter_parameters
from medsight_core.model.medsight import MedSightModel

TOWER = "vision."


def attach_lora(model: MedSightModel, part: str, rank: int) -> tuple[str, ...]:
    """Put adapters of a rank around the layers of a part, `TOWER` or `LANGUAGE`; prefixes of what they let learn.

    A language model that stands on a base has its adapter already, which then learns on.
    """
    from peft import LoraConfig, inject_adapter_in_model

    if part == LANGUAGE and model.config.base_language:
        return tuple(adapter_parameters(model))
    module = model.get_submodule(part.rstrip("."))
    names = [name for name, layer in module.named_modules() if _is_adapted(name, layer, part)]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=names), module)
    return tuple(name for name, _ in model.named_parameters() if name.startswith(part) and ".lora_" in name)


def fold_lora(model: MedSightModel) -> None:
    """Add what the adapters learned to the layers that they stand around, and take them away.

    The adapter of a language model on a base stays: the folder holds it.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    parts: Iterable[nn.Module] = (model.vision, *(() if model.config.base_language else (model.language,)))
    for part in parts:
        for name, layer in list(part.named_modules()):
            if isinstance(layer, BaseTunerLayer):
                layer.merge()
                above, _, last = name.rpartition(".")
                setattr(part.get_submodule(above), last, layer.get_base_layer())


def _is_adapted(name: str, layer: nn.Module, part: str) -> bool:
    if part == LANGUAGE:
        return isinstance(layer, nn.Linear) and name.rpartition(".")[2] in ALL_LINEAR
    return isinstance(layer, (nn.Linear, nn.Conv2d))
