"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelOption = Annotated[
    Path | None, typer.Option(help="Folder of the model; the small model that ships with MedSIGHT when left out.")
]
BitsOption = Annotated[
    int | None,
    typer.Option(help="8 or 4: keep the language model in so many bits, to take less memory; whole when left out."),
]
