"""What people say in place of a name: what a thing does, where it lies, what it looks like, why they ask. Plain data.

Phrases stand behind "the" and follow the grammar of `medsight_core.data.phrases`: ``<this|that>`` is one of these
words, ``<rule>`` one of the alternatives of `WORDS`. Each means one canonical name without side, or both sides of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medsight_core.data import descriptions_body, descriptions_brain
from medsight_core.data.texts import sections

WORDS: dict[str, tuple[str, ...]] = {
    "thing": ("structure", "part", "region", "area", "thing", "bit", "one"),
    "organ": ("organ", "organ", "organ", "part of the body", "thing", "bit", "one"),
    "nucleus": ("nucleus", "nucleus", "grey nucleus", "deep nucleus", "structure", "cell group", "blob", "clump"),
    "brainpart": (
        *("part of the brain", "brain region", "brain structure", "area of the brain", "bit", "part"),
    ),
    "that": ("that", "which",),
    "for": ("responsible for", "in charge of", "important for", "needed for", "used for", "involved in",),
    "cavity": ("cavity", "chamber", "space", "fluid-filled space", "fluid space", "fluid chamber",),
    "near": ("near", "next to", "beside", "close to",),
    "under": ("under", "below", "beneath", "underneath",),
    "belly": ("belly", "abdomen", "tummy", "upper abdomen",),
    "baby": ("baby", "unborn child", "fetus", "little one", "unborn baby",),
    "backbone": ("backbone", "spine", "spinal column", "vertebral column",),
    "makes": ("makes", "produces", "forms", "creates",),
    "stores": ("stores", "holds", "keeps", "collects",),
    "cleans": ("cleans", "filters", "purifies",),
}  # fmt: skip


def _joined(written: Mapping[str, Sequence[str]], *tables: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    bases = dict.fromkeys(base for table in (*tables, written) for base in table)
    return {base: tuple(phrase for table in (*tables, written) for phrase in table.get(base, ())) for base in bases}


DESCRIBED = _joined(sections("descriptions"), descriptions_brain.DESCRIBED, descriptions_body.DESCRIBED)
PAIRS = {**descriptions_brain.PAIRS, **descriptions_body.PAIRS}  # that say already that there are two
REASONS = _joined(
    sections("reasons"), descriptions_brain.REASONS, descriptions_body.REASONS
)  # whole wishes, which name nothing
