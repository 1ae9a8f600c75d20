"""Words that mean several things together: the names without side that belong to each. Plain data."""

from __future__ import annotations

_VENTRICLES = frozenset({"lateral ventricle", "inferior lateral ventricle", "third ventricle", "fourth ventricle"})
_SPINE = frozenset({"cervical spine", "thoracic spine", "lumbar spine"})

GROUPS: dict[str, frozenset[str]] = {
    "ventricles": _VENTRICLES,
    "ventricular system": _VENTRICLES,
    "basal ganglia": frozenset({"caudate nucleus", "putamen", "pallidum"}),
    "striatum": frozenset({"caudate nucleus", "putamen"}),
    "cerebellum": frozenset({"cerebellar cortex", "cerebellar white matter"}),
    "spine": _SPINE,
    "vertebral column": _SPINE,
    "vertebrae": _SPINE,
    "bones": frozenset({"ribs", "skull", *_SPINE}),
}
