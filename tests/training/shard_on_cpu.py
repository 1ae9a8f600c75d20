"""``medsight`` in one of several CPU processes that share a model.

torch shards over gloo as it does over NCCL; accelerate offers FSDP to GPUs alone, so it is told that it has some.
"""

from __future__ import annotations

from accelerate import DistributedType, PartialState

_begin = PartialState.__init__


def _begin_as_gpus(self: PartialState, *args, **kwargs) -> None:
    _begin(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


def pretend_gpus() -> None:
    """Let accelerate take the CPU processes for GPUs from now on."""
    PartialState.__init__ = _begin_as_gpus


if __name__ == "__main__":
    from medsight_core.cli import main

    pretend_gpus()
    main()
