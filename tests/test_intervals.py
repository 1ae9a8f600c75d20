"""Bootstrap intervals: repeatable, around the mean, by group."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.intervals import bootstrap_interval, wilson_interval


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    values = np.random.default_rng(0).random(50).tolist()
    assert bootstrap_interval([values], 3) == bootstrap_interval([values], 3)
    assert bootstrap_interval([values], 3) != bootstrap_interval([values], 4)


def test_it_agrees_with_the_normal_approximation():
    # Mean 0.5 of 400 zeros and ones: standard error 0.5 / 20 = 0.025, so 0.5 +- 1.96 * 0.025.
    low, high = bootstrap_interval([[0.0, 1.0] * 200], 0)
    assert low == pytest.approx(0.451, abs=0.008)
    assert high == pytest.approx(0.549, abs=0.008)


def test_groups_count_alike_however_many_values_they_have():
    # Neither group has any spread, so the mean of means is certain: 0.5.
    assert bootstrap_interval([[0.0] * 100, [1.0, 1.0]], 0) == (0.5, 0.5)


@pytest.mark.parametrize("groups", [[], [[0.4]], [[0.1, 0.9], [0.4]]])
def test_a_single_value_has_no_interval_and_does_not_pass_for_certain(groups):
    assert bootstrap_interval(groups, 0) is None


@pytest.mark.parametrize("count", [1, 3, 516, 942, 10_007])
def test_an_interval_of_none_begins_at_nothing_and_one_of_all_ends_at_one(count):
    assert wilson_interval(0, count)[0] == 0.0
    assert wilson_interval(count, count)[1] == 1.0
    assert 0 < wilson_interval(0, count)[1] < 1
    assert 0 < wilson_interval(count, count)[0] < 1
