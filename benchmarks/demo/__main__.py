"""Examine a model folder: ``python -m benchmarks.demo --labels LABEL_MAPS --fetal HC18``."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from benchmarks.demo import summary
from benchmarks.demo.run import FULL, QUICK, examine, write_rows
from medsight_core.engine.engine import Engine
from sample_data.generate.sources import Material


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--labels", type=Path, required=True, help="folder of whole-head label maps")
    parser.add_argument("--fetal", type=Path, required=True, help="folder of HC18")
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate-demo"), help="folder for rows and tables")
    parser.add_argument("--quick", action="store_true", help="a few questions only, to see that all of it runs")
    options = parser.parse_args()
    rows_file = options.out / "rows.json"
    engine, material = Engine.load(options.model), Material(options.labels, options.fetal, options.studies)
    rows = examine(engine, material, QUICK if options.quick else FULL, lambda part: print(part, flush=True))
    write_rows(rows_file, rows)
    text = report(json.loads(rows_file.read_text()))
    (options.out / "figures.md").write_text(text, encoding="utf-8")
    print(text)


def report(rows: summary.Rows) -> str:
    """All tables as Markdown."""
    names = "\n".join(
        f"| {name} | {dice:.3f} | {n} | {false:.2f} | {m} |"
        for name, (dice, n, false, m) in summary.by_name(rows).items()
    )
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return "\n\n".join(
        [
            "# The shipped model examined",
            f"Made by `make evaluate-demo` at {commit.stdout.strip() or 'an unknown commit'}.",
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
    main()
