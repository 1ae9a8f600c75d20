"""Words that mean several things together: the names without side that belong to each. Plain data."""

from __future__ import annotations

_VENTRICLES = frozenset({"lateral ventricle", "inferior lateral ventricle", "third ventricle", "fourth ventricle"})
_SPINE = frozenset({"cervical spine", "thoracic spine", "lumbar spine"})

_BASAL_GANGLIA = frozenset({"caudate nucleus", "putamen", "pallidum"})
_STRIATUM = frozenset({"caudate nucleus", "putamen"})
_LENTIFORM = frozenset({"putamen", "pallidum"})
_CEREBELLUM = frozenset({"cerebellar cortex", "cerebellar white matter"})
_CEREBRUM = frozenset({"cerebral cortex", "cerebral white matter"})
_LIMBIC = frozenset({"hippocampus", "amygdala"})
_CHEST_BONES = frozenset({"ribs", "thoracic spine"})

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
    "bones": frozenset({"ribs", "skull", *_SPINE}),
    "bony structures": frozenset({"ribs", "skull", *_SPINE}),
    "skeleton": frozenset({"ribs", "skull", *_SPINE}),
    "bony thorax": _CHEST_BONES,
    "thoracic skeleton": _CHEST_BONES,
}
