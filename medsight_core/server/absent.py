"""Stand-ins for packages that MONAI Label imports and MedSIGHT neither installs nor uses.

MONAI Label names pydicom-seg, ITK and girder-client at the top of modules that the server needs, while only its own
DICOM SEG reader, mask writer and DSA datastore call them. Two of them hold numpy below version 2, one weighs 1.5 GB.
`install` must therefore run before the first import of ``monailabel``. It knows the names, and nothing of MONAI Label.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any

NAMES = ("pydicom_seg", "itk", "girder_client")


class AbsentModule(types.ModuleType):
    """A module that may be imported but not used: any public attribute raises RuntimeError naming the package."""

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError for what the import machinery probes, RuntimeError for what a feature would call."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"The package '{self.__name__}' is not installed, so the feature that needs it is off.")


def install() -> None:
    """Put a stand-in into ``sys.modules`` for each of `NAMES` that is not installed; harmless to repeat."""
    for name in NAMES:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = AbsentModule(name)
