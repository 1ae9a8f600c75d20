"""Facts and words as MONAI's metadata.json (schema of 25 July 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from medsight_core.answer import NOTICE
from sample_data.card import words
from sample_data.card.facts import Facts, Measured
from sample_data.generate.sources import SOURCES

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
_REQUIRED = ("transformers", "safetensors", "scipy", "pillow", "SimpleITK")


def metadata(facts: Facts) -> dict[str, Any]:
    """The metadata as plain JSON."""
    config, names = facts.config, facts.spoken
    side = config.vision_config.image_size
    listed = "; ".join(f"{modality}: {', '.join(own)}" for modality, own in config.modality_names.items())
    used = [source for source in SOURCES if source.name in facts.training["images"]["train"]]
    return {
        "schema": SCHEMA,
        "version": config.version,
        "changelog": {config.version: f"examined at {facts.commit}"},
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {name: _version(name) for name in _REQUIRED},
        "name": words.NAME,
        "task": words.TASK,
        "description": f"{words.DESCRIPTION} {NOTICE}",
        "authors": words.AUTHORS,
        "copyright": f"{words.COPYRIGHT}. Licence of the weights: {config.licence}",
        "data_source": "; ".join(f"{source.origin} ({source.licence}): {source.name}" for source in used),
        "data_type": "any volume that SimpleITK reads, or a DICOM series",
        "image_classes": f"one plane as {side} x {side} pixels, windowed to 8 bits, the same on three channels",
        "label_classes": listed,
        "pred_classes": "one mask for each name that the answer outlines; names as label_classes",
        "eval_metrics": {
            "goals": _metrics(facts.goals),
            "sites": {site: _metrics(figures) for site, figures in facts.sites.items()},
        },
        "intended_use": " ".join((NOTICE, *words.INTENDED, "It must not be used for:", *words.MUST_NOT)),
        "references": list(words.REFERENCES),
        "supported_apps": {"monai-label": "monailabel_app"},
        "network_data_format": {
            "inputs": {
                "image": _tensor("magnitude", 3, side, [], dict.fromkeys("012", "grey level, normalised"))
                | {"modality": ", ".join(config.modality_names)},
                "question": "words of the user, behind the names that were detected",
            },
            "outputs": {
                "answer": "a sentence with a region code behind each name that it outlines",
                "masks": _tensor(
                    "classes", len(names), config.mask_size, [0, 1], {str(n): name for n, name in enumerate(names)}
                ),
            },
        },
    }


def _tensor(form: str, channels: int, side: int, value_range: list[int], meaning: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "image",
        "format": form,
        "num_channels": channels,
        "spatial_shape": [side, side],
        "dtype": "float32",
        "value_range": value_range,
        "is_patch_data": False,
        "channel_def": dict(meaning),
    }


def _metrics(figures: Mapping[str, Measured]) -> dict[str, Any]:
    return {
        name: {"value": one.value, "interval": [one.low, one.high], "n": one.n}
        | ({"goal": one.goal, "reached": one.met} if one.goal else {})
        for name, one in figures.items()
    }


def _version(package: str) -> str:
    return version(package).partition("+")[0]
