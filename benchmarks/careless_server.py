"""A server with a mistake on purpose: what it knows of an image is kept by grid, not by pixels.

Two images on one grid are then one to it, and whoever asks about the second is told about the first. It shows that
`benchmarks.users` would see such a mistake.
"""

from __future__ import annotations

import sys

from medsight_core.imaging.volume import Volume
from medsight_core.server.__main__ import main


def of_grid(volume: Volume) -> str:
    """In place of `Volume.fingerprint`."""
    return repr((volume.shape, volume.affine.tolist(), volume.modality))


if __name__ == "__main__":
    Volume.fingerprint = of_grid  # type: ignore[method-assign]
    sys.exit(main())
