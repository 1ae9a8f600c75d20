"""What the page's tests share: `viewing` and `browser` here, replies of a server in tests/slicer."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "slicer")]
