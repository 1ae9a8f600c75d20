"""Entries that hold for one content of one image and one model, and survive a restart."""

import os

import numpy as np
import pytest

from medsight_core.data.worklist import Worklist
from medsight_core.engine.impression import Impression
from medsight_core.files import file_hash

IMPRESSION = Impression(np.array([0.6, 0.8], np.float32), 0.25, 0.5, 0.125, "left lung")


class Looks:
    """Counts how often an image is looked at."""

    def __init__(self, impression=IMPRESSION):
        self.impression, self.paths = impression, []

    def __call__(self, path):
        self.paths.append(path)
        return self.impression


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"first")
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "medsight" / "worklist.json"


def same(one: Impression, other: Impression) -> bool:
    return (
        np.array_equal(one.vector, other.vector)
        and one.vector.dtype == other.vector.dtype
        and (one.outlines, one.presence, one.planes, one.doubtful)
        == (other.outlines, other.presence, other.planes, other.doubtful)
    )


def test_an_image_is_looked_at_once_even_after_a_restart(image, file):
    look = Looks()
    worklist = Worklist(file, "model-1")
    assert worklist.impressions({"a": image}) == {"a": None}
    assert worklist.update("a", image, look)
    assert not worklist.update("a", image, look)
    worklist.save()
    again = Worklist(file, "model-1")
    assert not again.update("a", image, look)
    assert same(again.impressions({"a": image})["a"], IMPRESSION)
    assert len(look.paths) == 1


def test_what_a_model_does_not_detect_survives_too(image, file):
    worklist = Worklist(file, "model-1")
    worklist.update("a", image, Looks(Impression(np.ones(1, np.float32), 0.5)))
    worklist.save()
    back = Worklist(file, "model-1").impressions({"a": image})["a"]
    assert (back.outlines, back.presence, back.planes, back.doubtful) == (0.5, None, None, "")


def test_another_model_looks_anew(image, file):
    worklist = Worklist(file, "model-1")
    worklist.update("a", image, Looks())
    worklist.save()
    assert Worklist(file, "model-2").impressions({"a": image}) == {"a": None}


def test_a_changed_image_is_not_what_was_looked_at(image, file):
    worklist, look = Worklist(file, "model-1"), Looks()
    worklist.update("a", image, look)
    assert worklist.content("a", image) == file_hash(image)
    image.write_bytes(b"second, longer")
    assert worklist.impressions({"a": image}) == {"a": None}
    assert worklist.content("a", image) == worklist.content("b", image) == ""
    assert worklist.update("a", image, look)
    assert len(look.paths) == 2


def test_a_touched_or_copied_image_is_the_same(image, file):
    worklist, look = Worklist(file, "model-1"), Looks()
    worklist.update("a", image, look)
    os.utime(image, ns=(1, 1))
    assert worklist.update("a", image, look), "its time is noted"
    assert worklist.impressions({"a": image})["a"] is not None
    assert len(look.paths) == 1


def test_an_unreadable_image_is_tried_once(image, file):
    worklist, look = Worklist(file, "model-1"), Looks(None)
    worklist.update("a", image, look)
    worklist.save()
    again = Worklist(file, "model-1")
    assert not again.update("a", image, look)
    assert again.impressions({"a": image}) == {"a": None}
    assert len(look.paths) == 1


def test_an_image_that_goes_is_forgotten(image, file):
    worklist = Worklist(file, "model-1")
    worklist.update("a", image, Looks())
    assert not worklist.forget_all_but({"a": image})
    assert worklist.forget_all_but({})
    image.unlink()
    assert worklist.impressions({"a": image}) == {"a": None}
    assert not worklist.update("a", image, Looks()), "it went while it waited to be looked at"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": 1, "model": "model-1", "images": {"a": {}}}', b"\xff"]
)
def test_a_damaged_file_is_made_anew(image, file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    worklist = Worklist(file, "model-1")
    assert worklist.update("a", image, Looks())
    worklist.save()
    assert Worklist(file, "model-1").impressions({"a": image})["a"] is not None


def test_another_version_looks_anew_and_the_old_impression_counts_until_then(image, file):
    look = Looks()
    worklist = Worklist(file, "model-1")
    worklist.update("a", image, look)
    worklist.of_model("model-2")
    assert same(worklist.impressions({"a": image})["a"], IMPRESSION)
    worklist.save()
    assert Worklist(file, "model-2").impressions({"a": image}) == {"a": None}, "what model-1 saw is not model-2's"
    assert worklist.update("a", image, look)
    assert not worklist.update("a", image, look)
    worklist.save()
    assert same(Worklist(file, "model-2").impressions({"a": image})["a"], IMPRESSION)
    assert len(look.paths) == 2
