"""What a glance tells, on tiny random models: its form, what it counts, and that it leaves no trace."""

import numpy as np
import pytest
import torch
from tiny_model import tiny_model

from medsight_core.engine.detection import Detections
from medsight_core.engine.engine import Engine
from medsight_core.engine.impression import Impression, impression_of
from medsight_core.engine.selection import entropy
from medsight_core.errors import CancelledError
from medsight_core.imaging.volume import Volume

NAMES = ("right lung", "left lung", "left thalamus")


def volume(seed: int = 0) -> Volume:
    voxels = np.random.default_rng(seed).integers(-1000, 400, (20, 24, 18)).astype(np.int16)
    return Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "CT")


@pytest.fixture(scope="module")
def detecting() -> Engine:
    return Engine(*tiny_model(class_names=["", *NAMES], presence="detected"))


def test_a_volume_at_a_glance(detecting):
    impression = detecting.impression(volume())
    assert np.linalg.norm(impression.vector) == pytest.approx(1.0, abs=1e-5)
    assert impression.vector.dtype == np.float32
    for doubt in (impression.outlines, impression.presence, impression.planes):
        assert 0 < doubt <= 1
    assert impression.uncertainty == pytest.approx((impression.outlines + impression.presence + impression.planes) / 3)


def test_it_looks_the_same_again_and_unlike_another(detecting):
    one, again, other = (detecting.impression(volume(seed)).vector for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other, atol=1e-6)


def test_only_names_of_the_modality_are_doubted(detecting):
    assert detecting.impression(volume()).doubtful in ("right lung", "left lung"), "a CT of the chest has no thalamus"


@torch.no_grad()
def test_the_doubts_are_those_of_the_detections(detecting):
    scores = torch.tensor([[0.5, 0.0, 0.5], [0.5, 0.25, 0.5], [0.5, 0.25, 0.5]])
    told = impression_of(
        detecting.model, torch.randn(1, 4, 4, 32), torch.randn(3, 32), Detections(NAMES, scores, 0.5), NAMES[:2]
    )
    assert told.doubtful == "right lung"
    assert told.presence == pytest.approx((1 + entropy(np.array(0.25))) / 2)
    assert told.planes == pytest.approx(0.125)  # 0.25 once, 0 once


def test_a_model_that_does_not_detect_doubts_outlines_only():
    impression = Engine(*tiny_model(presence="mask")).impression(volume())
    assert (impression.presence, impression.planes, impression.doubtful) == (None, None, "")
    assert impression.uncertainty == impression.outlines


def test_a_glance_uses_what_is_cached_and_keeps_nothing(detecting):
    detecting.cache.clear()
    detecting.impression(volume())
    assert detecting.cache.nbytes == 0
    detecting.ask(volume(), "Outline the right lung.")
    told = []
    detecting.impression(volume(), progress=lambda *now: told.append(now))
    assert told == [], "nothing is encoded again"


def test_a_glance_can_be_stopped(detecting):
    def stop(phase: str, done: float) -> None:
        raise CancelledError("Enough.")

    with pytest.raises(CancelledError):
        detecting.impression(volume(7), progress=stop)


def test_uncertainty_is_the_mean_of_the_doubts_that_there_are():
    assert Impression(np.ones(1), 0.5).uncertainty == 0.5
    assert Impression(np.ones(1), 0.5, 0.1, 0.3).uncertainty == pytest.approx(0.3)
