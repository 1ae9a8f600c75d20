"""The examination of the shipped model: truth on the image's own voxels, honest figures."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.demo.degrade import WORSE, blank
from benchmarks.demo.exams import Exam, voxel_truth
from benchmarks.demo.figures import at_chance, balanced, calibration_error, macro_dice, rank_correlation, rate
from benchmarks.demo.trials import Slice, Trial, outline_trials, slices_of
from medsight_core.answer import Answer, ModelInfo, Region
from medsight_core.imaging.volume import Volume
from sample_data.generate.scan import Layer, Scan


def trial(**fields) -> Trial:
    base = {"kind": "outline", "site": "brain", "subject": "a", "orientation": "axial", "name": "brain"}
    return Trial(**{**base, "present": True, "accepted": True, **fields})


def scan(axes: tuple[int, int, int], signs: tuple[int, int, int]) -> Scan:
    """Labels with one marked point at L=6, P=4, S=2 mm, and a volume that stores the patient's axes another way."""
    labels = np.zeros((8, 6, 4), np.uint8)
    labels[6, 4, 2] = 3
    affine = np.eye(4)
    affine[:3, :3] = 0
    shape = [0, 0, 0]
    for axis, (along, sign) in enumerate(zip(axes, signs)):  # voxel axis that runs along L, P and S
        affine[axis, along], shape[along] = sign, labels.shape[axis]
        affine[axis, 3] = 0 if sign > 0 else labels.shape[axis] - 1
    volume = Volume(np.zeros(shape, np.int16), affine, "MR")
    return Scan(volume, (Layer(labels, {"left thalamus": (3,)}),), np.ones(3), np.zeros(3))


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_truth_lies_where_the_labels_lie_in_the_patient(axes, signs):
    made = scan(axes, signs)
    (place,) = np.argwhere(voxel_truth(made)["left thalamus"])
    assert (made.volume.affine @ [*place, 1])[:3].tolist() == [6, 4, 2]


def test_labels_do_not_reach_beyond_their_grid():
    made = scan((0, 1, 2), (1, 1, 1))
    shifted = Scan(made.volume, made.layers, made.spacing, np.array([100.0, 0, 0]))
    assert not voxel_truth(shifted)["left thalamus"].any()


def exam() -> Exam:
    half = np.zeros((10, 10, 4), bool)
    half[:5] = True
    tip = np.zeros_like(half)
    tip[9, 9] = True
    volume = Volume(np.zeros(half.shape, np.int16), np.eye(4), "MR")
    truth = {"right thalamus": half, "left thalamus": ~half, "brain": tip}
    return Exam("brain", "a", volume, truth, ("right thalamus", "left thalamus", "brain", "tumour"))


def test_a_slice_shows_names_clearly_or_not_at_all():
    assert exam().visible("axial", 2) == (["right thalamus", "left thalamus", "brain"], ["tumour"])
    assert exam().visible("sagittal", 1) == (["right thalamus"], ["left thalamus", "brain", "tumour"])
    assert len(list(slices_of(exam(), 3, ["axial"], np.random.default_rng(0)))) == 3


class Answering:
    """Stands for an engine: outlines what it was given, whatever is asked."""

    def __init__(self, name: str | None, mask: np.ndarray) -> None:
        self.name, self.mask = name, mask

    def detect(self, *_: object) -> dict[str, float]:
        return {"right thalamus": 0.75}

    def ask(self, *_: object) -> Answer:
        model = ModelInfo(id="m", version="1", licence="x")
        if self.name is None:
            return Answer("The thing is not seen.", (), ("thing",), "plane", model, {})
        region = Region(1, self.name, "M10_0", (0, 1), 0.8, 1.0, (0, 1), (1.0, 0, 0), {}, self.mask)
        return Answer("x", (region,), (), "plane", model, {})


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def outcomes(name: str | None, mask: np.ndarray) -> dict[str, Trial]:
    plane = Slice(exam(), "axial", 2)
    asked = outline_trials(Answering(name, mask), plane, 5, ["liver"], np.random.default_rng(0))  # type: ignore[arg-type]
    return {each.name: each for each in asked}


def test_a_right_outline_and_a_swapped_one_are_told_apart():
    half = exam().truth["right thalamus"]
    right = outcomes("right thalamus", half)["right thalamus"]
    assert (right.dice, right.swapped, right.accepted, right.presence) == (1.0, False, True, 0.75)
    wrong = outcomes("right thalamus", ~half)["right thalamus"]
    assert (wrong.dice, wrong.swapped) == (0.0, True)
    assert wrong.misnamed


def test_refused_present_things_count_zero_and_outlined_absent_ones_are_false():
    refused = outcomes(None, np.zeros(0, bool))
    assert refused["right thalamus"].dice == 0.0
    assert not refused["right thalamus"].accepted
    assert not refused["tumour"].accepted
    assert outcomes("tumour", exam().truth["brain"])["tumour"].accepted


def test_where_nothing_of_its_own_is_missing_foreign_names_are_asked_for():
    whole = replace(exam(), names=("right thalamus", "left thalamus"))
    asked = outline_trials(Answering(None, np.zeros(0, bool)), Slice(whole, "axial", 2), 5, ["liver"], rng())  # type: ignore[arg-type]
    assert [trial.name for trial in asked if not trial.present] == ["liver"]


def test_worse_copies_keep_the_grid_and_change_the_voxels():
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 1000, (12, 12, 12)).astype(np.int16)
    volume = Volume(voxels, np.diag([1.0, 1, 2, 1]), "MR")
    for make in WORSE.values():
        worse = make(volume, rng)
        assert worse.shape == volume.shape
        assert np.array_equal(worse.affine, volume.affine)
        assert (worse.voxels != voxels).mean() > 0.5
    assert np.ptp(blank(volume).voxels) == 0


def test_figures_say_what_they_should():
    many = [trial(dice=0.5, name="brain") for _ in range(4)] + [trial(dice=1.0, name="lesion") for _ in range(40)]
    figure = macro_dice("Dice", many, goal=0.8)
    assert (figure.value, figure.met, figure.n) == (0.75, False, 44), "each name counts the same"
    assert math.isnan(macro_dice("Dice", []).value)
    swaps = rate("swaps", [False] * 50, most=0.0)
    assert (swaps.value, swaps.met) == (0.0, True)
    assert 0 < swaps.high < 0.1, "none seen is not none possible"
    assert balanced("yes", [trial(said="yes"), trial(said="yes", present=False)]).value == 0.5


def test_answers_about_nothing_must_be_at_chance():
    always_no = [trial(said="no", present=present) for present in (True, False)] * 20
    assert at_chance("blank", always_no).met
    knowing = [trial(said="yes" if present else "no", present=present) for present in (True, False)] * 20
    assert at_chance("blank", knowing).met is False, "it reads the question, not the image"


def test_calibration_and_rank():
    rng = np.random.default_rng(0)
    honest = [trial(presence=p, present=bool(rng.random() < p)) for p in rng.random(3000)]
    boastful = [trial(presence=0.99, present=bool(rng.random() < 0.5)) for _ in range(300)]
    assert calibration_error("ece", honest, most=0.05).met
    assert calibration_error("ece", boastful).value == pytest.approx(0.49, abs=0.06)
    ordered = [trial(confidence=n / 20, dice=(n / 20) ** 2) for n in range(20)]
    assert rank_correlation("rank", ordered, least=0.5).value == pytest.approx(1.0)
