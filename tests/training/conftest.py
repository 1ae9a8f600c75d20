"""Generated images, conversations and a tiny model that fits them: enough to run every stage for some steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import save_tiny_model

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.coded import CodedImage, CodedMask
from medsight_core.data.converse import write_conversations
from medsight_core.data.converse_by_template import TemplateAuthor
from sample_data.phantom import write_descriptions, write_phantoms

PERCEIVER = {"num_queries": 5, "num_heads": 2, "head_dim": 8, "ffn_ratio": 2, "num_classes": 17, "num_stages": 2}


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Meta file of 24 labelled images of 56 pixels."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), images=24, side=56, seed=0)


@pytest.fixture(scope="session")
def descriptions(phantoms) -> Path:
    """Questions about the phantoms, without masks."""
    path = phantoms.parent / "descriptions.json"
    write_descriptions(phantoms, path, seed=0)
    return path


@pytest.fixture(scope="session")
def grounded(phantoms) -> Path:
    """Conversations about the phantoms with codes that stand for names."""
    images = BiomedParse(phantoms)
    names = sorted({mask.name for image in images for mask in image.masks})
    coded = [
        CodedImage(
            image.id,
            image.path,
            image.modality,
            tuple(
                CodedMask(str(mask.id), mask.path, mask.name, f"M{image.modality}_{names.index(mask.name)}")
                for mask in image.masks
            ),
        )
        for image in images
    ]
    path = phantoms.parent / "grounded.jsonl"
    write_conversations(coded, TemplateAuthor(coded, 0), path, path.parent, per_image=1)
    return path


@pytest.fixture(scope="session")
def start_model(tmp_path_factory) -> Path:
    """A tiny random model with as many classes as the phantoms have categories."""
    return save_tiny_model(tmp_path_factory.mktemp("start"), perceiver_config=PERCEIVER)


@pytest.fixture(scope="session")
def detecting_model(phantoms, tmp_path_factory) -> Path:
    """One that is told what its class head detects."""
    names = tuple("" if name == "background" else name for name in BiomedParse(phantoms).categories)
    return save_tiny_model(
        tmp_path_factory.mktemp("detecting"), perceiver_config=PERCEIVER, presence="detected", show_detections=True,
        class_names=names + ("",) * (17 - len(names)),
    )  # fmt: skip
