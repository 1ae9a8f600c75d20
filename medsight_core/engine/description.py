"""What a model offers, told from its configuration alone: no weights, no torch computation."""

from __future__ import annotations

from typing import Any

from medsight_core.model.config import MedSightConfig
from medsight_core.protocol import SCOPE_PLANE, SCOPE_RANGE, SCOPE_VOLUME
from medsight_core.terminology import split_side

MODEL_ID = "medsight"

_SUGGESTIONS = ("Outline {}.", "Is there {}?", "Outline everything you can see.")


def describe(config: MedSightConfig, bits: int | None = None) -> dict[str, Any]:
    """What may be asked of this model, as plain JSON; names and suggestions are listed by modality.

    bits: of its language model, as of `version_of`.
    """
    return {
        "model": {"id": MODEL_ID, "version": version_of(config, bits), "licence": config.licence},
        "scopes": [SCOPE_PLANE, SCOPE_RANGE, SCOPE_VOLUME],
        "orientations": list(config.orientations),
        "names": {modality: list(names) for modality, names in config.modality_names.items()},
        "suggestions": {modality: _suggest(names) for modality, names in config.modality_names.items() if names},
    }


def _suggest(names: list[str]) -> list[str]:
    bases = {base for side, base in map(split_side, names) if side}  # "lung" beside "right lung": for sagittal planes
    names = [name for name in names if name not in bases]
    first = " and ".join(f"the {name}" for name in names[:2])
    return [_SUGGESTIONS[0].format(first), _SUGGESTIONS[1].format(f"a {names[-1]}"), _SUGGESTIONS[2]]


def version_of(config: MedSightConfig, bits: int | None = None) -> str:
    """The version that all say who show or keep one; it tells when the language model has few ``bits``."""
    return config.version if bits is None else f"{config.version} ({bits}-bit)"
