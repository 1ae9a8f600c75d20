"""More than one of a thing."""

import pytest

from medsight_core.engine.plurals import plural, plurals


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("kidney", "kidneys"),
        ("ribs", "ribs"),
        ("body", "bodies"),
        ("mass", "masses"),
        ("thalamus", "thalami"),
        ("caudate nucleus", "caudate nuclei"),
        ("nucleus caudatus", "nuclei caudati"),
        ("nucleus accumbens", "nuclei accumbentes"),
    ],
)
def test_names_have_a_plural(name, more):
    assert plural(name) == more


def test_people_may_write_another_one():
    assert plurals("amygdala") == {"amygdalae", "amygdalas"}
    assert plurals("hippocampus") == {"hippocampi", "hippocampuses"}
    assert plurals("ribs") == set()
