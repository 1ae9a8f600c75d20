"""Bits that cannot be are refused, by the check and by whoever loads a model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from medsight_core.errors import InputError, NotFoundError
from medsight_core.model import bits as module
from medsight_core.model.bits import check_bits
from medsight_core.model.loading import load_model


@pytest.mark.parametrize("odd", [3, 16, "x"])
def test_other_bits_are_refused(odd, tiny_model_dir):
    sentence = f"The language model cannot be kept in {odd} bits: use 8 or 4, or leave it out for all."
    with pytest.raises(InputError) as caught:
        load_model(tiny_model_dir, bits=odd)
    assert str(caught.value) == sentence


def test_another_device_is_refused():
    with pytest.raises(InputError) as caught:
        check_bits(8, "cuda")
    assert str(caught.value) == "8 bits are for the CPU, not for 'cuda': leave out the bits there, or use cpu."


def test_without_torchao_the_command_is_told(monkeypatch, tiny_model_dir):
    monkeypatch.setattr(module, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: None)))
    with pytest.raises(NotFoundError) as caught:
        load_model(tiny_model_dir, bits=4)
    assert str(caught.value) == "For 4 bits torchao is missing: run 'pip install \"medsight[quant]\"'."
    check_bits(None)
