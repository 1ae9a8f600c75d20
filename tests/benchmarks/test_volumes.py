"""The volume benchmark measures what it says: its baseline is the plane question, and its idle model does nothing."""

import numpy as np
import pytest
from tiny_model import tiny_model

from benchmarks.volumes import WithoutModel, every_plane, job, resampled
from medsight_core.engine.engine import Engine
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import PlaneRequest

NAMES = ("", "right lung", "left lung", "left thalamus")


@pytest.fixture
def engine():
    settings = {"class_names": NAMES, "presence": "detected", "show_detections": True, "correct_words": True}
    lungs = {f"M{modality}_{code}": "right lung" for modality in range(18) for code in range(32)}
    return Engine(*tiny_model(**settings, presence_threshold=0.1, names_of_codes=lungs))


@pytest.fixture
def volume():
    voxels = np.random.default_rng(0).integers(-1000, 400, (24, 24, 6)).astype(np.int16)
    return Volume(voxels, np.diag([2.0, 2.0, 1.0, 1.0]), "CT")


def test_every_plane_is_what_plane_questions_outline_together(engine, volume):
    found = np.zeros(volume.shape, bool)
    for index in range(volume.shape[2]):
        answer = engine.ask(volume, "Outline the right lung.", "plane", PlaneRequest("axial", index))
        for region in answer.regions:
            if region.name == "right lung":
                found |= region.mask
    assert found.any(), "the seed must make the random model outline something"
    np.testing.assert_array_equal(every_plane(engine, volume, "right lung"), found)


def test_a_job_without_the_model_still_outlines_and_computes_nothing(engine, volume, monkeypatch):
    idle = WithoutModel(engine, "right lung")
    monkeypatch.setattr(engine.model.vision, "forward", None)
    monkeypatch.setattr(engine.model.language, "forward", None)
    with idle.idle():
        job(idle, volume)
    with pytest.raises(TypeError):
        job(WithoutModel(engine, "right lung"), volume)


def test_a_resampled_volume_covers_the_same_box(volume):
    large = resampled(volume, (48, 36, 30))
    assert large.shape == (48, 36, 30)
    for corner in (0, 1):
        ends = [volume.affine @ [*(np.array(v.shape) * corner - 0.5), 1] for v in (volume,)]
        others = [large.affine @ [*(np.array(large.shape) * corner - 0.5), 1]]
        np.testing.assert_allclose(ends, others, atol=1e-9)
