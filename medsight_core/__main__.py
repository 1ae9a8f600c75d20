"""``python -m medsight_core`` is the ``medsight`` command."""

from __future__ import annotations

from medsight_core.cli import main

main()
