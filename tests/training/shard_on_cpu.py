"""``medsight`` in one of several CPU processes that share a model.

torch shards over gloo as it does over NCCL; accelerate alone offers FSDP to nothing but GPUs, so it is told it has some.
"""

from __future__ import annotations

from accelerate import DistributedType, PartialState

from medsight_core.cli import main

_begin = PartialState.__init__


def _begin_as_gpus(self: PartialState, *args, **kwargs) -> None:
    _begin(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


PartialState.__init__ = _begin_as_gpus
main()
