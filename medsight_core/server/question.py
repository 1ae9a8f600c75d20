"""The question in a request's ``params``, with what a stock MONAI Label client leaves out filled in.

Shared by the HTTP endpoint, which refuses bad questions before they wait for the model, and by the MONAI Label task.
"""

from __future__ import annotations

from typing import Any, Mapping

from medsight_core.protocol import Question, label_extension, parse_question

DEFAULT_PROMPT = "Outline everything you can see."


def question_of(params: Mapping[str, Any]) -> tuple[Question, str]:
    """The question and the extension of the label file that answers it.

    A request without any ``prompt`` key is MONAI Label's "Run segmentation" button and asks for everything; an empty
    prompt is a mistake. Raises InputError or TooLargeError for the first thing that is wrong.
    """
    return parse_question({"prompt": DEFAULT_PROMPT, **params}), label_extension(params)
