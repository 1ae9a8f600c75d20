"""An answer as files in a folder (`save`) and as text on a terminal (`show`).

Knows the names of the files that every command writes, and nothing of where an answer came from.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from medsight_core.answer import Answer, Region
from medsight_core.errors import InputError, ServerError
from medsight_core.protocol import EXTENSION_SEGMENTATION

if TYPE_CHECKING:
    from medsight_core.imaging.volume import Volume

ANSWER_FILE = "answer.json"
SEGMENTATION_FILE = "segmentation" + EXTENSION_SEGMENTATION
OVERLAY_FILE = "overlay.png"


def save(folder: Path, volume: Volume, answer: Answer, segmentation: bytes | None = None) -> list[Path]:
    """Write ``answer.json``, ``overlay.png`` and, when anything is outlined, ``segmentation.seg.nrrd`` into ``folder``.

    segmentation: the label file that a server sent, kept byte for byte; without it the masks of ``answer`` are written.
    Files of an earlier answer are replaced, or removed when this one has no such file.
    Returns the files written. Raises InputError when the folder cannot be written to, ServerError when the server's
    label file lacks a region that its answer names.
    """
    from medsight_core.imaging.overlay import write_overlay
    from medsight_core.imaging.segmentation_file import write_segmentation

    label_file, picture, text = folder / SEGMENTATION_FILE, folder / OVERLAY_FILE, folder / ANSWER_FILE
    written = [text, label_file, picture] if answer.regions else [text, picture]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        label_file.unlink(missing_ok=True)
        if answer.regions and segmentation is not None:
            label_file.write_bytes(segmentation)
            answer = _with_masks(answer, label_file)
        elif answer.regions:
            write_segmentation(label_file, volume, answer)
        write_overlay(picture, volume, answer)
        text.write_text(json.dumps(answer.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"The answer cannot be written to '{folder}' ({reason}): choose another folder.") from error
    return written


def show(console: Console, answer: Answer) -> None:
    """The sentence with the names of its regions in their colours, a table of the regions, and the notice."""
    console.print(sentence(answer), soft_wrap=True)
    if answer.regions:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading, justify in (("", "right"), ("region", "left"), ("ml", "right"), ("confidence", "right")):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]
        for region in answer.regions:
            name = Text(region.name, style=_style(region))
            table.add_row(str(region.label), name, f"{region.volume_ml:.1f}", f"{region.confidence:.2f}")
        console.print(table)
    if answer.absent:
        console.print(f"Not seen: {', '.join(answer.absent)}", markup=False)
    console.print(answer.notice, style="dim", markup=False)


def sentence(answer: Answer) -> Text:
    """The answer's text with the names of its regions in their colours."""
    text = Text(answer.text)
    for region in answer.regions:
        text.stylize(_style(region), *region.span)
    return text


def _style(region: Region) -> str:
    red, green, blue = (round(255 * channel) for channel in region.color)
    return f"bold rgb({red},{green},{blue})"


def _with_masks(answer: Answer, label_file: Path) -> Answer:
    """The answer of a server, its regions' masks read back from the label file that came with it."""
    from medsight_core.imaging.segmentation_file import read_segmentation

    masks = {segment.label: segment.mask for segment in read_segmentation(label_file).segments}
    missing = [region.name for region in answer.regions if region.label not in masks]
    if missing:
        raise ServerError(
            f"The server's label file lacks {', '.join(missing)}: check that both sides have one version."
        )
    return replace(answer, regions=tuple(replace(region, mask=masks[region.label]) for region in answer.regions))
