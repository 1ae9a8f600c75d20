"""Small training sets on disk in the published formats, with real pictures, for whatever reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 0, "name": "background"}, {"id": 1, "name": "liver"}, {"id": 3, "name": "kidney"}]


def write_picture(path: Path, shape: tuple[int, int] = (64, 64), box: tuple[int, int, int, int] | None = None) -> Path:
    """A grey picture of noise or, with a box (top, left, bottom, right), a mask that is 255 in it."""
    if box is None:
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    else:
        pixels = np.zeros(shape, np.uint8)
        pixels[box[0] : box[2], box[1] : box[3]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_labelled(root: Path, name: str = "phantoms", modality: int = 0, count: int = 3) -> Path:
    """A BiomedParse dataset of ``count`` images, and its meta file, which it returns.

    Image n has n masks: the right kidney, then the liver.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for n in range(count):
        stem = f"{n:04d}_CT_abdomen"
        write_picture(root / name / "train" / f"{stem}.png")
        images.append({"id": 10 + n, "file_name": f"{stem}.png", "height": 64, "width": 64})
        for target, category in (("right+kidney", 3), ("liver", 1))[:n]:
            mask = write_picture(root / name / "train_mask" / f"{stem}_{target}.png", box=(8, 8, 40, 24))
            sentence = {"raw": f"{target.replace('+', ' ')} in abdomen CT"}
            annotations.append(
                {"id": len(annotations), "image_id": 10 + n, "file_name": f"{stem}.png", "mask_file": mask.name,
                 "category_id": category, "sentences": [sentence]}
            )  # fmt: skip
    lists = {"info": {}, "images": images, "annotations": annotations[::-1], "categories": CATEGORIES}
    (root / name / "train.json").write_text(json.dumps(lists))
    return write_meta(root, {name: modality})


def write_meta(root: Path, modalities: dict[str, int]) -> Path:
    """The meta file of the datasets of these names."""
    meta = {
        "image_roots": [f"{name}/train" for name in modalities],
        "mask_roots": [f"{name}/train_mask" for name in modalities],
        "annotations": [f"{name}/train.json" for name in modalities],
        "modalities": list(modalities.values()),
    }
    (root / "meta.json").write_text(json.dumps(meta))
    return root / "meta.json"


def grounded_record(root: Path) -> dict[str, Any]:
    """A record of two turns with two codes, its image and its masks written below ``root``."""
    write_picture(root / "ct" / "slice88.png")
    write_picture(root / "ct_mask" / "liver.png", box=(8, 8, 40, 24))
    write_picture(root / "ct_mask" / "spleen.png", box=(8, 40, 20, 60))
    return {
        "id": "ct-000123",
        "image": "ct/slice88.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWe will look at an abdominal CT slice."},
            {"from": "assistant", "value": "Ready."},
            {"from": "human", "value": "Outline the liver and the spleen."},
            {"from": "assistant", "value": "Liver: [M0_16]; spleen: [M0_7]."},
        ],
        "mask_orders": [871, 874],
        "mask_files": {"871": "ct_mask/liver.png", "874": "ct_mask/spleen.png"},
        "mask_codes": {"871": "M0_16", "874": "M0_7"},
    }


def write_records(path: Path, records: list[dict[str, Any]]) -> Path:
    """Records as a file, by its extension ``.json`` or ``.jsonl``."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        path.write_text(json.dumps(records))
    return path
