"""Diagnoses of made-up machines: where a model runs, in what words it is told, and that no weight is read for it."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import psutil
import pytest
import torch
from tiny_model import tiny_config

from medsight_core.engine import doctor
from medsight_core.engine.doctor import (
    VOLUME_BYTES,
    examine,
    examine_folder,
    expect,
    gigabytes,
    memory_in_bits,
    memory_needed,
)
from medsight_core.engine.engine import Engine
from medsight_core.engine.machine import Gpu, Machine, Speed
from medsight_core.errors import ModelError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.costs import Costs, costs_of

GB = 10**9
SPEED = Speed(products=1e11, pixels=5e10, bandwidth=2e10, step=0.01)


def machine(free: float, *gpus: float) -> Machine:
    """A computer with so many gigabytes free, of main memory and on GPUs."""
    cards = tuple(Gpu(f"cuda:{i}", f"Card {i}", 80 * GB, int(size * GB), True) for i, size in enumerate(gpus))
    return Machine("A CPU", 8, 64 * GB, int(free * GB), ("AVX2",), "2.0", cards)


def steady(config: MedSightConfig, device: str, dtype: torch.dtype) -> Speed:
    return SPEED


@pytest.fixture(scope="module", autouse=True)
def counted():
    """`costs_of`, which takes seconds for the 8B model: each configuration is gone through once."""
    known: dict[str, Costs] = {}

    def once(config: MedSightConfig) -> Costs:
        key = config.to_json_string(use_diff=False)
        if key not in known:
            known[key] = costs_of(config)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "costs_of", once)
        yield once


@pytest.fixture(scope="module")
def official():
    """Diagnose the 8B model on a machine."""
    return lambda *sizes: examine(MedSightConfig(), machine(*sizes), measure=steady)


def test_it_fits_on_the_cpu(official):
    found = official(64)
    assert found.best is not None
    assert (found.best.device, found.best.precision) == ("cpu", torch.float32)
    assert found.verdict == (
        "The model fits: it runs on the CPU in float32 and needs 39.2 GB of the 64.0 GB that are free."
    )


def test_a_gpu_comes_first_and_the_freest_of_them(official):
    found = official(64, 22, 40)
    assert found.best is not None
    assert (found.best.device, found.best.precision) == ("cuda:1", torch.bfloat16)
    assert (
        found.verdict == "The model fits: it runs on Card 1 in bfloat16 and needs 19.1 GB of the 40.0 GB that are free."
    )


def test_a_small_gpu_is_passed_over(official):
    found = official(64, 12)
    assert found.best is not None
    assert found.best.device == "cpu"


def test_it_fits_nowhere(official):
    found = official(11, 12)
    assert found.best is None
    assert found.verdict == (
        "The model does not fit: it needs 39.2 GB of main memory and 11.0 GB are free. Use a machine with that much, "
        "or a GPU with 19.1 GB free."
    )


@pytest.mark.parametrize(("free", "bits", "needs"), [(16, 8, "14.3"), (14, 4, "11.7")])
def test_it_fits_with_few_bits(official, free, bits, needs):
    found = official(free)
    assert found.best is None
    assert found.verdict == (
        f"The model does not fit as it is: it needs 39.2 GB of main memory and {free}.0 GB are free. Ask it with "
        f"--bits {bits}, which needs {needs} GB, or use a machine with that much, or a GPU with 19.1 GB free."
    )


def test_loading_for_a_gpu_passes_through_main_memory(official):
    found = official(8, 80)
    assert found.best is None
    assert found.verdict == (
        "The model does not fit: Card 0 is large enough, but loading takes 17.3 GB of main memory on the way and 8.0 "
        "GB are free. Close other programs, or use a machine with more."
    )


def test_memory_is_weights_prompt_and_masks(counted):
    costs = counted(tiny_config())
    # 32 x 32 masks: thirty-two planes of them are decoded at once.
    prompt, masks = (costs.cache_per_token + costs.states_per_token) * 2048, costs.mask_maps * 32
    assert memory_needed(costs, tiny_config(), 1000, 2) == (1000 + prompt + masks) * 2
    official = counted(MedSightConfig())
    prompt = (official.cache_per_token + official.states_per_token) * 5 * 660  # five planes are asked at once
    assert memory_needed(official, MedSightConfig(), 0, 2) == (prompt + official.mask_maps) * 2


def test_memory_in_few_bits_is_small_layers_and_the_rest(counted):
    costs, official = counted(tiny_config()), counted(MedSightConfig())
    prompt, masks = (costs.cache_per_token + costs.states_per_token) * 2048, costs.mask_maps * 32
    rest = costs.language_parameters - costs.small_parameters
    parameters = costs.language_parameters + 1000
    wide = 2 * (rest + prompt) + 4 * (1000 + masks)
    assert memory_in_bits(costs, tiny_config(), parameters, 8) == costs.small_parameters + wide
    assert memory_in_bits(costs, tiny_config(), parameters, 4) == costs.small_parameters * 5 // 8 + wide
    assert official.small_parameters == 36 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 12288)


def test_time_is_arithmetic_over_speed():
    costs = Costs(
        1, 2 * 10**9, 1, 1, 1, 1, 1, see=5 * 10**9, regions=10**10, decode=2 * 10**10, read=10**11, prompt_tokens=9
    )
    found = expect(costs, SPEED, itemsize=2)
    token = 4e9 / 2e10 + 0.01
    assert found.look == pytest.approx(0.1 + 0.2)
    assert found.read == pytest.approx(1.0)
    assert found.outline == pytest.approx(0.4)
    assert found.tokens == pytest.approx(1 / token)
    assert found.plane == pytest.approx(0.3 + 1.0 + 32 * token + 0.8)
    assert found.volume == pytest.approx(60 * 0.5 + 5 * (0.2 + 1.0 + 0.4) + 32 * token)


def test_speed_is_measured_where_it_will_run(tiny_model_dir):
    asked = []

    def measure(config: MedSightConfig, device: str, dtype: torch.dtype) -> Speed:
        asked.append((device, dtype))
        return SPEED

    examine_folder(tiny_model_dir, machine(4, 4), measure)
    examine_folder(tiny_model_dir, machine(4), measure)
    assert asked == [("cuda:0", torch.float32), ("cpu", torch.float32)]  # the tiny model is stored in float32


def test_a_folder_is_judged_by_its_headers(counted, tmp_path):
    MedSightConfig(dtype="bfloat16").save_pretrained(tmp_path)
    numbers = 8_644_966_646
    entry = {"dtype": "BF16", "shape": [numbers], "data_offsets": [0, 2 * numbers]}
    header = json.dumps({"language.lm_head.weight": entry}).encode()
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(weights, 8 + len(header) + 2 * numbers)  # a hole of 17 GB
    before, begin = psutil.Process().memory_info().rss, time.monotonic()
    found = examine_folder(tmp_path, machine(64), steady)
    assert found.parameters == numbers
    assert found.stored == torch.bfloat16
    needs = memory_needed(counted(MedSightConfig()), MedSightConfig(), numbers, 4)
    assert found.places[-1].needs == needs + VOLUME_BYTES
    assert psutil.Process().memory_info().rss - before < GB
    assert time.monotonic() - begin < 60


def test_nothing_is_loaded(tiny_model_dir, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("weights were read")

    monkeypatch.setattr(Engine, "load", refuse)
    monkeypatch.setattr("medsight_core.model.medsight.MedSightModel.from_pretrained", refuse)
    monkeypatch.setattr(torch, "from_file", refuse)
    assert examine_folder(tiny_model_dir, machine(4), steady).best is not None


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"^There is no model in .*: give a folder with config\.json"):
        examine_folder(tmp_path, machine(4), steady)


def test_damaged_weights_are_told(tiny_model_dir, tmp_path):
    for file in tiny_model_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = Path(tmp_path / "model.safetensors").read_bytes()
    Path(tmp_path / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read as safetensors: download it again\.$"):
        examine_folder(tmp_path, machine(4), steady)


@pytest.mark.parametrize(
    ("count", "text"), [(17.29e9, "17.3 GB"), (1e9, "1.0 GB"), (143_510_152, "144 MB"), (1, "1 MB")]
)
def test_bytes_are_readable(count, text):
    assert gigabytes(count) == text
