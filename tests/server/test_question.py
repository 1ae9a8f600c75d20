from __future__ import annotations

import pytest

from medsight_core.errors import InputError
from medsight_core.server.question import DEFAULT_PROMPT, question_of


def test_a_stock_client_without_prompt_asks_for_everything():
    question, extension = question_of({"result_extension": ".nrrd", "client_id": "me"})
    assert question.prompt == DEFAULT_PROMPT
    assert question.scope == "volume"
    assert extension == ".nrrd"


def test_the_threshold_is_a_probability_or_left_to_the_model():
    assert [question_of({"threshold": value})[0].threshold for value in (None, "", 0, "0.25", 1)] == [
        None,
        None,
        0,
        0.25,
        1,
    ]
    for value in (-0.1, 1.01, "half", True, float("nan"), [0.5]):
        with pytest.raises(InputError, match="is no probability: use a number from 0 to 1, or leave it out"):
            question_of({"threshold": value})


def test_an_empty_prompt_is_still_a_mistake():
    with pytest.raises(InputError, match="The prompt is empty"):
        question_of({"prompt": " "})
