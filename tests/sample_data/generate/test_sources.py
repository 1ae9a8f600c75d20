"""The list of sources: names that the terminology knows, room in the tables of codes, nobody on both sides."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from medsight_core.errors import InputError, NotFoundError
from medsight_core.terminology import NAMES, split_side
from sample_data.generate.sources import SOURCES, Material, sources, split


def subjects_of(name: str, material: Material, held_out: bool) -> set[str]:
    (source,) = sources([name])
    return {source.draw_subject(material, held_out, np.random.default_rng(seed)) for seed in range(60)}


def test_every_name_is_in_the_terminology():
    for source in SOURCES:
        assert set(source.names) <= set(NAMES), source.name
        assert {split_side(name)[1] for name in source.names} <= set(NAMES), source.name


def test_a_scan_is_labelled_with_the_names_of_its_source(maps, tmp_path):
    material = Material(labels=maps, studies=tmp_path)
    for name in ("brain-maps", "head-ct-maps", "chest-phantom", "chest-maps", "abdomen"):
        (source,) = sources([name])
        rng = np.random.default_rng(0)
        scan, _ = source.scan(material, source.draw_subject(material, False, rng), rng)
        assert scan.names == source.names


def test_a_table_of_codes_has_room_for_all_its_names():
    names: dict[int, set[str]] = defaultdict(set)
    for source in SOURCES:
        names[source.kind.table] |= set(source.names)
        if "sagittal" in source.kind.shares:
            names[source.kind.sagittal_table] |= {split_side(name)[1] for name in source.names}
    assert max(names) < 18
    assert all(len(found) <= 32 for found in names.values()), {table: len(found) for table, found in names.items()}
    assert len(names[10]) == 32


def test_shares_of_orientations_are_shares():
    for source in SOURCES:
        assert sum(source.kind.shares.values()) == pytest.approx(1), source.name


def test_sources_are_chosen_by_name_or_first_word():
    assert [source.name for source in sources(["brain"])] == ["brain-maps", "brain-mni", "brain-colin"]
    assert [source.name for source in sources(["head-ct", "fetal", "fetal"])] == [
        "head-ct-cranium", "head-ct-maps", "fetal"
    ]  # fmt: skip
    assert sources() == SOURCES
    with pytest.raises(InputError, match=r"There is no source 'brai': use brain-maps, .*abdomen, or the first word"):
        sources(["brai"])


def test_label_maps_are_split_by_subject(maps):
    material = Material(labels=maps)
    for name in ("brain-maps", "head-ct-maps"):  # one subject must not be on both sides of two sources either
        assert subjects_of(name, material, held_out=False) == {"head_00", "head_01"}
        assert subjects_of(name, material, held_out=True) == {"head_02"}
    assert split([str(number) for number in range(1, 21)])[1] == ("17", "18", "19", "20")


def test_fetuses_are_split_by_fetus(tmp_path):
    for number in range(10):
        for record in ("HC", "2HC"):
            Image.fromarray(np.full((20, 30), 90, np.uint8)).save(tmp_path / f"{number:03d}_{record}.png")
            Image.fromarray(np.ones((20, 30), bool)).save(tmp_path / f"{number:03d}_{record}_mask.png")
    material = Material(fetal=tmp_path)
    assert subjects_of("fetal", material, held_out=False) == {f"{number:03d}" for number in range(8)}
    assert subjects_of("fetal", material, held_out=True) == {"008", "009"}


def test_made_up_patients_are_never_on_both_sides():
    trained, held_out = (subjects_of("abdomen", Material(), held) for held in (False, True))
    assert len(trained) == len(held_out) == 60
    assert {int(name.rpartition("-")[2]) % 2 for name in trained} == {0}
    assert {int(name.rpartition("-")[2]) % 2 for name in held_out} == {1}


def test_what_exists_once_is_not_held_out(tmp_path):
    (source,) = sources(["chest-ct"])
    material = Material(studies=tmp_path)
    assert not source.can_hold_out(material)
    assert subjects_of("chest-ct", material, held_out=False) == {"ct-chest"}
    with pytest.raises(InputError, match="There is only one subject of chest-ct, so none can be held out: train on it"):
        source.draw_subject(material, True, np.random.default_rng(0))


def test_missing_material_is_told(tmp_path):
    for name, sentence in (
        ("brain-maps", "Brain label maps are needed: give their folder with --labels."),
        ("fetal", "Fetal heads are needed: give the folder of HC18 with --fetal."),
        ("head-ct-cranium", "There is no head CT at"),
    ):
        (source,) = sources([name])
        with pytest.raises(NotFoundError, match=sentence):
            source.subjects(Material(cranium=tmp_path / "none.inv3"))
