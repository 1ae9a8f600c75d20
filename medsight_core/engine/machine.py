"""What this machine has, as plain numbers, and how fast it is, in half a second.

It times stand-ins of a model's sizes, filled with ones; it reads no weights and judges nothing.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, PreTrainedConfig

from medsight_core.model.config import MedSightConfig
from medsight_core.model.perceiver import FeedForward

_INSTRUCTIONS = {
    "avx2": "AVX2", "avx512_f": "AVX-512", "avx512_bf16": "AVX-512 bf16", "amx_bf16": "AMX bf16", "sve": "SVE",
}  # fmt: skip
_NARROW = 32  # width of the stand-in, whose arithmetic takes no time
_TOKENS = 8  # of the stand-in's reply


@dataclass(frozen=True)
class Gpu:
    """One CUDA device. memory, free: bytes. bf16: whether it computes in bfloat16 itself."""

    device: str
    name: str
    memory: int
    free: int
    bf16: bool


@dataclass(frozen=True)
class Machine:
    """A computer. memory, free: bytes of main memory. instructions: those that help a model, as torch reports them."""

    cpu: str
    cores: int
    memory: int
    free: int
    instructions: tuple[str, ...]
    torch: str
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Speed:
    """How fast a device is with a model.

    products: FLOP/s of matrix products, as the language model reads a prompt.
    pixels: FLOP/s of the perceiver's feed-forward over pixels, at the model's width.
    bandwidth: bytes/s of a matrix times a vector, as each token of a reply needs it.
    step: seconds of a token beside reading the weights: Python, and one small piece of work after another.
    """

    products: float
    pixels: float
    bandwidth: float
    step: float


def this_machine() -> Machine:
    """The computer that this runs on."""
    memory, capabilities = psutil.virtual_memory(), torch.cpu.get_capabilities()
    return Machine(
        cpu=str(capabilities.get("cpu_name") or capabilities.get("architecture")),
        cores=torch.get_num_threads(),
        memory=memory.total,
        free=memory.available,
        instructions=tuple(name for key, name in _INSTRUCTIONS.items() if capabilities.get(key)),
        torch=torch.__version__,
        gpus=tuple(_gpu(index) for index in range(torch.cuda.device_count())),
    )


def computes_bf16() -> bool:
    """Whether the device that trains computes in bfloat16 itself.

    Where it does not, torch makes do: on a CPU with AVX2 alone a product took 70 times as long as in float32.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


@torch.inference_mode()
def measure_speed(config: MedSightConfig, device: str, dtype: torch.dtype, seconds: float = 0.5) -> Speed:
    """Time a device on stand-ins for a model's parts; each is timed once at least, however slow the device is."""
    share, cpu = seconds / 4, device == "cpu"
    side, long, most = (512, 8192, 4e9) if cpu else (4096, 8192, 1e11)
    square = torch.ones(side, side, device=device, dtype=dtype)
    product = _fastest(lambda: square @ square, device, share)
    width, ratio = config.vision_config.hidden_size, config.perceiver_config.ffn_ratio
    work = 4 * ratio * width**2  # FLOP of a pixel
    feed = FeedForward(width, ratio).to(device, dtype)
    image = torch.ones(min(config.mask_size**2, int(most // work)), width, device=device, dtype=dtype)
    pixels = _fastest(lambda: feed(image), device, share)
    # Ones, because untouched zeros are one page of memory again and again.
    matrix, vector = (torch.ones(rows, long, device=device, dtype=dtype) for rows in (long, 1))
    reading = _fastest(lambda: F.linear(vector, matrix), device, share)
    step = _step(config.text_config, device, dtype, share)
    return Speed(2 * side**3 / product, work * len(image) / pixels, matrix.nbytes / reading, step)


def _step(text: PreTrainedConfig, device: str, dtype: torch.dtype, seconds: float) -> float:
    """Seconds a token of a language model of this kind and depth, but hardly any width."""
    narrow = copy.deepcopy(text)
    sizes = {"hidden_size": _NARROW, "intermediate_size": _NARROW, "head_dim": _NARROW, "vocab_size": _NARROW}
    for name, value in {**sizes, "num_attention_heads": 1, "num_key_value_heads": 1}.items():
        setattr(narrow, name, value)
    model = AutoModelForCausalLM.from_config(narrow).to(device, dtype).eval()
    prompt = torch.zeros(1, 1, narrow.hidden_size, device=device, dtype=dtype)

    def reply() -> object:
        return model.generate(
            inputs_embeds=prompt,
            attention_mask=torch.ones(1, 1, dtype=torch.long, device=device),
            max_new_tokens=_TOKENS,
            min_new_tokens=_TOKENS,
            do_sample=False,
            pad_token_id=0,
            output_hidden_states=True,
            return_dict_in_generate=True,
        )

    return _fastest(reply, device, seconds) / _TOKENS


def _fastest(work: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds that some work takes at best, so that other programs count less; the first time is left out."""
    work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def _gpu(index: int) -> Gpu:
    free, memory = torch.cuda.mem_get_info(index)
    name = torch.cuda.get_device_name(index)
    with torch.cuda.device(index):
        return Gpu(f"cuda:{index}", name, memory, free, torch.cuda.is_bf16_supported(including_emulation=False))
