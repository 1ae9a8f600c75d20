from __future__ import annotations

import pytest

from medsight_core.errors import InputError
from medsight_core.server.question import DEFAULT_PROMPT, question_of


def test_a_stock_client_without_prompt_asks_for_everything():
    question, extension = question_of({"result_extension": ".nrrd", "client_id": "me"})
    assert question.prompt == DEFAULT_PROMPT
    assert question.scope == "volume"
    assert extension == ".nrrd"


def test_an_empty_prompt_is_still_a_mistake():
    with pytest.raises(InputError, match="The prompt is empty"):
        question_of({"prompt": " "})
