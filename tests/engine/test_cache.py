"""The feature cache: never another image's entry, never more than its bytes."""

import torch

from medsight_core.engine.cache import FeatureCache


def test_a_value_is_made_once():
    cache, calls = FeatureCache(), []

    def make():
        calls.append(1)
        return torch.zeros(4)

    assert cache.get("a", make) is cache.get("a", make)
    assert len(calls) == 1


def test_the_entry_unused_for_longest_goes_first():
    cache = FeatureCache(capacity=3 * 16)
    for key in "abc":
        cache.get(key, lambda: torch.zeros(4))
    cache.get("a", lambda: torch.ones(4))
    cache.get("d", lambda: torch.zeros(4))
    assert cache.nbytes == 48
    assert cache.get("a", lambda: torch.ones(4)).sum() == 0  # still the first one
    assert cache.get("b", lambda: torch.ones(4)).sum() == 4  # made anew


def test_a_value_above_the_capacity_is_not_kept():
    cache = FeatureCache(capacity=8)
    assert len(cache.get("a", lambda: torch.zeros(100))) == 100
    assert cache.nbytes == 0
