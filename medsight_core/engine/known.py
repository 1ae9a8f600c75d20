"""The names that a model knows on a view, and a region code for each: told from its configuration alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from medsight_core.engine.views import VolumeView
from medsight_core.model.config import MedSightConfig
from medsight_core.terminology import split_side


def known_names(config: MedSightConfig, view: VolumeView) -> list[str]:
    """The names that a model has for what a view may show; of an unknown modality, all of them.

    Where things have a side they are named with it, but on sagittal planes, where nobody can tell sides, without.
    """
    all_names = config.modality_names
    names = all_names.get(view.volume.modality) or [name for each in all_names.values() for name in each]
    bases = {base for side, base in map(split_side, names) if side} & set(names)
    if view.orientation == "sagittal":
        return [name for name in names if split_side(name)[1] not in bases or name in bases]
    return [name for name in names if name not in bases]


def codes_of_names(config: MedSightConfig, names: Collection[str]) -> dict[str, str]:
    """A code for each of the names: of several, one of the table that holds most of them."""
    codes = [(code, name) for code, name in config.names_of_codes.items() if name in names]
    tables = Counter(code.partition("_")[0] for code, _ in codes)
    return {name: code for code, name in sorted(codes, key=lambda each: tables[each[0].partition("_")[0]])}
