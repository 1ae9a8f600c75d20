from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from pydicom.sr._concepts_dict import concepts

from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.terminology import NAMES, coding, color

# Words that DICOM's own dictionary uses for the code of a name, where they are not the name's.
DICOM_WORDS = {
    "ribs": "rib",
    "body": "entire body",
    "pallidum": "globus pallidus",
    "inferior lateral ventricle": "inferior horn of lateral ventricle",
    "brainstem": "brain stem",
    "urinary bladder": "bladder",
    "tumour": "tumor",
    "oedema": "edema",
}
UNCODED = {"fetal head", "liver lesion", "kidney cyst"}


def meanings(scheme: str, value: str) -> set[str]:
    """All meanings that DICOM's tables give a code, lower case."""
    return {
        meaning.lower() for codes in concepts[scheme].values() for code, (meaning, *_) in codes.items() if code == value
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_code_means_in_dicom_what_its_name_says(name: str):
    coded = coding(name)
    side, _, base = name.partition(" ")
    if side not in ("left", "right"):
        side, base = "", name
    if name in UNCODED:
        assert coded == {}
        return
    assert DICOM_WORDS.get(base, base) in meanings(coded["type"]["scheme"], coded["type"]["value"])
    if side:
        assert meanings("SCT", coded["modifier"]["value"]) == {side}
        assert coded["modifier"]["meaning"].lower() == side
    else:
        assert "modifier" not in coded


def test_categories_are_those_of_slicers_own_files():
    import slicerio

    stored = read_segmentation(slicerio.__path__[0] + "/data/Segmentation.seg.nrrd")
    entries = {segment.name: segment.tags["TerminologyEntry"] for segment in stored.segments}
    for theirs, ours in (("ribs", "ribs"), ("right lung", "right lung"), ("left lung", "left lung")):
        coded = coding(ours)
        for part in coded.values():
            assert "^".join((part["scheme"], part["value"], part["meaning"])) in entries[theirs]
    assert meanings("SCT", coding("cyst")["category"]["value"]) == {"morphologically abnormal structure"}
    assert meanings("SCT", coding("cerebrospinal fluid")["category"]["value"]) == {"body substance"}
    assert "tissue" in meanings("SCT", coding("soft tissue")["category"]["value"])


def test_no_two_structures_share_a_code():
    types = {}
    for name in NAMES:
        if coding(name):
            key = tuple(part["value"] for part in coding(name).values())
            assert key not in types, (name, types[key])
            types[key] = name
    assert [name for name in NAMES if coding(name).get("type", {}).get("value") == "78961009"] == ["spleen"]


def test_names_are_found_in_any_spelling_and_unknown_ones_have_no_code():
    assert coding(" Right   LUNG ") == coding("right lung")
    assert coding("right ribs") == {}  # not a pair in the table
    assert coding("flux capacitor") == {}


def test_left_and_right_of_a_pair_and_neighbours_look_different():
    pairs = [name[5:] for name in NAMES if name.startswith("left ")]
    assert len(pairs) > 10
    for base in pairs:
        assert np.abs(np.subtract(color(f"left {base}"), color(f"right {base}"))).max() > 0.1, base
    for group in (
        ("right lung", "left lung", "ribs", "thoracic spine", "lumbar spine"),
        ("liver", "spleen", "stomach"),
    ):
        for one, other in combinations(group, 2):
            assert np.linalg.norm(np.subtract(color(one), color(other))) > 0.2, (one, other)
    assert len({color(name) for name in NAMES}) >= len(NAMES) - len(pairs)


def test_every_colour_is_bright_enough_for_a_grey_image_and_always_the_same():
    for name in (*NAMES, "flux capacitor", "warp core"):
        assert all(0 <= channel <= 1 for channel in color(name))
        assert max(color(name)) >= 0.7
    assert color("Flux  capacitor") == color("flux capacitor") != color("warp core")
