"""Replies as the server builds them, written by the same `medsight_core.imaging.segmentation_file`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from requests_toolbelt import MultipartEncoder

from medsight_core.answer import Answer, ModelInfo, Region
from medsight_core.client import Reply
from medsight_core.imaging.segmentation_file import write_segmentation
from medsight_core.soft_masks import write_soft
from medsight_core.terminology import coding, color

MODEL = ModelInfo("tiny", "7", "CC0")


def answer_of(names, masks, absent=()) -> Answer:
    """A sentence that names ``names``, with these masks (I, J, K); labels count from 3, so that they are no order."""
    text, regions = "Outlined:", []
    for label, (name, mask) in enumerate(zip(names, masks), 3):
        start = len(text) + 1
        text += f" {name} [{label}]"
        span = (start, start + len(name))
        region = Region(label, name, f"M0_{label}", span, 0.9, float(mask.sum()) / 1000, (0, 1), color(name))
        regions.append(Region(**{**region.__dict__, "terminology": coding(name), "mask": mask}))
    return Answer(text, tuple(regions), tuple(absent), model=MODEL, timings={"total": 1.5})


def reply_of(names, masks, affine_lps, absent=(), soft=None) -> Reply:
    """The reply of an answer about a volume on this grid; ``soft``: soft masks by label, as a server may add."""
    answer = answer_of(names, masks, absent)
    volume = SimpleNamespace(shape=masks[0].shape, affine=affine_lps)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.seg.nrrd"
        write_segmentation(path, volume, answer)
        return Reply(answer.without_masks(), path.read_bytes(), path.name, soft or {})


def http_body(reply: Reply) -> tuple[str, bytes]:
    """Content type and body of that reply on the wire."""
    params = json.dumps(reply.answer.to_json())
    parts = {
        "params": (None, params, "application/json"),
        "image": ("t.seg.nrrd", reply.segmentation, "application/octet-stream"),
    }
    if reply.soft:
        parts["soft"] = ("soft", write_soft(reply.soft), "application/octet-stream")
    encoder = MultipartEncoder(parts)
    return encoder.content_type, encoder.to_string()


def box(shape, *bounds) -> np.ndarray:
    """A bool mask (I, J, K) that is True within (low, high) along each axis."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*bound) for bound in bounds)] = True
    return mask
