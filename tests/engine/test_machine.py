"""What a machine says of itself, and stand-ins that are really timed."""

from __future__ import annotations

import platform
import time

import pytest
import torch
from tiny_model import tiny_config

from medsight_core.engine.machine import computes_bf16, measure_speed, this_machine


def test_this_machine():
    machine = this_machine()
    assert machine.cpu
    assert machine.cores == torch.get_num_threads()
    assert 1e8 < machine.free <= machine.memory
    assert machine.torch == torch.__version__
    assert len(machine.gpus) == torch.cuda.device_count()
    supported = torch.backends.cpu.get_cpu_capability()
    if platform.machine() == "x86_64" and supported in ("AVX2", "AVX512"):
        assert "AVX2" in machine.instructions


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells of the GPU")
@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "avx2"])
def test_a_cpu_computes_in_bfloat16_if_it_has_an_instruction_for_it(monkeypatch, instruction):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "bf16", instruction: True, "bf16": False})
    assert computes_bf16() == instruction.endswith("bf16")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_speed_is_measured(dtype):
    config = tiny_config()
    begin = time.perf_counter()
    speed = measure_speed(config, "cpu", dtype, seconds=0.01)
    taken = time.perf_counter() - begin
    assert 1e7 < speed.products < 1e15
    assert 1e6 < speed.pixels < 1e15
    assert 1e7 < speed.bandwidth < 1e13
    assert 0 < speed.step < taken


def test_a_deeper_language_model_takes_longer_a_token():
    text = tiny_config().text_config.to_dict()
    del text["layer_types"]
    shallow, deep = (
        measure_speed(tiny_config(text_config={**text, "num_hidden_layers": layers}), "cpu", torch.float32, 0.2).step
        for layers in (1, 24)
    )
    assert deep > 2 * shallow
