"""Which state of the project a figure was measured on."""

from __future__ import annotations

import subprocess


def commit() -> str:
    """The commit of the working tree, "-dirty" behind it where files differ from it."""
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "an unknown commit"
