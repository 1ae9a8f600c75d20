"""The cache: never another image's entry, never more than its bytes."""

import pytest
import torch

from medsight_core.engine.cache import PlaneCache


def maker(value: float, size: int = 4, made: list | None = None):
    def make(missing):
        for place in missing:
            if made is not None:
                made.append(place)
            yield torch.full((size,), value)

    return make


def test_only_what_is_missing_is_made():
    cache, made = PlaneCache(), []
    cache.get("ac", maker(1.0))
    values = cache.get("abcd", maker(2.0, made=made))
    assert [value[0] for value in values] == [1, 2, 1, 2]
    assert made == [1, 3]
    assert cache.get("b", maker(3.0))[0] is values[1]
    assert (cache.hits, cache.misses) == (3, 4)


def test_the_entry_unused_for_longest_goes_first():
    cache = PlaneCache(capacity=3 * 16)
    cache.get("abc", maker(0.0))
    cache.get("a", maker(1.0))
    cache.get("d", maker(0.0))
    assert cache.nbytes == 48
    assert cache.get("a", maker(1.0))[0].sum() == 0  # still the first one
    assert cache.get("b", maker(1.0))[0].sum() == 4  # made anew


def test_more_than_fits_is_still_given_whole():
    cache = PlaneCache(capacity=2 * 16)
    assert len(cache.get("abcde", maker(1.0))) == 5
    assert (len(cache), cache.nbytes) == (2, 32)


def test_a_value_above_the_capacity_is_not_kept():
    cache = PlaneCache(capacity=8)
    assert len(cache.get("a", maker(1.0, size=100))[0]) == 100
    assert cache.nbytes == 0


def test_who_only_passes_by_leaves_nothing():
    cache = PlaneCache()
    assert cache.get("a", maker(1.0), keep=False)[0].sum() == 4
    assert cache.nbytes == 0
    kept = cache.get("a", maker(0.0))[0]
    assert cache.get("a", maker(1.0), keep=False)[0] is kept


def test_what_was_made_before_an_error_is_kept():
    cache = PlaneCache()

    def breaks(missing):
        yield torch.ones(4)
        raise RuntimeError("Enough.")

    with pytest.raises(RuntimeError):
        cache.get("ab", breaks)
    assert (len(cache), cache.nbytes) == (1, 16)
    made = []
    cache.get("ab", maker(1.0, made=made))
    assert made == [1]
