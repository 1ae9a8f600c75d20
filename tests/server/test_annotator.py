"""The annotator's round against a real server: what comes back, what is kept, and every refusal's sentence."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medsight_core.client import Annotator, ListedCase, Segment, Version
from medsight_core.errors import AuthenticationError, InputError, NotFoundError
from medsight_core.imaging.label_file import read_label_file
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "learning.md"
NAMES = {1: "right lung"}
UNKNOWN = Version(1, "final", submitted="", annotator="", image_hash="")


def wait_for(condition, seconds: float = 20.0) -> None:
    """MONAI Label notices a file that was put there within seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def write(path: Path, voxels: int | None = None, shape=(4, 5, 6)) -> Path:
    """Noise, or a labelmap with so many voxels of label 1."""
    values = np.random.default_rng(secrets.randbits(32)).integers(-1000, 400, shape).astype(np.int16)
    if voxels is not None:
        values = np.zeros(shape, np.uint8)
        values.reshape(-1)[:voxels] = 1
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    return path


@pytest.fixture
def anna(server):
    with Annotator("anna", server.address, server.token) as annotator:
        yield annotator


@pytest.fixture
def image(call, tmp_path) -> str:
    name = f"case-{secrets.token_hex(4)}"
    content = write(tmp_path / "image.nii.gz").read_bytes()
    assert call("PUT", f"/datastore/image?image={name}", files={"file": ("i.nii.gz", content)}).status_code == 200
    return name


def test_a_case_is_offered_with_its_reason(anna, image, call):
    case = anna.next_case("random")
    assert case.id in call("GET", "/datastore/?output=all").json()["objects"]
    assert 0 <= case.score <= 1
    assert case.reason.endswith(".")


