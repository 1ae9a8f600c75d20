"""What the module offers in Slicer's Sample Data, on a stand-in that takes what the real one takes."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import slicer


@pytest.fixture
def registered(monkeypatch) -> list[dict]:
    """What was registered, with a Sample Data module around."""
    found: list[dict] = []

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(
            category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
            thumbnailFileName=None, loadFileTypes=None, loadFiles=None, loadFileProperties=None, checksums=None,
        ):  # fmt: skip
            found.append({name: value for name, value in locals().items() if value is not None and name != "found"})

    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=SampleDataLogic))
    return found


def test_samples_are_offered_once_slicer_has_started(medsight_module, registered):
    from MedSIGHTLib.samples import SAMPLES

    assert not registered, "Sample Data may not be there yet"
    slicer.app.start_up()
    assert len(registered) == len(SAMPLES)
    for sample in registered:
        assert sample["category"] == "MedSIGHT"
        assert sample["uris"].startswith("https://")
        algorithm, digest = sample["checksums"].split(":")
        assert algorithm == "SHA256"
        assert sample["uris"].endswith(digest)
        assert len(bytes.fromhex(digest)) == 32
        assert Path(sample["thumbnailFileName"]).read_bytes().startswith(b"\x89PNG")


def test_a_slicer_without_sample_data_starts_all_the_same(medsight_module, monkeypatch):
    from MedSIGHTLib.samples import offer_samples

    monkeypatch.setitem(sys.modules, "SampleData", None)
    offer_samples("nowhere.png")
