"""Replies on disk: what was asked is found again, and what a killed run left half written does no harm."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.errors import InputError
from medsight_core.evaluation.predictions import Prediction, PredictionStore


def prediction(name, key="k", reply="Liver [M0_16].", **fields):
    return Prediction(name, key, reply, **fields)


def grounded(name, key="k"):
    maps = np.arange(8, dtype=np.float16).reshape(2, 2, 2)
    return prediction(name, key, codes=("M0_16", "M0_7"), presence=(0.5, 1.0), shape=(4, 6), maps=maps)


def test_what_is_added_is_read_again(tmp_path):
    PredictionStore(tmp_path).add(grounded("../one"))
    store = PredictionStore(tmp_path)
    (found,) = store.in_file_order({"../one": "k"})
    assert (found.codes, found.presence, found.shape, found.maps) == (("M0_16", "M0_7"), (0.5, 1.0), (4, 6), None)
    np.testing.assert_array_equal(store.with_maps(found).maps, grounded("x").maps)
    assert not (tmp_path.parent / "one").exists()


def test_only_replies_with_the_right_key_count(tmp_path):
    store = PredictionStore(tmp_path)
    store.add(prediction("one", "old", "before"))
    store.add(prediction("two"))
    store.add(prediction("one", "new", "after"))
    keys = {"one": "new", "two": "other"}
    assert store.done(keys) == {"one"}
    assert [found.reply for found in store.in_file_order(keys)] == ["after"]


def test_a_line_without_an_end_is_cut_off(tmp_path):
    store = PredictionStore(tmp_path)
    store.add(prediction("one"))
    with store.file.open("a") as file:
        file.write('{"id": "two", "key": "k", "rep')
    resumed = PredictionStore(tmp_path)
    assert resumed.done({"one": "k", "two": "k"}) == {"one"}
    resumed.add(prediction("two"))
    assert PredictionStore(tmp_path).done({"one": "k", "two": "k"}) == {"one", "two"}


def test_sorting_changes_the_files_order(tmp_path):
    store = PredictionStore(tmp_path)
    for name in "bca":
        store.add(prediction(name))
    store.sort("abc")
    again = PredictionStore(tmp_path)
    assert [found.id for found in again.in_file_order(dict.fromkeys("abc", "k"))] == ["a", "b", "c"]


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    store = PredictionStore(tmp_path)
    store.file.write_text('{"id": 1}\n')
    with pytest.raises(InputError) as caught:
        PredictionStore(tmp_path)
    assert str(caught.value) == (
        f"Line 1 of '{store.file}' is not a prediction: delete the file, or give another --out."
    )


def test_missing_maps_are_told(tmp_path):
    store = PredictionStore(tmp_path)
    store.add(grounded("one"))
    (path,) = (tmp_path / "maps").rglob("*.npz")
    path.unlink()
    (found,) = store.in_file_order({"one": "k"})
    with pytest.raises(InputError) as caught:
        store.with_maps(found)
    assert str(caught.value) == (f"The maps '{path}' are missing or damaged: delete '{store.file}' and evaluate again.")
