"""Words that mean several things together, and the names without side that belong to each."""

from __future__ import annotations

import re
from collections.abc import Collection

from medsight_core.engine.wished import is_ordinary
from medsight_core.engine.wording import listed
from medsight_core.terminology import split_side

_VENTRICLES = frozenset({"lateral ventricle", "inferior lateral ventricle", "third ventricle", "fourth ventricle"})
_SPINE = frozenset({"cervical spine", "thoracic spine", "lumbar spine"})

_BASAL_GANGLIA = frozenset({"caudate nucleus", "putamen", "pallidum"})
_STRIATUM = frozenset({"caudate nucleus", "putamen"})
_LENTIFORM = frozenset({"putamen", "pallidum"})
_CEREBELLUM = frozenset({"cerebellar cortex", "cerebellar white matter"})
_CEREBRUM = frozenset({"cerebral cortex", "cerebral white matter"})
_LIMBIC = frozenset({"hippocampus", "amygdala"})
_CHEST_BONES = frozenset({"ribs", "thoracic spine"})
_BONES = frozenset({"ribs", "skull", *_SPINE})

GROUPS: dict[str, frozenset[str]] = {
    "ventricles": _VENTRICLES,
    "ventricular system": _VENTRICLES,
    "all ventricles": _VENTRICLES,
    "basal ganglia": _BASAL_GANGLIA,
    "basal nuclei": _BASAL_GANGLIA,
    "ganglia basalia": _BASAL_GANGLIA,
    "striatum": _STRIATUM,
    "corpus striatum": _STRIATUM,
    "lentiform nucleus": _LENTIFORM,
    "lenticular nucleus": _LENTIFORM,
    "nucleus lentiformis": _LENTIFORM,
    "lens-shaped nucleus": _LENTIFORM,
    "cerebellum": _CEREBELLUM,
    "little brain": _CEREBELLUM,
    "hindbrain hemispheres": _CEREBELLUM,
    "cerebellar hemispheres": _CEREBELLUM,
    "cerebral hemispheres": _CEREBRUM,
    "hemispheres": _CEREBRUM,
    "grey matter of the brain": frozenset({"cerebral cortex", "cerebellar cortex"}),
    "white matter of the brain": frozenset({"cerebral white matter", "cerebellar white matter"}),
    "limbic structures": _LIMBIC,
    "mesial temporal structures": _LIMBIC,
    "hippocampal-amygdala complex": _LIMBIC,
    "spine": _SPINE,
    "vertebral column": _SPINE,
    "columna vertebralis": _SPINE,
    "spinal column": _SPINE,
    "backbone": _SPINE,
    "vertebrae": _SPINE,
    "bone": _BONES,
    "bones": _BONES,
    "bony structures": _BONES,
    "skeleton": _BONES,
    "bony thorax": _CHEST_BONES,
    "thoracic skeleton": _CHEST_BONES,
}
# Their parts lie in different regions of the body, and an image shows some: those are meant.
_OF_REGIONS = (_SPINE, _BONES, _CHEST_BONES)

_GROUP = re.compile(
    r"(?P<start>(?:^|[^\w\s-])\s*|\b(?P<last>[\w'’]+)\s+)"
    r"(?:(?:both|all)\s+(?:the\s+)?)?(?:(?P<before>left|right)\s+)?"
    rf"(?P<word>{'|'.join(re.escape(word) for word in sorted(GROUPS, key=len, reverse=True))})\b(?!\s+of\b|-)"
    r"(?:\s*,?\s*(?:on\s+the\s+)?(?P<after>left|right)(?:\s+side)?\b)?",
    re.IGNORECASE,
)
# Where something else lies: "a lesion in the basal ganglia".
_PLACE = re.compile(
    r"\b(?:in|of|from|near|beside|behind|below|above|under|around|within|inside|between|into|next to|close to|part)"
    r"(?:\s+(?:the|my|your|his|her|two|big|whole))*\s+$",
    re.IGNORECASE,
)


def without_groups(question: str, known: Collection[str], seen: Collection[str] = ()) -> str:
    """The question with names in the place of words that mean several of the ``known`` ones together.

    seen: what the image shows: of "the spine" or "the bones" those parts are meant, when it shows any.
    """

    def names(match: re.Match[str]) -> str:
        side, last = (match["before"] or match["after"] or "").lower(), match["last"]
        group = GROUPS[match["word"].lower()]
        meant = [name for name in known if split_side(name)[1] in group]
        if len({split_side(name)[1] for name in meant}) < 2 or _PLACE.search(question[: match.end("start")]):
            return match[0]
        if group in _OF_REGIONS:
            meant = [name for name in meant if name in seen] or meant
        if last and not is_ordinary(last.lower()):
            return match[0]  # "the lateral ventricles" are no group
        if side:
            meant = [name for name in meant if split_side(name)[0] in ("", side)]
        return match["start"] + listed(sorted(meant, key=lambda name: split_side(name)[::-1]))

    return _GROUP.sub(names, question)
