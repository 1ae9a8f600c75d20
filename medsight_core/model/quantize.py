"""A language model whose layers are kept in 8 or 4 bits, for machines that cannot hold them: to answer with, only.

torchao rounds each linear layer of the decoder to small whole numbers with a scale: one a row (8 bits), or one and a
zero point for each `GROUP` of a row (4 bits). torch's own CPU kernels multiply them as they are: nothing is widened.
Tower, perceiver, projectors and codebook stay in float32; the token table and the head, with the rows of the region
codes, and what the layers hand on are bfloat16. It knows nothing of files, nor of where it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medsight_core.model.bits import check_bits

if TYPE_CHECKING:
    from medsight_core.model.medsight import MedSightModel

GROUP = 32  # numbers of a row that share a scale in 4 bits: the fewest that torch's kernel takes
_ROWS = 16  # that kernel's tile


class SmallLinear(nn.Module):
    """A linear layer of small whole numbers, on bfloat16 inputs (..., in) with outputs (..., out).

    8 bits: ``numbers`` int8 (out, in), ``scales`` (out). 4 bits: ``numbers`` uint8 (out, in / 2), two in a byte in the
    order of torch's kernel, ``scales`` (in / GROUP, out, 2) with zero points.
    """

    numbers: Tensor
    scales: Tensor

    def __init__(self, layer: nn.Linear, bits: int) -> None:
        super().__init__()
        self.bits = bits
        numbers, scales = _rounded(layer.weight.detach().float(), bits)
        self.register_buffer("numbers", numbers)
        self.register_buffer("scales", scales.to(torch.bfloat16).contiguous())
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().to(torch.bfloat16), False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer's products."""
        rows = inputs.reshape(-1, inputs.shape[-1]).contiguous()
        if self.bits == 8:
            products = torch.ops.aten._weight_int8pack_mm(rows, self.numbers, self.scales)
        else:
            products = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, self.numbers, GROUP, self.scales)
        products = products.unflatten(0, inputs.shape[:-1])
        return products if self.bias is None else products + self.bias


def small_layers(language: Any) -> dict[str, nn.Linear]:
    """The layers of a causal language model that `quantize` makes small, by name; all linear ones but the head.

    Those whose sizes torch's kernels do not take stay as they are.
    """
    head = language.get_output_embeddings()
    return {
        name: layer
        for name, layer in language.named_modules()
        if isinstance(layer, nn.Linear)
        and layer is not head
        and layer.in_features % GROUP == 0
        and layer.out_features % _ROWS == 0
    }


def small_bytes(parameters: int, bits: int) -> float:
    """Bytes that so many numbers of `small_layers` take; the scales of 8 bits, two bytes a row, are not counted."""
    return parameters * (1.0 if bits == 8 else 0.5 + 4 / GROUP)


@torch.no_grad()
def quantize(model: MedSightModel, bits: int) -> None:
    """Make the layers of a model's language model small, in place, one after the other.

    A model whose weights still lie in the file that they were read from never takes more memory than it has in the end
    and one layer. It can no longer be trained or saved. Raises what `check_bits` raises.
    """
    check_bits(bits, model.device.type)
    language = model.language
    for name in small_layers(language):
        language.set_submodule(name, SmallLinear(language.get_submodule(name), bits))
    for parameter in language.parameters():  # no buffers: positions need their float32
        parameter.data = parameter.data.to(torch.bfloat16)
    for part in model.children():
        if part is not language:
            part.float()
    model.requires_grad_(False)
    model.bits = bits


def _rounded(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Numbers and scales of a float32 weight (out, in), as `SmallLinear` has them."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bits == 8:
        quantize_(layer, Int8WeightOnlyConfig())
        eight: Any = layer.weight
        return eight.qdata, eight.scale.flatten()
    from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig  # the one that packs for CPUs

    quantize_(layer, PrototypeInt4WeightOnlyConfig(group_size=GROUP))
    four: Any = layer.weight
    return four.qdata, four.scale_and_zero
