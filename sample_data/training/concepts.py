"""What the first-light model can name: one region code per structure, by modality.

The full training learns which code stands for what (stage 2); first light gives each structure its own code in the
order below, in the table of its modality (model-spec 3.1: 5 is chest CT, 10 is brain MRI).
"""

from __future__ import annotations

from dataclasses import dataclass

_SIDED_BRAIN = (
    "cerebral white matter",
    "lateral ventricle",
    "inferior lateral ventricle",
    "cerebellar white matter",
    "cerebellar cortex",
    "thalamus",
    "caudate nucleus",
    "putamen",
    "pallidum",
    "hippocampus",
    "amygdala",
    "nucleus accumbens",
    "ventral diencephalon",
)
_WHOLE_BRAIN = ("cerebral cortex", "third ventricle", "fourth ventricle", "brainstem", "cerebrospinal fluid")

CHEST_NAMES = ("right lung", "left lung", "ribs", "cervical spine", "thoracic spine", "lumbar spine", "soft tissue")
BRAIN_PARTS = _WHOLE_BRAIN + tuple(f"{side} {name}" for name in _SIDED_BRAIN for side in ("left", "right"))
BRAIN = "brain"  # everything of the brain but the fluid around it


@dataclass(frozen=True)
class Concept:
    """One thing that can be outlined.

    index: class of the perceiver's head, and position in `CONCEPTS`.
    parts: the labelled structures whose union it is.
    """

    index: int
    name: str
    modality: str
    code: str
    parts: tuple[str, ...]


def _concepts() -> tuple[Concept, ...]:
    chest = [(name, "CT", f"M5_{j}", (name,)) for j, name in enumerate(CHEST_NAMES)]
    brain = [(name, "MR", f"M10_{j}", (name,)) for j, name in enumerate(BRAIN_PARTS)]
    inside = tuple(name for name in BRAIN_PARTS if name != "cerebrospinal fluid")
    brain.append((BRAIN, "MR", f"M10_{len(BRAIN_PARTS)}", inside))
    return tuple(Concept(index, *fields) for index, fields in enumerate(chest + brain))


CONCEPTS = _concepts()
BY_NAME = {concept.name: concept for concept in CONCEPTS}
