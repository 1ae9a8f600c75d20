"""Reference of the prompt and of the image slot: section 4 of the specification."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from reference.ops import Params, gelu, linear
from torch import Tensor

IMAGE = -200  # sentinel id that never reaches the model


def turns(question: str, history: Sequence[tuple[str, str]] = (), images: int = 1) -> list[str]:
    """Every turn as text, ready for one tokenisation each; ends after the user's newline (no generation prompt)."""
    pieces = ["<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"]
    slot = "<image>\n" * images
    for asked, answered in history:
        pieces.append(f"<|im_start|>user\n{slot}{asked}<|im_end|>\n")
        pieces.append(f"<|im_start|>assistant\n{answered}<|im_end|>\n")
        slot = ""
    return [*pieces, f"<|im_start|>user\n{slot}{question}<|im_end|>\n"]


def image_to_text(params: Params, vectors: Tensor) -> Tensor:
    """P(v -> t): linear, exact GELU, linear; the same for patches and regions."""
    return linear(params, "model.mm_projector.2", gelu(linear(params, "model.mm_projector.0", vectors)))


def text_to_image(params: Params, states: Tensor) -> Tensor:
    """P(t -> v): linear, ReLU, linear."""
    hidden = linear(params, "model.token_projection.0", states)
    return linear(params, "model.token_projection.2", torch.where(hidden > 0, hidden, torch.zeros(())))


def image_tokens(params: Params, patches: Tensor, regions: Tensor) -> Tensor:
    """Patches row-major, then the region vectors, in the language model's width; no row separators."""
    return image_to_text(params, torch.cat([patches.flatten(1, 2), regions], dim=1))


def splice(table: Tensor, ids: Sequence[int], images: Sequence[Tensor]) -> Tensor:
    """Input embeddings (1, T, H): rows of ``table`` with every sentinel replaced by the next image's (m, H) tokens."""
    waiting = iter(images)
    parts = [next(waiting) if token == IMAGE else table[token][None] for token in ids]
    return torch.cat(parts)[None]


def expanded_position(ids: Sequence[int], index: int, tokens_per_image: int) -> int:
    """Where the token at ``index`` of ``ids`` stands once the images have been spliced in."""
    return index + (tokens_per_image - 1) * sum(token == IMAGE for token in ids[:index])
