"""Examine a model folder: ``python -m benchmarks.demo --labels LABEL_MAPS --fetal HC18``.

In the folder --out: rows.json, one row a question, which grows part by part, so that a stopped examination goes on;
once all parts are there, figures.json and figures.md, and pictures of the worst answers in failures/.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.demo import summary
from benchmarks.demo.failures import draw_failures
from benchmarks.demo.run import PARTS, SIZES, Examiner
from benchmarks.provenance import commit
from medsight_core.engine.engine import Engine
from medsight_core.engine.machine import this_machine
from medsight_core.errors import InputError, run_program
from sample_data.card.facts import fingerprint
from sample_data.generate.sources import Material


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--labels", type=Path, required=True, help="folder of whole-head label maps")
    parser.add_argument("--fetal", type=Path, required=True, help="folder of HC18")
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate-demo"), help="for rows, figures and pictures")
    parser.add_argument(
        "--size", choices=SIZES, default="full", help="how much is asked; quick only shows that it runs"
    )
    parser.add_argument("--parts", default="", help=f"some of {','.join(PARTS)}; else all that were not asked yet")
    options = parser.parse_args()
    material = Material(options.labels, options.fetal, options.studies)
    parts = [part for part in options.parts.split(",") if part]
    return run_program(lambda: examine(options.model, material, options.size, options.out, parts))


def examine(model: Path, material: Material, size: str, out: Path, parts: list[str]) -> None:
    """Examine a model folder; write rows, and figures and pictures when all parts are there.

    parts: asked (again); those without rows when empty. Raises InputError for an unknown part, and when the folder
    ``out`` holds rows of another model or size.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise InputError(f"There is no part {unknown[0]!r}: use some of {', '.join(PARTS)}.")
    engine = Engine.load(model)
    about = {"model": fingerprint(model), "size": size}
    rows = _earlier(out / "rows.json", about)
    examiner = Examiner(engine, material, SIZES[size], {k: v for k, v in rows.items() if k not in parts})
    for part in parts or [part for part in PARTS if part not in rows]:
        begun = time.monotonic()
        rows[part] = examiner.ask(part)
        _write(out / "rows.json", {**about, "rows": rows}, indent=0)
        print(f"{part}: {time.monotonic() - begun:.0f} s", flush=True)
    if missing := [part for part in PARTS if part not in rows]:
        print(f"Figures need these parts too: {', '.join(missing)}.")
        return
    failures = draw_failures(engine, examiner.planes, examiner.outlines(), out / "failures")
    machine = this_machine()
    run = {"commit": commit(), "machine": {"cpu": machine.cpu, "threads": machine.cores}}
    _write(out / "figures.json", {**about, **run, **summary.to_json(rows), "failures": failures}, indent=2)
    made = f"Made by `make evaluate-demo` at {commit()}."
    text = f"# The shipped model examined\n\n{made}\n\n{summary.to_markdown(rows)}\n"
    (out / "figures.md").write_text(text, encoding="utf-8")
    print(text)


def _earlier(path: Path, about: dict[str, str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    if any(kept.get(name) != value for name, value in about.items()):
        raise InputError(f"'{path}' holds answers of another model or size: give another --out, or delete it.")
    return dict(kept["rows"])


def _write(path: Path, content: dict[str, Any], indent: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=indent, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
