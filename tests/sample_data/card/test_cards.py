"""The shipped model's cards: every figure with n and interval, goals missed said so, no hole, one truth in all."""

from __future__ import annotations

import json

import pytest
from tiny_model import save_tiny_model

from medsight_core.answer import NOTICE
from medsight_core.errors import InputError, NotFoundError
from medsight_core.model.loading import read_config
from sample_data.card import words
from sample_data.card.facts import fingerprint, read_facts
from sample_data.demo_card import main, write_cards
from sample_data.generate.sources import SOURCES

REQUIRED = {
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task",
    "description", "authors", "copyright", "network_data_format",
}  # fmt: skip
TENSOR = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}


def figure(title: str, value: float = 0.912, goal: str = "", met: bool | None = None) -> dict:
    return {"title": title, "value": value, "low": 0.871, "high": 0.943, "n": 137, "goal": goal, "met": met}


@pytest.fixture
def figures(tmp_path, model):
    """Figures as `benchmarks.demo` writes them, with one goal missed and one failure."""
    goals = {name: figure(f"title of {name}", goal="at least 0.9", met=True) for name in words.GOALS}
    goals["brain dice"] = figure("title of brain dice", 0.123, "at least 0.7", False)
    found = {
        "model": fingerprint(model),
        "size": "full",
        "commit": "abc1234",
        "machine": {"cpu": "A processor", "threads": 2},
        "goals": goals,
        "sites": {site: {name: figure(name) for name in words.SITE_FIGURES} for site in words.SITES},
        "names": {"left lung": {"dice": 0.875, "present": 12, "false": None, "absent": 0}},
        "wording": {"typo": figure("typo", 0.5)},
        "controls": {name: {"false masks": figure("false masks", 0.25)} for name in words.CONTROLS},
        "failures": [
            {
                "file": "worst-outline-us.jpg", "kind": "worst outline", "modality": "US", "subject": "fetal/012",
                "orientation": "axial", "name": "fetal head", "dice": 0.31, "confidence": 0.77,
            }
        ],
    }  # fmt: skip
    path = tmp_path / "out" / "figures.json"
    (path.parent / "failures").mkdir(parents=True)
    (path.parent / "failures" / "worst-outline-us.jpg").write_bytes(b"a picture")
    path.write_text(json.dumps(found))
    return path


@pytest.fixture
def model(tmp_path):
    folder = save_tiny_model(tmp_path / "models" / "demo")
    stage = {"samples": 17, "steps": 1900, "batch": 16, "precision": "bf16", "seconds": 1500.0, "metric": "dice"}
    record = {
        "seed": 7,
        "machine": {"cpu": "A processor", "threads": 2, "instructions": ["AVX2"]},
        "stages": [{"stage": "tower", "start": 0.08, "end": 0.61, "note": "stopped early.", **stage}],
        "images": {"train": {source.name: {"images": 1234, "subjects": 16} for source in SOURCES}, "held-out": {}},
    }
    (folder / "training.json").write_text(json.dumps(record))
    return folder


def change(path, edit) -> None:
    found = json.loads(path.read_text())
    edit(found)
    path.write_text(json.dumps(found))


@pytest.fixture
def cards(model, figures, tmp_path):
    write_cards(model, figures, tmp_path / "pictures")
    return (model / "README.md").read_text(), json.loads((model / "metadata.json").read_text())


def test_figures_come_with_interval_n_and_what_they_should_be(cards):
    text, _ = cards
    assert "| title of checks | 0.912 | 0.871 to 0.943 | 137 | at least 0.9 | reached |" in text
    assert "| fetal ultrasound, real | 0.912 (0.871 to 0.943) | 137 |" in text
    assert "| left lung | 0.875 | 12 |  | 0 |" in text
    assert "Measured by `make evaluate-demo` at abc1234 on 2 threads of A processor." in text


def test_a_goal_that_was_missed_is_called_so(cards):
    text, data = cards
    assert "| title of brain dice | 0.123 | 0.871 to 0.943 | 137 | at least 0.7 | **not reached** |" in text
    count = len(words.GOALS)
    assert f"{count - 1} of {count} goals are reached. Not reached: title of brain dice." in text
    assert data["eval_metrics"]["goals"]["brain dice"] == {
        "value": 0.123, "interval": [0.871, 0.943], "n": 137, "goal": "at least 0.7", "reached": False,
    }  # fmt: skip


