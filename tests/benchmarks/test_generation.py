"""The benchmark of generated planes, on planes of no size."""

from __future__ import annotations

from benchmarks import generation
from benchmarks.generation import main, measure, report
from sample_data.generate.sources import Material, sources


def test_a_source_that_is_there_is_measured_and_another_is_told(capsys):
    assert main(["--sources", "abdomen,fetal", "--scans", "2", "--side", "32"]) == 0
    said = capsys.readouterr().out
    assert "fetal: left out. Fetal heads are needed: give the folder of HC18 with --fetal." in said
    assert "A plane of 32 pixels with its mask files; n = 2 scans of each source" in said
    assert [line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| `")] == ["`abdomen`"]


def test_what_is_read_once_does_not_count(monkeypatch):
    clock, seen = [0.0], set()

    def write_scan(job):
        clock[0] += 0.024 if job.unit in seen else 60.0
        seen.add(job.unit)
        return [None] * 8

    monkeypatch.setattr(generation, "write_scan", write_scan)
    monkeypatch.setattr(generation.time, "process_time", lambda: clock[0])
    (abdomen,) = sources(["abdomen"])
    assert [round(value, 6) for value in measure(abdomen, Material(), scans=2, side=32)] == [3.0, 3.0]


def test_median_and_spread_are_told():
    text = report({"abdomen": [30.0, 50.4, 41.0]}, 256)
    assert "A plane of 256 pixels with its mask files; n = 3 scans of each source, " in text
    assert "| `abdomen` | 41 | 30 to 50 |" in text


def test_an_unknown_source_is_told(capsys):
    assert main(["--sources", "nothing"]) == 2
    assert "There is no source 'nothing'" in capsys.readouterr().err
