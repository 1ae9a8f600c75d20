"""Volumes to try the module on, in Slicer's own Sample Data module: public ones, fetched when a person asks."""

from __future__ import annotations

from typing import NamedTuple

CATEGORY = "MedSIGHT"
_ADDRESS = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"


class Sample(NamedTuple):
    """One volume. digest: SHA-256 of its file, which is also where it lies."""

    name: str
    file: str
    digest: str


SAMPLES = (
    Sample("CTChest", "CT-chest.nrrd", "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"),
    Sample("MRHead", "MR-head.nrrd", "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"),
)


def offer_samples(thumbnail: str) -> None:
    """Put them into Sample Data, where this Slicer has it. thumbnail: path of a picture."""
    try:
        import SampleData  # of the application, and only there
    except ImportError:
        return
    for sample in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=f"MedSIGHT{sample.name}",
            thumbnailFileName=thumbnail,
            uris=_ADDRESS + sample.digest,
            fileNames=sample.file,
            nodeNames=sample.name,
            checksums=f"SHA256:{sample.digest}",
        )