def test_sources_are_told_with_their_licences_and_training_with_its_time(cards):
    text, data = cards
    for source in SOURCES:
        assert f"| {source.name} | {source.kind.title} | {words.IMAGES[source.name]} | {source.origin} |" in text
        assert source.licence in text
        assert source.name in data["data_source"]
    assert "Louis Collins" in text, "McGill's notice travels with the card"
    assert "25 minutes in all on 2 threads of A processor (AVX2), seed 7." in text
    assert "| tower | 17 | 1900 | 16 | bf16 | 25 | dice 0.080 to 0.610 |" in text


def test_what_did_not_run_as_the_recipe_says_is_told(cards):
    assert "did not run as the recipe says:\n\n- tower: stopped early." in cards[0]


def test_failures_are_shown_and_credited(cards, tmp_path):
    text, _ = cards
    assert (tmp_path / "pictures" / "worst-outline-us.jpg").read_bytes() == b"a picture"
    assert "(../../pictures/worst-outline-us.jpg)" in text, "relative to the model's folder"
    assert "Dice 0.31, confidence 0.77. Image: fetal 012, HC18, van den Heuvel et al. 2018, CC BY 4.0." in text


def test_both_cards_say_the_same_and_that_it_is_for_research(cards):
    text, data = cards
    assert text.startswith("---\nlicense: apache-2.0\n")
    assert f"**{NOTICE}**" in text
    assert NOTICE in data["description"]
    assert NOTICE in data["intended_use"]
    for line in (*words.MUST_NOT, *words.INTENDED):
        assert f"- {line}" in text
        assert line in data["intended_use"]


def test_the_metadata_has_every_field_and_agrees_with_the_configuration(cards, model):
    _, data = cards
    config = read_config(model)
    assert set(data) >= REQUIRED
    network = data["network_data_format"]
    image, masks = network["inputs"]["image"], network["outputs"]["masks"]
    assert set(image) >= TENSOR
    assert set(masks) >= TENSOR
    assert data["version"] == config.version
    assert image["spatial_shape"] == [config.vision_config.image_size] * 2
    assert masks["spatial_shape"] == [config.mask_size] * 2
    named = [name for names in config.modality_names.values() for name in names]
    assert sorted(masks["channel_def"].values()) == sorted(named)
    assert masks["num_channels"] == len(named)
    assert all(name in data["label_classes"] for name in named)


def test_a_figure_that_was_not_measured_is_an_error_and_nothing_is_written(model, figures, tmp_path):
    change(figures, lambda found: found["goals"]["swapped"].update(value=None))
    with pytest.raises(
        InputError, match=r"^The figure 'goals / swapped' was not measured: run make evaluate-demo at its full size\.$"
    ):
        write_cards(model, figures, tmp_path / "pictures")
    assert not (model / "README.md").exists()
    change(figures, lambda found: found["goals"]["swapped"].update(value=0.0))
    change(figures, lambda found: found["controls"].pop("names of another modality"))
    with pytest.raises(InputError, match=r"^The figure 'controls / names of another modality' was not measured"):
        read_facts(model, figures)


def test_figures_of_another_model_are_refused(model, figures):
    change(figures, lambda found: found.update(model="0" * 64))
    with pytest.raises(
        InputError, match=r"^The figures in '.*' are those of another model than '.*': examine this one"
    ):
        read_facts(model, figures)


def test_missing_files_say_how_to_make_them(model, figures, capsys, tmp_path):
    (model / "training.json").unlink()
    with pytest.raises(NotFoundError, match=r"training.json': ship the model again with make demo-model\.$"):
        read_facts(model, figures)
    assert main(["--model", str(model), "--figures", str(tmp_path / "none.json")]) == 2
    assert main(["--model", str(tmp_path), "--figures", str(figures)]) == 1
    assert "There is no model in" in capsys.readouterr().err


def test_every_source_and_region_has_its_words():
    assert set(words.IMAGES) == {source.name for source in SOURCES}
