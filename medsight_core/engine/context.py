"""What the model is told about a picture in words, in front of the first question: the view, and what was detected.

A small language model cannot judge from image tokens whether a thing is there; the perceiver's class head can. Its
detections become a line of text, so that the sentence agrees with the masks. Official models are not shown it
(``config.show_detections``). Conversations to train on contain the same line.
"""

from __future__ import annotations

from collections.abc import Iterable

NOTHING = "nothing known"


def context_line(view: str, names: Iterable[str]) -> str:
    """The line, with its line break: "Seen on this axial MR: brain, left thalamus."

    view: orientation and modality, such as "axial MR". names: canonical names, written in their order.
    """
    return f"Seen on this {view}: {', '.join(names) or NOTHING}.\n"


def view_words(orientation: str, modality: str) -> str:
    """Words for a view: "axial MR", "coronal CT", and "ultrasound", whose planes have no such names."""
    return "ultrasound" if modality == "US" else f"{orientation} {modality}"
