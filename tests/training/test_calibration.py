"""Probabilities that mean what they say, fitted on held-out images."""

import json

import numpy as np
import pytest
import torch
from tiny_model import tiny_model
from training_sets import write_labelled

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.engine.detection import calibrated
from medsight_core.errors import InputError
from medsight_core.training.calibration import fit_lines, presence_scores

NAMES = ("", "liver", "", "right kidney")


def overconfident(rng: np.random.Generator, count: int) -> np.ndarray:
    """Raw scores whose logits are three times too far from 0, and what is there."""
    z = rng.normal(0, 1.5, count)
    truth = rng.random(count) < 1 / (1 + np.exp(-z))
    return np.stack([1 / (1 + np.exp(-3 * z)), truth], axis=1)


def gap(pairs: np.ndarray) -> float:
    """Mean distance of probability and frequency over ten bins."""
    bins = np.minimum((pairs[:, 0] * 10).astype(int), 9)
    return sum(abs(pairs[bins == b, 0].mean() - pairs[bins == b, 1].mean()) * (bins == b).mean() for b in set(bins))


def test_an_overconfident_head_is_put_right_on_other_images():
    rng = np.random.default_rng(0)
    line = fit_lines({"liver": overconfident(rng, 2000)})["liver"]
    assert line[0] == pytest.approx(1 / 3, abs=0.05)
    assert line[1] == pytest.approx(0, abs=0.2)
    fresh = overconfident(rng, 2000)
    put_right = np.stack([calibrated(torch.tensor(fresh[:, :1]), torch.tensor([line]))[:, 0], fresh[:, 1]], axis=1)
    assert gap(fresh) > 0.1
    assert gap(put_right) < 0.04


def test_a_name_that_is_hardly_ever_there_takes_the_line_of_all():
    rng = np.random.default_rng(1)
    rare = np.stack([rng.random(40), np.arange(40) < 4], axis=1)
    often = overconfident(rng, 500)
    lines = fit_lines({"liver": often, "nodule": rare})
    together = fit_lines({"any": np.concatenate([often, rare])})
    assert lines["nodule"] == pytest.approx(together["any"], rel=1e-2)
    assert lines["liver"] != pytest.approx(lines["nodule"], rel=1e-2)


def test_scores_are_of_names_that_the_dataset_labels_and_the_image_shows_clearly(tmp_path):
    meta = write_labelled(tmp_path)
    listing = json.loads((tmp_path / "phantoms" / "train.json").read_text())
    listing["images"][0]["unclear"] = ["liver"]
    (tmp_path / "phantoms" / "train.json").write_text(json.dumps(listing))
    model, processor = tiny_model(class_names=NAMES)
    scores = presence_scores(model, processor, BiomedParse(meta))
    assert scores["right kidney"][:, 1].tolist() == [0, 1, 1]
    assert scores["liver"][:, 1].tolist() == [0, 1], "the first image is left out: unclear there"
    assert ((scores["liver"][:, 0] > 0) & (scores["liver"][:, 0] < 1)).all()


def test_classes_need_names(tmp_path):
    model, processor = tiny_model()
    with pytest.raises(InputError, match=r"^The model's classes have no names: give config.json class_names first.$"):
        presence_scores(model, processor, BiomedParse(write_labelled(tmp_path)))
