"""The same image to the same place; new ones to where there is least to do."""

from __future__ import annotations

from medsight_core.server import places as module
from medsight_core.server.places import Places


def test_an_image_keeps_its_place_however_many_wait_there():
    places = Places(2)
    assert places.known("a") is None
    assert places.of("a", [0, 0]) == places.of("a", [9, 0]) == places.known("a") == 0


def test_a_new_image_goes_where_fewest_wait_then_where_fewest_images_are():
    places = Places(3)
    assert [places.of(image, [0, 0, 0]) for image in "abcd"] == [0, 1, 2, 0]
    assert places.of("e", [2, 2, 1]) == 2
    assert places.of("f", [0, 0, 0]) == 1


def test_what_was_asked_about_longest_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    places = Places(2)
    for image in ("a", "b", "a", "c"):
        places.of(image, [0, 0])
    assert (places.known("a"), places.known("b")) == (0, None)
