"""The benchmark of few bits on sizes that take no time; its figures of the shipped model are in docs/performance.md."""

from __future__ import annotations

import pytest

pytest.importorskip("torchao")

from benchmarks.quantized import loading, official_layer, paired


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_layer_shrinks_and_drifts_with_fewer_bits():
    head, _, *rows = official_layer(1, tiny=True)
    assert cells(head)[:4] == ["one layer", "MB", "of float32", "relative error"]
    table = {cells(row)[0]: cells(row) for row in rows}
    assert list(table) == ["whole, float32", "bfloat16", "8 bits", "4 bits"]
    shares, errors = ([float(row[column]) for row in table.values()] for column in (2, 3))
    assert shares[0] == 1 > shares[1] > shares[2] > shares[3] > 0.1
    assert errors[0] == 0 < errors[1] < errors[2] < errors[3] < 0.3


def test_what_loading_takes_is_told_for_each():
    rows = [cells(line) for line in loading(tiny=True)[2:]]
    assert [row[0] for row in rows] == ["whole, float32", "8 bits", "4 bits"]
    assert all(float(row[3]) > 0 for row in rows)


def test_differences_are_of_planes():
    assert paired([[0.5, 0.7], [0.9]], [[0.6, 0.8], [1.0]]) == "-0.1000 (-0.1000 to -0.1000)"
    assert paired([[1.0]], [[0.0]]) == "+1.0000 (+nan to +nan)"