def test_the_image_lies_whole_under_its_id(anna, image, tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    stored = anna.download(image, folder)
    assert stored.path == folder / f"{image}.nii.gz"
    assert stored.path.read_bytes() == (tmp_path / "image.nii.gz").read_bytes()
    assert stored.image_hash == anna.versions(image).image_hash
    assert list(folder.iterdir()) == [stored.path], "nothing half lies beside it"


def test_what_is_handed_in_is_kept_with_who_made_it(anna, image, tmp_path):
    label, seen = write(tmp_path / "a.nrrd", 7), anna.versions(image).image_hash
    said = {"prompt": "Outline it.", "answer": "There.", "base_version": 0, "image_hash": seen}
    kept = anna.submit(image, label, NAMES, segments=[Segment(1, "right lung", "model")], **said)
    assert (kept.version, kept.notices) == (1, ())
    (version,) = anna.versions(image).versions
    assert version.segments == (Segment(1, "right lung", "model"),)
    assert (version.annotator, version.found) == ("anna", False)
    assert {key: getattr(version, key) for key in said} == said
    path = anna.download_version(image, version, tmp_path)
    assert path.name == f"{image}-version-1.nrrd"
    assert path.read_bytes() == label.read_bytes()


def test_the_second_annotator_is_told(anna, image, server, tmp_path):
    anna.submit(image, write(tmp_path / "a.nrrd", 7), NAMES, base_version=0)
    ben = Annotator("ben", server.address, server.token)
    kept = ben.submit(image, write(tmp_path / "b.nrrd", 8), NAMES, base_version=0)
    assert kept.version == 2
    assert kept.notices[0].startswith("Version 1 was handed in by somebody else, or since you began: both are kept")


def test_what_is_handed_in_again_because_no_reply_came_is_kept_once(anna, image, tmp_path):
    label = write(tmp_path / "a.nrrd", 7)
    assert anna.submit(image, label, NAMES, base_version=0, key="k1").version == 1
    again = anna.submit(image, label, NAMES, base_version=0, key="k1")
    assert (again.version, again.notices) == (1, ())
    assert len(anna.versions(image).versions) == 1
    assert anna.submit(image, label, NAMES, base_version=1, key="k2").version == 2


def test_only_what_changed_is_sent(anna, image, tmp_path):
    both = np.zeros((4, 5, 6), np.uint8)
    both[0], both[1] = 1, 2
    sitk.WriteImage(sitk.GetImageFromArray(both), str(tmp_path / "a.nrrd"))
    anna.submit(image, tmp_path / "a.nrrd", {1: "right lung", 2: "left lung"}, base_version=0)
    label = write(tmp_path / "b.nrrd", 4)
    anna.submit(image, label, {1: "heart"}, base_version=1, unchanged=["left lung"])
    version = anna.versions(image).versions[-1]
    assert [segment.name for segment in version.segments] == ["left lung", "heart"]
    file = read_label_file(anna.download_version(image, version, tmp_path))
    assert [int(segment.mask.sum()) for segment in file.segments] == [30, 4]


def test_a_review_reaches_the_label(anna, image, tmp_path, call):
    anna.submit(image, write(tmp_path / "a.nrrd", 7), NAMES)
    anna.review(image, "flagged", level="hard", comment="Too small.")
    said = call("GET", "/datastore/?output=all").json()["objects"][image]["labels"]["final"]["info"]["segmentationMeta"]
    assert {key: said[key] for key in ("status", "level", "comment", "approvedBy")} == {
        "status": "flagged", "level": "hard", "comment": "Too small.", "approvedBy": "anna",
    }  # fmt: skip


def test_the_worklist_tells_how_far_each_case_has_come(anna, image, tmp_path):
    before = anna.worklist()
    assert ListedCase(image) in before.cases
    segments = [Segment(1, "right lung", "model")]
    anna.submit(image, write(tmp_path / "a.nrrd", 7), NAMES, segments=segments, base_version=0)
    after = anna.worklist()
    assert after.labelled == before.labelled + 1
    assert after.makers["model"] == before.makers["model"] + 1
    (case,) = (case for case in after.cases if case.id == image)
    assert case == ListedCase(image, True, 1, "anna", "submitted", makers=("model",))
    assert after.next_to_review([case.id for case in after.cases if case.id != image]) == case
    anna.review(image, "flagged", level="hard", comment="Too small.")
    (case,) = (case for case in anna.worklist().cases if case.id == image)
    assert (case.status, case.level, case.comment, case.reviewer) == ("flagged", "hard", "Too small.", "anna")
    assert not case.awaits_review
    assert case.awaits_redoing


def test_strategies_are_those_of_the_server(anna):
    assert anna.strategies() == ("hybrid", "uncertainty", "diversity", "random")


def test_a_label_that_nobody_handed_in_is_a_version_once_somebody_asks(anna, image, studies, tmp_path, call):
    folder = studies / "labels" / "final"
    folder.mkdir(parents=True, exist_ok=True)
    label = write(tmp_path / "a.nrrd", 7)
    (folder / f"{image}.nrrd").write_bytes(label.read_bytes())
    for _ in range(2):  # whether or not MONAI Label's watcher has seen it by now
        (version,) = anna.versions(image).versions
    assert (version.found, version.annotator, version.segments) == (True, "", ())
    assert anna.download_version(image, version, tmp_path).read_bytes() == label.read_bytes()


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda a, i, d: a.next_case("best"), NotFoundError, "There is no such strategy: use one of"),
        (lambda a, i, d: a.next_case("../info"), InputError, "This strategy is not allowed"),
        (lambda a, i, d: a.download("nobody", d), NotFoundError, "There is no such image: GET /datastore/ lists"),
        (lambda a, i, d: a.download("../x", d), InputError, "This image id is not allowed"),
        (lambda a, i, d: a.download(i, d / "no"), NotFoundError, "no: make it, or name another."),
        (lambda a, i, d: a.submit(i, d / "no.nrrd"), NotFoundError, "no.nrrd: check the path."),
        (lambda a, i, d: a.submit(i, write(d / "a.nrrd", 0), NAMES), InputError, "The segmentation is empty"),
        (lambda a, i, d: a.submit(i, write(d / "a.nrrd", 3)), InputError, "Nobody says what label 1 is"),
        (
            lambda a, i, d: a.submit(i, write(d / "a.nrrd", 3), NAMES, image_hash="SHA256:0"), InputError,
            "The image was replaced since this segmentation was begun",
        ),
        (lambda a, i, d: a.download_version(i, UNKNOWN, d), NotFoundError, "There is no version 1 of this label"),
        (lambda a, i, d: a.review(i, "approved"), NotFoundError, "There is no such label"),
        (lambda a, i, d: a.review(i, "perfect"), InputError, "The review's status is none that is known"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(anna, image, tmp_path, act, error, text):
    with pytest.raises(error, match=re.escape(text)):
        act(anna, image, tmp_path)
    assert anna.versions(image).versions == ()


def test_a_file_of_another_type_does_not_travel(anna, image, tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"Files of this type are not exchanged: save it as one of \.seg\.nrrd"):
        anna.submit(image, tmp_path / "a.png")


def test_nobody_labels_without_a_name_or_token(server):
    with pytest.raises(InputError, match="An annotator needs a name of at most 128 characters"):
        Annotator(" ")
    with pytest.raises(AuthenticationError):
        Annotator("anna", server.address, "wrong").next_case()


def test_the_documents_example_runs(tmp_path, tiny_model_dir, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "studies").mkdir()
    write(tmp_path / "studies" / "one.nrrd")
    write(tmp_path / "label.nrrd", 9)
    monkeypatch.chdir(tmp_path)
    with running_server(Settings(tmp_path / "studies", tiny_model_dir, port=0)) as running:
        monkeypatch.setenv("MEDSIGHT_TOKEN", running.token)
        exec(code.replace("http://127.0.0.1:8000", running.address), {})
        assert Annotator("ben", running.address, running.token).next_case() is None
    assert (tmp_path / "one.nrrd").is_file()
