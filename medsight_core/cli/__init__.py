"""The ``medsight`` command: ask, serve, demo.

A door like the others: it turns arguments into a question and an answer into files and coloured text, and knows nothing
of how either comes about. Whatever is heavy (torch, SimpleITK) is imported inside the command that needs it, so that
``medsight --help`` is immediate.

    app.py      the commands and their options
    failures.py errors as one sentence and an exit code
    output.py   an answer as files and on the terminal
    demo.py     the questions of ``medsight demo`` and how they are asked
"""

from __future__ import annotations

from medsight_core.cli.app import app, main

__all__ = ["app", "main"]
