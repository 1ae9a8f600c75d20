"""The 8B model as the first of eight processes holds it, without a byte of memory; prints what became of it as JSON."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from shard_on_cpu import pretend_gpus
from torch.distributed import init_process_group
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.training.stages import STAGES
from medsight_core.training.trainer import StageTrainer

PROCESSES = 8


def main(name: str, checkpointing: bool) -> None:
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(PROCESSES), "LOCAL_WORLD_SIZE": str(PROCESSES)}
    init_process_group("fake", rank=0, world_size=PROCESSES, store=FakeStore())
    pretend_gpus()
    stage = STAGES[name]
    with torch.device("meta"):
        task = stage.build(MedSightModel(MedSightConfig()), stage.ours)
    whole = {key: parameter.shape for key, parameter in task.named_parameters()}
    with tempfile.TemporaryDirectory() as folder:
        recipe = replace(stage.recipe, checkpointing=checkpointing, precision="bf16")  # of the GPUs that it is for
        trainer = StageTrainer(task, recipe, Path(folder), [None], [None], list, print, fsdp=True)  # no step is made
        plugin = trainer.accelerator.state.fsdp_plugin
        plugin.cpu_ram_efficient_loading = False  # there is nothing to hand out
        trainer.accelerator.prepare(task, trainer.create_optimizer())
    parameters = dict(task.named_parameters())
    units = [module for module in task.modules() if isinstance(module, FSDPModule)]
    report = {
        "units": [type(unit).__name__ for unit in units],
        "unsharded": [key for key, value in parameters.items() if not isinstance(value, DTensor)],
        "whole": sum(shape.numel() for shape in whole.values()),
        "here": sum(value.to_local().numel() for value in parameters.values()),
        "largest_unit": max(unit_size(unit) for unit in units),
        "trained": sum(value.numel() for value in parameters.values() if value.requires_grad),
        "policy": str(plugin.mixed_precision_policy),
    }
    print(json.dumps(report))


def unit_size(unit: FSDPModule) -> int:
    groups = unit._get_fsdp_state()._fsdp_param_groups
    return sum(parameter.sharded_param.numel() for group in groups for parameter in group.fsdp_params)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "checkpointing")
