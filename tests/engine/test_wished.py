"""The words for an unknown thing."""

from __future__ import annotations

import pytest

from medsight_core.engine.wished import wished


@pytest.mark.parametrize(
    ("question", "thing"),
    [
        ("mark the windpipe, please", "windpipe"),
        ("Superior sagittal sinus - patent?", "superior sagittal sinus"),
        ("Where's the patient's left adrenal?", "left adrenal"),
        ("Is there any?", ""),
        ("", ""),
    ],
)
def test_what_is_left_without_ordinary_words_is_asked_for(question, thing):
    assert wished(question) == thing
