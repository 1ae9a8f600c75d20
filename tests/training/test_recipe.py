"""Learning rates by step, and changes from text with sentences for those that cannot be."""

from __future__ import annotations

import math

import pytest

from medsight_core.errors import InputError
from medsight_core.training.presets import PRESETS, find_preset
from medsight_core.training.recipe import Recipe, changed, used_precision
from medsight_core.training.stages import PAPER_STAGES, STAGES, find_stage


def test_the_region_stages_cool_once_an_epoch_to_a_hundredth():
    recipe = STAGES["perceiver"].recipe
    rates = [recipe.rate(step, 200, 10) for step in range(200)]
    assert rates[:10] == [1.0] * 10
    assert len(set(rates)) == 20
    assert rates[-1] == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(0.95 * math.pi)))


@pytest.mark.parametrize(("computes", "comes_to"), [(True, "bf16"), (False, "fp32")])
def test_bfloat16_is_taken_where_the_machine_computes_in_it(monkeypatch, computes, comes_to):
    monkeypatch.setattr("medsight_core.training.recipe.computes_bf16", lambda: computes)
    assert used_precision("auto") == comes_to
    assert [used_precision(given) for given in ("bf16", "fp32")] == ["bf16", "fp32"]


def test_the_language_stages_warm_up_and_cool_to_nothing():
    recipe = STAGES["instruct"].recipe
    rates = [recipe.rate(step, 1000, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(1 / 30)
    assert max(rates) == rates[30] == 1.0
    assert rates[1000] == pytest.approx(0.0, abs=1e-9)


def test_the_papers_numbers_are_the_defaults():
    numbers = {name: (r.learning_rate, r.batch, r.epochs) for name, r in ((n, STAGES[n].recipe) for n in PAPER_STAGES)}
    assert numbers == {
        "perceiver": (1e-4, 48, 20),
        "codebook": (1e-4, 16, 3),
        "align-vision": (2e-5, 128, 1),
        "align-text": (5e-4, 8, 3),
        "instruct": (2e-5, 32, 3),
    }
    assert PRESETS["paper"].settings(STAGES["perceiver"], official=True)[1] == STAGES["perceiver"].authors


def test_changes_keep_the_kind_of_a_value():
    assert changed(Recipe(1e-3, 4), {"batch": "8", "checkpointing": "true"}) == Recipe(1e-3, 8, checkpointing=True)
    assert changed({"no_object_weight": 0.1}, {"no_object_weight": "0"}) == {"no_object_weight": 0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bach": "8"}, r"^There is no setting 'bach' in this stage: use one of accumulation, batch, "),
        ({"batch": "many"}, r"^The setting batch is 'many': give a number\.$"),
        ({"checkpointing": "maybe"}, r"^The setting checkpointing is 'maybe': give true or false\.$"),
        ({"steps": "-5"}, r"^steps -5, epochs 1, save_every 500, log_every 10 count things: give whole numbers above"),
        ({"held_out": "1"}, r"^held_out is 1: give a share between 0 and 1 to measure with\.$"),
        ({"precision": "fp8"}, r"^Unknown precision 'fp8': use one of auto, fp32, bf16\.$"),
        ({"optimizer": "sgd"}, r"^Unknown optimizer 'sgd': use adamw or muon\.$"),
        ({"batch": "9", "accumulation": "2"}, r"^A batch of 9 cannot be split into 2 micro-batches: make it a multi"),
    ],
)
def test_impossible_settings_are_told(change, message):
    with pytest.raises(InputError, match=message):
        changed(Recipe(1e-3, 4), change)


def test_unknown_stages_and_presets_are_told():
    with pytest.raises(InputError, match=r"^There is no stage 'vision': use one of tower, perceiver, codebook, align"):
        find_stage("vision")
    with pytest.raises(InputError, match=r"^There is no preset 'big': use one of paper, smoke, demo\.$"):
        find_preset("big")
