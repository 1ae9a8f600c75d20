"""Soft masks: packed, sent as one file, read again, and damaged ones refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medsight_core.errors import ServerError
from medsight_core.soft_masks import SoftMask, eight_bits, pack, read_soft, write_soft


@pytest.fixture
def probability() -> np.ndarray:
    """A smooth ball beside the middle of an otherwise empty volume (I, J, K)."""
    i, j, k = np.indices((12, 10, 8))
    return np.clip(1 - ((i - 7) ** 2 + (j - 4) ** 2 + (k - 3) ** 2) / 20, 0, 1)


def softened(probability: np.ndarray, threshold: float) -> SoftMask:
    return pack(eight_bits(np.where(probability > 0.1, probability, 0)), probability > threshold, threshold)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.62])
def test_the_outline_comes_back_bit_for_bit_at_its_own_threshold(probability, threshold):
    soft = softened(probability, threshold)
    box = tuple(slice(start, start + size) for start, size in zip(soft.first, soft.shape))
    mask = np.zeros(probability.shape, bool)
    mask[box] = soft.mask(threshold).T
    assert np.array_equal(mask, probability > threshold)
    assert soft.shape < probability.shape, "the empty rest is not sent"
    apart = np.abs(soft.values().T / 255 - probability[box])[probability[box] > 0.1]
    assert apart.max() <= 1 / 255


def test_a_half_is_not_more_than_a_half():
    assert eight_bits(np.array([0.0, 0.5, 0.5000001, 1.0])).tolist() == [0, 127, 128, 255]


def test_where_rounding_disagrees_with_the_outline_the_outline_counts(probability):
    mask = probability > 0.5
    mask[7, 4, 3] = False
    soft = pack(eight_bits(probability), mask, 0.5)
    assert int(soft.mask(0.5).sum()) == int(mask.sum())


def test_all_masks_travel_in_one_file(probability):
    sent = {1: softened(probability, 0.5), 7: softened(probability[::-1], 0.3)}
    assert read_soft(write_soft(sent)) == sent
    assert read_soft(write_soft({})) == {}


def test_a_file_that_is_not_whole_is_refused(probability):
    content = write_soft({1: softened(probability, 0.5)})
    head = json.loads(content.partition(b"\n")[0])
    for damaged in (
        b"",
        b"[]\n",
        content[:-1],
        content.replace(b'"version": 1', b'"version": 2'),
        json.dumps({**head, "regions": [{**head["regions"][0], "shape": [1 << 20, 1 << 20, 1]}]}).encode()
        + b"\n"
        + content,
        json.dumps({**head, "regions": [{**head["regions"][0], "first": [0, 0]}]}).encode() + b"\n" + content,
        json.dumps({**head, "regions": [{"label": 1}]}).encode() + b"\n",
    ):
        try:
            read_soft(damaged)
        except ValueError:  # the client has the sentence
            continue
        pytest.fail("a damaged file was read")


@pytest.mark.parametrize(
    "packed", [b"", b"no zlib", pack(np.ones((3, 3, 3), np.uint8), np.ones((3, 3, 3), bool), 0.5).packed]
)
def test_damaged_values_are_one_sentence(packed):
    with pytest.raises(ServerError, match="The soft mask that the server sent is damaged: ask again"):
        SoftMask(0.5, (0, 0, 0), (4, 4, 4), packed).mask(0.5)
