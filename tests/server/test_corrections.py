"""Corrections over HTTP, with MONAI Label's own client: kept in all versions, refused or told with a sentence."""

from __future__ import annotations

import json
import secrets
import threading
from pathlib import Path

import pytest
from label_builders import NAMES, write_image, write_label
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from medsight_core.data.correction_store import CorrectionStore


class Annotator:
    """One person with MONAI Label's client."""

    def __init__(self, server, folder: Path, name: str) -> None:
        self._server, self._folder, self._name = server, folder, name

    @property
    def client(self) -> MONAILabelClient:
        """A new one for each call, as in Slicer: it keeps a request's length header for the next."""
        stock = MONAILabelClient(self._server.address, tmpdir=str(self._folder), client_id=self._name)
        stock.update_auth({"token_type": "Bearer", "access_token": self._server.token})
        return stock

    def submit(self, image: str, label: Path, tag: str = "final", names=NAMES, **own) -> dict:
        params = {"label_info": names, **({"medsight": own} if own else {})}
        return self.client.save_label(image, str(label), tag, params)

    def refused(self, image: str, label: Path, **more) -> str:
        """The sentence that the client shows."""
        with pytest.raises(MONAILabelClientException) as caught:
            self.submit(image, label, **more)
        return json.loads(caught.value.msg.split("Response: ")[1])["detail"]


@pytest.fixture
def anna(server, tmp_path):
    return Annotator(server, tmp_path, "anna")


@pytest.fixture
def ben(server, tmp_path):
    return Annotator(server, tmp_path, "ben")


@pytest.fixture
def image(call, tmp_path) -> str:
    """A study of this test's own."""
    name = f"case-{secrets.token_hex(4)}"
    path = write_image(tmp_path / "image.nii.gz")
    with path.open("rb") as file:
        assert call("PUT", f"/datastore/image?image={name}", files={"file": ("image.nii.gz", file)}).status_code == 200
    return name


def versions(call, image: str) -> list[dict]:
    return call("GET", f"/medsight/corrections?image={image}").json()["versions"]


def test_every_version_is_kept_with_its_sidecar(anna, call, image, tmp_path):
    first = write_label(tmp_path / "a.nii.gz")
    own = {"prompt": "Outline the lungs.", "answer": "Both.", "model_version": "tiny", "base_version": 0}
    segments = [{"label": 1, "name": "right lung", "made_by": "model"}]
    assert anna.submit(image, first, segments=segments, **own) == {
        "image": image, "label": image, "version": 1, "notices": [],
    }  # fmt: skip
    second = write_label(tmp_path / "b.nrrd", right=99)
    assert anna.submit(image, second)["version"] == 2

    one, two = versions(call, image)
    assert (one["prompt"], one["answer"], one["model_version"], one["annotator"]) == (
        "Outline the lungs.", "Both.", "tiny", "anna",
    )  # fmt: skip
    makers = [[(s["name"], s["code"], s["made_by"], s["voxels"]) for s in each["segments"]] for each in (one, two)]
    assert makers[0] == [("right lung", "M5_0", "model", 100), ("left lung", "M5_1", "drawn", 50)]
    assert makers[1] == [("right lung", "M5_0", "edited", 99), ("left lung", "M5_1", "edited", 50)]
    for number, path in ((1, first), (2, second)):
        assert call("GET", f"/medsight/corrections/{number}?image={image}").content == path.read_bytes()


def test_the_latest_version_is_monai_labels_own(anna, image, studies, tmp_path):
    anna.submit(image, write_label(tmp_path / "a.nii.gz"))
    second = write_label(tmp_path / "b.nrrd", right=99)
    anna.submit(image, second)
    assert Path(anna.client.download_label(image, "final")).read_bytes() == second.read_bytes()
    info = anna.client.datastore()["objects"][image]["labels"]["final"]["info"]
    assert info["label_info"] == NAMES
    assert info["client_id"] == "anna"
    assert info["medsight"]["version"] == 2
    assert info["segmentationMeta"]["status"] == "submitted"
    assert not (studies / "labels" / "final" / f"{image}.nii.gz").exists(), "one label, not one of each file type"


def test_what_was_said_of_a_version_stays_with_it(anna, image, studies, tmp_path, call):
    label = write_label(tmp_path / "a.nrrd")
    anna.submit(image, label)
    review = {"segmentationMeta": {"status": "flagged", "comment": "too small"}}
    call("PUT", f"/datastore/label/info?label={image}&tag=final", data={"info": json.dumps(review)})
    anna.submit(image, label)
    store = CorrectionStore(studies / "medsight" / "corrections")
    said = [store.notes(image, version).get("segmentationMeta", {}).get("comment") for version in (1, 2)]
    assert said == ["too small", None]


def test_a_label_that_lay_there_before_is_version_1(anna, image, studies, tmp_path, call):
    old = write_label(studies / "labels" / "final" / f"{image}.nrrd", right=7)
    content = old.read_bytes()  # whether or not MONAI Label's watcher has seen it by now
    reply = anna.submit(image, write_label(tmp_path / "a.nrrd"))
    assert reply["version"] == 2
    assert [(each["found"], each["segments"] != []) for each in versions(call, image)] == [(True, False), (False, True)]
    assert call("GET", f"/medsight/corrections/1?image={image}").content == content


