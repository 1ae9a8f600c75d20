"""Write the shipped model's card: README.md and metadata.json in its folder, pictures beside the documentation's.

    python -m sample_data.demo_card --model sample_data/demo_model --figures runs/evaluate-demo/figures.json

Figures are those that `make evaluate-demo` measured; pictures of failures lie beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from medsight_core.errors import run_program
from sample_data.card.facts import read_facts
from sample_data.card.metadata import metadata
from sample_data.card.readme import readme


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.demo_card", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--figures", type=Path, default=Path("runs/evaluate-demo/figures.json"))
    parser.add_argument(
        "--pictures", type=Path, default=Path("docs/images/demo-model"), help="folder they are put into"
    )
    options = parser.parse_args(arguments)
    return run_program(lambda: write_cards(options.model, options.figures, options.pictures))


def write_cards(model: Path, figures: Path, pictures: Path) -> None:
    """Write both cards into a model folder, and the pictures that they show into another.

    Errors as `read_facts`; nothing is written then.
    """
    facts = read_facts(model, figures)
    text, data = readme(facts, Path(os.path.relpath(pictures, model)).as_posix()), metadata(facts)
    pictures.mkdir(parents=True, exist_ok=True)
    for failure in facts.failures:
        shutil.copyfile(figures.parent / "failures" / failure["file"], pictures / failure["file"])
    (model / "README.md").write_text(text, encoding="utf-8")
    (model / "metadata.json").write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
