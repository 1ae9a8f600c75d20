"""How converted official weights behave under the switches that only they can settle (docs/official-weights.md).

    python -m benchmarks.official_weights --model medsight-8b --image slice.png --mask liver.png

The image is one 8-bit picture, the mask one of the same size with what the prompt asks for. For both layers of the
tower it prints the best Dice among the perceiver's own masks (an oracle chooses), and for both code states the greedy
reply and the Dice of the union of its masks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from medsight_core.imaging.visible_box import VisibleBox
from medsight_core.model.config import CODE_STATES
from medsight_core.model.loading import load_model
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor

LAYERS = (-1, -2)


@torch.inference_mode()
def compare(
    model: MedSightModel, processor: MedSightProcessor, image: Image.Image, truth: np.ndarray, prompt: str
) -> Iterator[tuple[str, str, str, str]]:
    """Rows of vision layer, what was decoded, Dice and reply; ``truth`` is bool (rows, cols) of the image's size."""
    config = model.config
    box = VisibleBox.of(image.height, image.width, config.vision_config.image_size)
    pixels = processor.pixel_values(box.apply(image.convert("RGB")))[None].to(model.device, model.dtype)
    ids = processor.prompt_ids(prompt)

    def painted(masks: torch.Tensor) -> np.ndarray:
        return box.paint(masks[0].float().sigmoid().cpu().numpy(), fill=0.0) > config.mask_threshold

    for layer in LAYERS:
        config.vision_layer = layer
        features = model.encode(pixels)
        own = painted(model.perceiver(features.patches).masks)
        yield str(layer), "best of the perceiver's own", f"{max(dice(mask, truth) for mask in own):.3f}", ""
        for state in CODE_STATES:
            config.code_state = state
            reply = model.generate(ids, features, processor.eos_token, max_new_tokens=config.max_new_tokens)[0]
            text, _ = processor.text_and_codes(reply.ids)
            if len(reply.code_states):
                union = painted(model.decode(features.patches, reply.code_states[None]).masks).any(axis=0)
                yield str(layer), f"codes, state {state}", f"{dice(union, truth):.3f}", text
            else:
                yield str(layer), f"codes, state {state}", "no code", text


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Dice overlap; 1 for two empty masks."""
    total = int(found.sum() + truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--mask", type=Path, required=True)
    parser.add_argument("--prompt", default="Segment the liver.")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for half the memory and much more speed")
    options = parser.parse_args()
    image, truth = Image.open(options.image), np.asarray(Image.open(options.mask).convert("L")) > 127
    if truth.shape != (image.height, image.width):
        parser.error(f"{options.mask} is not of the size of {options.image}: give a mask of the same picture")
    table = Table("layer", "decoded", "Dice", "reply", box=None, pad_edge=False, header_style="dim")
    for row in compare(*load_model(options.model, options.device), image, truth, options.prompt):
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


if __name__ == "__main__":
    main()