@pytest.mark.parametrize(
    ("make", "names", "own", "text"),
    [
        (
            lambda path: write_label(path, spacing=(2.0, 2.0, 2.5)), NAMES, {},
            "The segmentation does not lie on the image's voxels: its spacing is 2 x 2 x 2.5 mm and the image's 2 x "
            "2 x 3 mm; export it again with the image as its reference geometry.",
        ),
        (
            lambda path: write_label(path, 0, 0), NAMES, {},
            "The segmentation is empty: outline something, or hand it in with nothing_there if that is what you mean.",
        ),
        (
            write_label, NAMES[:1], {},
            "Nobody says what label 2 is: send its name in the params' label_info, as in "
            '[{"name": "right lung", "idx": 2}].',
        ),
        (
            write_label, NAMES, {"image_hash": "SHA256:00"},
            "The image was replaced since this segmentation was begun: load it again, check every outline on it, and "
            "hand in what is right.",
        ),
        (write_label, NAMES, {"base_version": "x"}, "The base_version is not a whole number: send the version you"),
        (write_image, NAMES, {}, "The file is no labelmap: its voxels must be whole numbers from 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_one_sentence_and_leaves_all_as_it_was(
    anna, call, image, tmp_path, make, names, own, text
):
    good = write_label(tmp_path / "good.nrrd")
    anna.submit(image, good)
    assert text in anna.refused(image, make(tmp_path / "bad.nrrd"), names=names, **own)
    assert len(versions(call, image)) == 1
    assert Path(anna.client.download_label(image, "final")).read_bytes() == good.read_bytes()


def test_two_annotators_of_one_case_lose_nothing_and_the_second_is_told(anna, ben, call, image, tmp_path):
    hers, his = write_label(tmp_path / "a.nrrd"), write_label(tmp_path / "b.nrrd", right=5)
    assert anna.submit(image, hers, base_version=0)["notices"] == []
    assert ben.submit(image, his, base_version=0)["notices"] == [
        "Version 1 was handed in by somebody else, or since you began: both are kept, and yours, version 2, is the "
        "current one; compare the two."
    ]
    kept = [call("GET", f"/medsight/corrections/{number}?image={image}").content for number in (1, 2)]
    assert kept == [hers.read_bytes(), his.read_bytes()]
    review = anna.client.datastore()["objects"][image]["labels"]["final"]["info"]["segmentationMeta"]
    assert review["status"] == "flagged", "a reviewer must look"
    assert review["comment"].startswith("Version 1 was handed in by somebody else")


def test_many_at_once_are_all_kept_and_the_last_is_current(server, call, image, tmp_path):
    labels = [write_label(tmp_path / f"{number}.nrrd", right=number + 1) for number in range(6)]
    replies = []

    def submit(number: int) -> None:
        replies.append(Annotator(server, tmp_path, f"a{number}").submit(image, labels[number], base_version=0))

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply["version"] for reply in replies) == [1, 2, 3, 4, 5, 6]
    assert sum(reply["notices"] == [] for reply in replies) == 1, "all but the first are told"
    last = versions(call, image)[-1]
    current = call("GET", f"/datastore/label?label={image}&tag=final").content
    assert current == call("GET", f"/medsight/corrections/6?image={image}").content
    assert {path.read_bytes() for path in labels} == {
        call("GET", f"/medsight/corrections/{number}?image={image}").content for number in range(1, 7)
    }
    assert last["version"] == 6


def test_an_unknown_name_is_kept_and_told(anna, image, tmp_path):
    names = [NAMES[0], {"name": "Segment_2", "idx": 2}]
    notices = anna.submit(image, write_label(tmp_path / "a.nrrd"), names=names)["notices"]
    assert notices == [
        "MedSIGHT does not know 'Segment_2': the outline is kept, but nothing can be learned from it until it has a "
        "known name, such as 'right lung'."
    ]


def test_the_image_replaced_between_is_told_or_refused(anna, call, image, tmp_path):
    label = write_label(tmp_path / "a.nrrd")
    seen = call("GET", f"/medsight/corrections?image={image}").json()["image_hash"]
    anna.submit(image, label, image_hash=seen)
    other = write_image(tmp_path / "other.nii.gz", seed=9)
    call("PUT", f"/datastore/image?image={image}", files={"file": ("i.nii.gz", other.read_bytes())})
    assert anna.refused(image, label, image_hash=seen).startswith(
        "The image was replaced since this segmentation was begun"
    )
    assert anna.submit(image, label)["notices"][0].startswith("The image was replaced after version 1")


def test_params_without_end_are_refused(call, image, tmp_path):
    label = write_label(tmp_path / "a.nrrd")
    response = call(
        "PUT",
        f"/datastore/label?image={image}",
        data={"params": json.dumps({"x": "y" * (256 << 10)})},
        files={"label": ("a.nrrd", label.read_bytes())},
    )
    assert response.status_code == 413
    assert "The params have 262153 characters and the limit is 262144: send less." in response.json()["detail"]


def test_versions_of_nobody_are_404(call, image):
    assert "There is no such image" in call("GET", "/medsight/corrections?image=nobody").json()["detail"]
    response = call("GET", f"/medsight/corrections/1?image={image}")
    assert response.status_code == 404
    assert "There is no version 1 of this label: list the versions first." in response.json()["detail"]


def test_nothing_personal_is_in_a_log_or_a_path(anna, image, server, studies, tmp_path):
    label = write_label(tmp_path / "CANARYFILE.nrrd")
    names = [NAMES[0], {"name": "CANARYNAME", "idx": 2}]
    anna.submit(image, label, names=names, prompt="CANARYPROMPT", answer="CANARYANSWER")
    anna.refused(image, write_label(tmp_path / "CANARYEMPTY.nrrd", 0, 0))
    log = server.log.read_text()
    assert "CANARY" not in log
    assert image not in log
    assert not [path for path in studies.rglob("*") if "CANARY" in path.name]
    assert not [path for path in (studies / "medsight").rglob("*") if image in path.name]
