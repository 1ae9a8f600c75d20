"""The benchmark of the official size, on sizes that a CPU can bear."""

from __future__ import annotations

import pytest
import torch

from benchmarks import official_size
from benchmarks.official_size import build, config_of, main, measure, report


def test_a_tiny_model_is_measured_and_nothing_is_written(tmp_path, capsys):
    out = tmp_path / "official-size.md"
    main(["--device", "cpu", "--tiny", "--layers", "3", "--tokens", "4", "--repeats", "2", "--codes", "1", "2",
          "--out", str(out)])  # fmt: skip
    text = capsys.readouterr().out
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ") and line[2] != "|"]
    assert rows == [
        "image seen (s)", "image to first token (s)", "tokens a second, of 4", "mask of 1 code (s)",
        "masks of 2 codes (s)", "peak memory (GB)",
    ]  # fmt: skip
    assert "parameters in float32 with random weights on " in text
    assert "n = 2 repeats" in text
    assert not out.exists()


def test_repeats_are_counted_without_the_warm_up():
    model = build(config_of(tiny=True, layers=None), "cpu")
    figures = measure(model, tokens=3, codes=[1], repeats=2)
    assert all(len(values) == 2 for values in figures.values())
    assert all(value > 0 for values in figures.values() for value in values)
    for seen, first in zip(figures["image seen (s)"], figures["image to first token (s)"]):
        assert seen < first


def test_the_median_and_the_spread_are_told():
    text = report("Card 9", "8 parameters in bfloat16", {"mask of 1 code (s)": [0.5, 0.1234, 20.0]}, 17_300_000_000)
    assert "8 parameters in bfloat16 with random weights on Card 9; n = 3 repeats, one image." in text
    assert "| mask of 1 code (s) | 0.5 | 0.123 to 20.0 |" in text
    assert "| peak memory (GB) | 17.3 | |" in text


def test_sizes():
    official = config_of(tiny=False, layers=None)
    assert official.text_config.num_hidden_layers == 36
    assert config_of(tiny=False, layers=2).text_config.num_hidden_layers == 2
    assert config_of(tiny=False, layers=2).text_config.hidden_size == official.text_config.hidden_size


def test_the_official_size_is_written_down(monkeypatch, tmp_path, capsys):
    out = tmp_path / "official-size.md"
    tiny = config_of(tiny=True, layers=None)
    monkeypatch.setattr(official_size, "config_of", lambda *_: tiny)
    monkeypatch.setattr(official_size, "build", lambda config, device: build(config, "cpu"))
    main(["--device", "cuda", "--tokens", "3", "--repeats", "1", "--codes", "1", "--out", str(out)])
    assert out.read_text() == capsys.readouterr().out.removesuffix("\n")


def test_the_official_size_on_a_cpu_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--device", "cpu"])
    assert "takes 35 GB and hours on a CPU: use a GPU, or give --layers or --tiny" in capsys.readouterr().err


def test_the_default_precision_is_left_alone():
    build(config_of(tiny=True, layers=None), "cpu")
    assert torch.get_default_dtype() == torch.float32


def test_on_a_gpu_every_weight_is_made_there_in_bfloat16():
    model = build(config_of(tiny=False, layers=None), "meta")  # stands in for a GPU
    parameters = list(model.parameters())
    assert {(value.device.type, value.dtype) for value in parameters} == {("meta", torch.bfloat16)}
    assert sum(value.numel() for value in parameters) == 8_644_966_646


def test_bfloat16_goes_through():
    model = build(config_of(tiny=True, layers=None), "cpu").to(torch.bfloat16)
    assert all(measure(model, tokens=3, codes=[1, 2], repeats=1).values())
