"""How a model that fits no single GPU is spread over several: FSDP2, told to transformers and accelerate.

Every decoder layer is a unit, gathered just before it runs and let go after. The rest (1.7 of the 8.6 billion
parameters: tower, perceiver, projectors, tables, head) is the root's: a batch without an image or a code skips part of
it, and processes that gathered it would wait for one that does not. It knows nothing of losses and data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import DistributedType, PartialState
from accelerate.utils import enable_fsdp_ram_efficient_loading
from torch import Tensor
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import TrainingArguments

from medsight_core.errors import InputError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.training.task import Task


def join_processes() -> None:
    """Meet the other processes before a model is read, so that only the first holds its weights whole.

    Raises InputError when this process was started alone or has no GPU.
    """
    if "WORLD_SIZE" not in os.environ:
        raise InputError(
            "--fsdp spreads a model over several processes and this one is alone: start it with "
            "'torchrun --nproc_per_node 8 -m medsight_core train ...', one process for each GPU."
        )
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.distributed_type == DistributedType.MULTI_CPU:
        raise InputError("--fsdp spreads a model over GPUs and this machine has none: leave it out.")
    enable_fsdp_ram_efficient_loading()


def sharding_of(model: MedSightModel, checkpointing: bool) -> dict[str, Any]:
    """transformers' ``fsdp_config``; checkpointing: recompute the decoder layers in the backward pass."""
    return {
        "version": 2,
        "reshard_after_forward": True,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "transformer_layer_cls_to_wrap": sorted(model.language._no_split_modules or ()),
        "activation_checkpointing": checkpointing,
        "cpu_ram_efficient_loading": True,
        "state_dict_type": "SHARDED_STATE_DICT",
    }


def keep_precise(arguments: TrainingArguments) -> None:
    """Add gradients and give losses in full precision, where accelerate's own policy would round both to bf16."""
    if arguments.bf16:
        arguments.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32
        )


def assemble(build: Callable[[MedSightModel], Task], config: MedSightConfig, weights: Mapping[str, Tensor]) -> Task:
    """A task whole again, from the gathered weights of a sharded one. Not to be run: some of its buffers are empty."""
    with torch.device("meta"):
        task = build(MedSightModel(config))
    task.load_state_dict(weights, assign=True)
    return task
