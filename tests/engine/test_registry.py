"""Model versions: whole or not there, served by rule, and back again."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path

import pytest
from forking import forking, wait_for_end
from versions import BETTER, CHANGE, FORGETFUL, NO_BETTER, publish, retrained
from write_points import deaths

from medsight_core.engine.promotion import Evaluation, Score
from medsight_core.engine.registry import BASE, Registry
from medsight_core.errors import InputError, ModelError, NotFoundError
from medsight_core.files import file_hash
from medsight_core.model.loading import load_model, read_config


@pytest.fixture
def registry(tmp_path, tiny_model_dir) -> Registry:
    return Registry(tmp_path / "models", tiny_model_dir)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_without_versions_the_base_is_served_and_nothing_is_written(registry, tiny_model_dir):
    assert registry.current() == BASE
    assert registry.folder(BASE) == tiny_model_dir
    assert [version.name for version in registry.versions()] == [BASE]
    assert not registry.at_work()
    assert not registry.root.exists()


def test_a_published_version_is_whole_and_not_yet_served(registry, tiny_model_dir):
    before = contents(tiny_model_dir)
    version = publish(registry)
    assert (version.name, version.parent, version.data_hash) == ("v1", BASE, "SHA256:0")
    assert version.evaluation == BETTER
    assert version.change == CHANGE
    assert registry.current() == BASE
    load_model(version.folder)
    assert read_config(version.folder).version == "tiny+v1"
    assert contents(tiny_model_dir) == before, "the base is never written to"
    assert not list(registry.root.glob(".part-*"))
    assert publish(registry).name == "v2"


def test_the_change_record_tells_the_three_parts_and_the_way_back(registry):
    text = (publish(registry).folder / "CHANGES.md").read_text()
    for heading in ("1. Description of modifications", "2. Modification protocol", "3. Impact assessment"):
        assert f"## {heading}" in text
    for line in (
        "# Model version v1, trained from base",
        "- trained: language model",
        "- learning rate: 0.001",
        "- annotators: anna, ben",
        "| corrected, held out | 12 | 0.400 | 0.550 |",
        "| reference set | 40 | 0.700 | 0.690 |",
        "- It may outline more.",
    ):
        assert line in text.splitlines()
    assert "It may be served. Dice on corrected images that only measure (n = 12) went from 0.400 to 0.550." in text
    assert "`medsight models rollback` serves the version before" in text
    assert "Research use only. Not for clinical use." in text


def test_a_better_version_is_promoted_and_rolled_back(registry):
    publish(registry)
    assert registry.promote("v1").allowed
    assert registry.current() == "v1"
    assert publish(registry, seed=2).parent == "v1"
    assert registry.promote("v2").allowed
    assert registry.rollback() == "v1"
    assert registry.rollback() == BASE
    assert registry.current() == BASE
    with pytest.raises(InputError, match="base is what is served: there is nothing to go back to"):
        registry.rollback()
    assert registry.promote("v2").allowed, "and forward again"
    told = [(entry["from"], entry["to"]) for entry in registry.history()]
    assert told == [(BASE, "v1"), ("v1", "v2"), ("v2", "v1"), ("v1", BASE), (BASE, "v2")]
    assert registry.rollback() == BASE, "what was served before, not what it was trained from"
    assert registry.rollback("v1") == "v1"


@pytest.mark.parametrize(("evaluation", "why"), [(NO_BETTER, "which is no rise"), (FORGETFUL, "0.02 at most")])
def test_a_version_that_breaks_the_rule_is_kept_and_never_served(registry, evaluation, why):
    publish(registry, evaluation)
    verdict = registry.promote("v1")
    assert not verdict.allowed
    assert why in verdict.reason
    assert registry.current() == BASE
    with pytest.raises(InputError, match="v1 is none that may be served: "):
        registry.rollback("v1")
    assert "It is kept and not served." in (registry.folder("v1") / "CHANGES.md").read_text()


def test_what_generations_lose_adds_up(registry):
    for seed, reference in ((1, (0.70, 0.69)), (2, (0.69, 0.68)), (3, (0.68, 0.67))):
        publish(registry, Evaluation(Score(0.4, 0.5, 9, "new"), Score(*reference, 40, "old")), seed)
        verdict = registry.promote(f"v{seed}")
        assert verdict.allowed is (seed < 3), verdict.reason
    assert "went from 0.700 to 0.670" in verdict.reason


def test_a_version_does_not_push_out_what_it_was_not_compared_with(registry):
    publish(registry)
    publish(registry, seed=2)
    registry.promote("v1", instead_of=BASE)
    verdict = registry.promote("v2", instead_of=BASE)
    assert not verdict.allowed
    assert verdict.reason == (
        "v1 is served by now, and v2 was compared with base: train again from v1, or run 'medsight models promote v2'."
    )
    assert registry.current() == "v1"


def test_one_trains_at_a_time(registry):
    with registry.work():
        assert registry.at_work()
        with pytest.raises(InputError, match="A training is running already: wait for it, or stop it"), registry.work():
            pass
        registry.clean_up()
        assert list(registry.root.glob(".part-*")), "what is being written is not a leftover"
    assert not registry.at_work()
    assert not list(registry.root.glob(".part-*"))


def test_a_folder_that_is_no_model_is_not_kept(registry):
    with registry.work() as work:
        shutil.copytree(registry.base, work / "model")
        (work / "model" / "model.safetensors").write_bytes(b"half")
        with pytest.raises(ModelError, match="cannot be loaded"):
            registry.publish(work / "model", BASE, "", BETTER, CHANGE)
    assert [version.name for version in registry.versions()] == [BASE]
    assert not list(registry.root.glob("v*"))


def test_a_changed_file_is_not_served(registry):
    version = publish(registry)
    with (version.folder / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(ModelError, match=r"The file config\.json of v1 is not what was published"):
        registry.promote("v1")
    assert registry.current() == BASE


def test_damage_is_told(registry):
    with pytest.raises(NotFoundError, match=re.escape("There is no model version 'v7' here: use one of base.")):
        registry.promote("v7")
    with pytest.raises(NotFoundError, match="There is no model version"):
        registry.folder("../v1")
    version = publish(registry)
    (registry.root / "CURRENT").write_text("../elsewhere\n")
    with pytest.raises(ModelError, match="CURRENT names no version: remove it to serve the base model"):
        registry.current()
    (version.folder / "version.json").write_text("{}")
    with pytest.raises(ModelError, match=r"version\.json is damaged"):
        registry.version("v1")
    assert [each.name for each in registry.versions()] == [BASE]


def test_a_copied_base_has_the_same_registry_and_another_one_its_own(tmp_path, tiny_model_dir):
    first = Registry.of_studies(tmp_path, tiny_model_dir).root
    shutil.copytree(tiny_model_dir, tmp_path / "copy")
    assert Registry.of_studies(tmp_path, tmp_path / "copy").root == first
    assert Registry.of_studies(tmp_path, retrained(tiny_model_dir, tmp_path / "other")).root != first
    with pytest.raises(ModelError, match="There is no model in"):
        Registry.of_studies(tmp_path, tmp_path / "nowhere")


IMPORTS = """
import resource
from pathlib import Path
from versions import BETTER, CHANGE, publish, retrained
from write_points import die_at
from medsight_core.engine.registry import Registry
import medsight_core.model.medsight
"""
FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
try:
    publish(Registry(Path({root!r}), Path({base!r})))
except OSError:
    Path({told!r}).touch()
"""


