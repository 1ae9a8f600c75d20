"""Examine a model folder: ``python -m benchmarks.demo --labels LABEL_MAPS --fetal HC18``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.demo import summary
from benchmarks.demo.run import FULL, QUICK, Size, examine, write_rows
from benchmarks.provenance import commit
from medsight_core.engine.engine import Engine
from medsight_core.errors import run_program
from sample_data.generate.sources import Material


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--labels", type=Path, required=True, help="folder of whole-head label maps")
    parser.add_argument("--fetal", type=Path, required=True, help="folder of HC18")
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate-demo"), help="folder for rows and tables")
    parser.add_argument("--quick", action="store_true", help="a few questions only, to see that all of it runs")
    options = parser.parse_args()
    material, size = Material(options.labels, options.fetal, options.studies), QUICK if options.quick else FULL
    return run_program(lambda: examine_folder(options.model, material, size, options.out))


def examine_folder(model: Path, material: Material, size: Size, out: Path) -> None:
    """Examine a model folder; write rows and figures, and print these."""
    rows = examine(Engine.load(model), material, size, lambda part: print(part, flush=True))
    write_rows(out / "rows.json", rows)
    text = report(rows)
    (out / "figures.md").write_text(text, encoding="utf-8")
    print(text)


def report(rows: summary.Rows) -> str:
    """All tables as Markdown."""
    names = "\n".join(
        f"| {name} | {dice:.3f} | {n} | {false:.2f} | {m} |"
        for name, (dice, n, false, m) in summary.by_name(rows).items()
    )
    return "\n\n".join(
        [
            "# The shipped model examined",
            f"Made by `make evaluate-demo` at {commit()}.",
            summary.table(summary.goals(rows)),
            "## By region of the body",
            summary.table(summary.by_site(rows)),
            "## By name",
            f"| name | Dice | n | falsely outlined | n |\n|---|---|---|---|---|\n{names}",
            "## Free wording by form",
            summary.table(summary.wording_by_form(rows)),
            "## Controls",
            summary.table(summary.controls(rows)),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
