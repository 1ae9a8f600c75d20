"""Prometheus' text format, read strictly."""

from __future__ import annotations

import re

SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*)\})? (\S+)')


def parse(text: str) -> dict[str, float]:
    """Values by name and labels; every line must be as the format says, each sample under its family's lines."""
    values, family = {}, ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            mark, family = line.split()[1:3]
            assert mark in ("HELP", "TYPE")
            if mark == "TYPE":
                assert line.split()[3] in ("counter", "gauge", "histogram")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert re.sub("_(bucket|sum|count)$", "", match[1]) == family or match[1] == family, line
        values[match[1] + (f"{{{match[2]}}}" if match[2] else "")] = float(match[3])
    return values