@pytest.fixture(scope="module")
def fork():
    with forking(IMPORTS) as run:
        yield run


ACTS = {
    "publish": """
with registry.work() as work:
    written = retrained(registry.base, work / "model")
    ARM
    registry.publish(written, "base", "SHA256:0", BETTER, CHANGE)
""",
    "promote": "ARM; registry.promote('v1')",
    "rollback": "ARM; registry.rollback()",
}


@pytest.mark.parametrize("act", ACTS)
def test_who_dies_at_any_write_leaves_whole_versions_only(registry, tiny_model_dir, fork, tmp_path, act):
    publish(registry)
    if act == "rollback":
        registry.promote("v1")
    numbers, served, names = itertools.count(), set(), set()

    def prepare() -> Path:
        return Path(shutil.copytree(registry.root, tmp_path / f"models-{next(numbers)}"))

    def code(folder: Path) -> str:
        return f"registry = Registry(Path({str(folder)!r}), Path({str(tiny_model_dir)!r}))\n{ACTS[act]}"

    for folder in deaths(fork, prepare, code, tmp_path / "ended"):
        left = Registry(folder, tiny_model_dir)
        assert not left.at_work(), "a lock of the dead"
        left.clean_up()
        assert {path.name for path in folder.iterdir() if path.name[0] != "."} <= {
            "v1",
            "v2",
            "CURRENT",
            "history.json",
        }
        assert not [path for path in folder.iterdir() if "part" in path.name]
        for version in left.versions()[1:]:
            assert read_config(version.folder).version == f"tiny+{version.name}"
            assert version.files == {name: file_hash(version.folder / name) for name in version.files}
        assert {path.name for path in folder.glob("v*")} == {version.name for version in left.versions()} - {BASE}
        served.add(left.current())
        names.add(left.versions()[-1].name)
        assert left.folder(left.current()).is_dir()
        assert all(entry.keys() == {"time", "from", "to", "why"} for entry in left.history())
    assert names == ({"v1", "v2"} if act == "publish" else {"v1"})
    assert served == ({BASE} if act == "publish" else {BASE, "v1"})


@pytest.mark.parametrize("most", [100, 5_000, 20_000])
def test_a_disk_that_takes_no_more_leaves_everything_as_it_was(registry, tiny_model_dir, fork, tmp_path, most):
    told = tmp_path / "told"
    wait_for_end(fork(FULL.format(root=str(registry.root), base=str(tiny_model_dir), most=most, told=str(told))))
    assert told.exists()
    assert registry.current() == BASE
    assert [version.name for version in registry.versions()] == [BASE]
    assert not list(registry.root.glob(".part-*"))


def test_the_record_is_json_for_machines(registry):
    record = json.loads((publish(registry).folder / "version.json").read_bytes())
    assert record["parent"] == BASE
    assert record["evaluation"]["held_out"] == {
        "before": 0.4, "after": 0.55, "n": 12, "data": "new", "blind": None, "own": None,
    }  # fmt: skip
    assert record["verdict"]["allowed"] is True
    assert set(record["change"]) == {"modifications", "protocol", "data", "impact"}
    assert set(record["files"]) >= {"config.json", "model.safetensors", "CHANGES.md"}
