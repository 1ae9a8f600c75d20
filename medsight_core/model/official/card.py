"""The README of a converted model: where its weights come from, what was done to them, and what nobody knows.

Words only; file names without their folders, because the model may be passed on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medsight_core.model.official.sources import Prepared

_SWITCHES = (
    "vision_layer",
    "code_state",
    "decode_jointly",
    "presence",
    "presence_threshold",
    "mask_threshold",
    "square_planes",
    "frame",
)


def model_card(prepared: Prepared, dtype: str) -> str:
    """Markdown with the front matter that model hubs read."""
    sources, config, conversion = prepared.sources, prepared.config, prepared.conversion
    files = {
        "language model and projectors": sources.llm,
        "Region Perceiver": sources.perceiver or sources.llm,
        "vision tower (UniMed-CLIP)": sources.vision or sources.llm,
        "codebook": sources.codebook,
        "tokenizer": sources.tokenizer or sources.llm,
    }
    rows = [
        f"| {part} | {path.resolve().name} | {prepared.steps.get(path, '')} |"
        for part, path in files.items()
        if path is not None
    ]
    dropped = Counter(one.reason for one in conversion.dropped)
    done = [
        f"Names and layout are those of MedSIGHT for 3D Slicer; numbers are stored as {dtype}.",
        *(f"Left out, {count} tensor{'s' if count > 1 else ''}: {reason}." for reason, count in dropped.items()),
        *prepared.notes,
    ]
    return "\n".join(
        [
            "---",
            "license: other",
            f"license_name: {config.licence}",
            "---",
            "",
            f"# {config.version}, converted by `medsight convert`",
            "",
            "**Research use only. Not for clinical use.**",
            "",
            f"Licence of the weights: {config.licence}. Ask the authors of MedSIGHT before passing them on; "
            "UniMed-CLIP and Qwen3 have terms of their own.",
            "",
            "## Where the weights come from",
            "",
            "| part | file | training steps |",
            "|---|---|---|",
            *rows,
            "",
            "## What was done",
            "",
            *(f"- {line}" for line in done),
            "",
            "## Switches in config.json",
            "",
            *(f"- `{name}`: {getattr(config, name)}" for name in _SWITCHES),
            "",
        ]
    )
