"""The MONAI Label task in this process, on a tiny model; `tests/server` meets it again behind HTTP."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medsight_core import Answer, Region
from medsight_core.engine.registry import Registry
from medsight_core.engine.served import ServedModel
from medsight_core.errors import InputError, ModelError, NotFoundError
from monailabel_app.lib.infers.medsight import MedSightInfer, few_bits, label_names, model_folder


@pytest.fixture
def image(tmp_path) -> Path:
    values = np.random.default_rng(0).integers(-1000, 400, (6, 12, 10)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "image.nrrd"))
    return tmp_path / "image.nrrd"


@pytest.fixture(scope="module")
def task(tiny_model_dir, tmp_path_factory) -> MedSightInfer:
    return MedSightInfer(ServedModel(Registry(tmp_path_factory.mktemp("models"), tiny_model_dir)))


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_before_loading_it_describes_the_model_from_its_config(tiny_model_dir, tmp_path):
    told = MedSightInfer(ServedModel(Registry(tmp_path, tiny_model_dir))).describe()
    assert told["loaded"] is False
    assert told["model"]["version"] == "tiny"
    assert told["names"] == {"CT": ["right lung", "left lung"], "MR": ["left thalamus"]}
    assert told["suggestions"]["CT"]


def test_bits_come_with_the_configuration_and_are_told(tiny_model_dir, tmp_path):
    pytest.importorskip("torchao")
    assert [few_bits({}), few_bits({"bits": ""}), few_bits({"bits": "8"})] == [None, None, 8]
    with pytest.raises(InputError, match=r"^The language model cannot be kept in many bits: use 8 or 4"):
        few_bits({"bits": "many"})
    task = MedSightInfer(ServedModel(Registry(tmp_path, tiny_model_dir), bits=8))
    assert task.describe()["model"]["version"] == "tiny (8-bit)"
    assert task.engine().describe()["model"]["version"] == "tiny (8-bit)"


def test_the_engine_is_loaded_once(tiny_model_dir, tmp_path):
    task = MedSightInfer(ServedModel(Registry(tmp_path, tiny_model_dir)))
    engines = []
    threads = [threading.Thread(target=lambda: engines.append(task.engine())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engines) == 4
    assert len(set(map(id, engines))) == 1
    assert task.describe()["loaded"] is True


def test_a_glance_makes_way_for_a_question(task, image, scratch):
    asked, go_on, found = threading.Event(), threading.Event(), []

    def progress(phase: str, done: float) -> None:
        if phase == "generate":
            asked.set()
            go_on.wait(60)

    question = threading.Thread(target=task, args=({"image": str(image), "progress": progress},))
    glance = threading.Thread(target=lambda: found.append(task.impression(image)))
    question.start()
    assert asked.wait(60)
    glance.start()
    glance.join(1.0)
    assert found == []
    go_on.set()
    question.join(60)
    glance.join(60)
    assert 0 <= found[0].uncertainty <= 1


def test_it_knows_the_codes_of_its_names(task):
    assert task.codes() == {"right lung": "M5_0", "left lung": "M5_1", "left thalamus": "M10_0"}


def test_a_labelmap_is_always_written_and_fits_the_image(task, image):
    path, params = task({"image": str(image), "prompt": "Outline the right lung.", "result_extension": ".nii.gz"})
    try:
        assert sitk.ReadImage(path).GetSize() == (10, 12, 6)
        assert params["answer"]
        assert set(params["label_names"].values()) == {region["label"] for region in params["regions"]}
    finally:
        os.unlink(path)


def test_a_segmentation_is_written_when_something_was_found(task, image):
    path, params = task({"image": str(image), "prompt": "Outline the right lung."})
    assert (path is not None) == bool(params["regions"])
    if path:
        assert path.endswith(".seg.nrrd")
        os.unlink(path)


def test_a_bad_question_is_refused_before_the_image_is_read(task):
    with pytest.raises(InputError, match="The prompt is empty"):
        task({"image": "/no/such/image.nrrd", "prompt": ""})


def test_a_missing_image_is_said(task):
    with pytest.raises(NotFoundError, match="There is no image"):
        task({"image": "/no/such/image.nrrd"})


def test_a_label_file_that_cannot_be_written_leaves_nothing(task, image, scratch, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("monailabel_app.lib.infers.medsight.write_labelmap", full)
    with pytest.raises(OSError, match="No space left"):
        task({"image": str(image), "result_extension": ".nrrd"})
    assert list(scratch.iterdir()) == []


def test_a_model_without_weights_is_a_model_error_at_each_question(tiny_model_dir, tmp_path, image):
    for file in tiny_model_dir.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, tmp_path)
    task = MedSightInfer(ServedModel(Registry(tmp_path / "models", tmp_path)))
    for _ in range(2):
        with pytest.raises(ModelError, match=r"The weights in .* cannot be loaded"):
            task({"image": str(image)})
    assert task.describe()["loaded"] is False


def test_a_model_without_usable_configuration_is_refused_at_once(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config\.json"):
        MedSightInfer(ServedModel(Registry(tmp_path / "models", tmp_path)))


def test_repeated_names_keep_their_labels():
    regions = tuple(
        Region(label, name, "M0_0", (0, 1), 0.5) for label, name in ((1, "cyst"), (2, "cyst"), (4, "liver"))
    )
    assert label_names(Answer("", regions)) == {"cyst": 1, "cyst 2": 2, "liver": 4}


def test_the_model_folder_comes_from_conf_or_the_environment(monkeypatch):
    monkeypatch.setenv("MEDSIGHT_MODEL", "/from/environment")
    assert model_folder({"model": "/from/conf"}) == Path("/from/conf")
    assert model_folder({}) == Path("/from/environment")
    monkeypatch.delenv("MEDSIGHT_MODEL")
    with pytest.raises(ModelError, match="No model folder is named: start with --conf model DIR or set MEDSIGHT_MODEL"):
        model_folder({})
