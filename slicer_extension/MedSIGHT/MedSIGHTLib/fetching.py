"""A case on its way from the worklist into the scene: fetched without the scene, then opened in it.

Two steps, because only the first is slow and only the second may touch MRML. Free of Qt, so that scripts can use it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Collection, Mapping

import slicer

from medsight_core.client import Annotator, Case, ListedCase, Version, Versions, Worklist
from medsight_core.errors import MedSightError
from MedSIGHTLib.case_segments import has_work
from MedSIGHTLib.case_store import case_of, load_image, ready_to_edit, set_case, volume_of
from MedSIGHTLib.kept_label import KeptLabel, place_beside, place_kept
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.translating import _

LABEL, REDO, REVIEW = TASKS = ("label", "redo", "review")
_TAG = "final"


@dataclass(frozen=True, eq=False)
class Fetched:
    """What came from the server: the worklist, and a case unless none is left for this task.

    image: the file; None when the case is in the scene already. kept: its current label; None without one.
    problem: why a label that there is cannot be shown.
    """

    worklist: Worklist
    case: OpenCase | None = None
    image: Path | None = None
    kept: KeptLabel | None = None
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Opened:
    """A case in the scene. resumed: it had been left with work on it. problem: as of `Fetched`."""

    volume: slicer.vtkMRMLScalarVolumeNode
    case: OpenCase
    resumed: bool = False
    problem: str = ""


def fetch_next(
    annotator: Annotator,
    task: str,
    strategy: str,
    folder: Path,
    skipped: Collection[str] = (),
    here: Mapping[str, str] | None = None,
) -> Fetched:
    """The next case for a task, with its image and current label in ``folder``; slow, touches no scene.

    task: "label" (what has no label, by a strategy of the server), "redo" (what a reviewer flagged) or "review".
    skipped: cases that come last, for the last two tasks; the server remembers for the first. here: `open_images`.
    Raises the client's errors.
    """
    chosen: Case | ListedCase | None
    worklist = annotator.worklist()
    if task == LABEL:
        chosen = annotator.next_case(strategy)
    else:
        chosen = worklist.next_to_review(skipped) if task == REVIEW else worklist.next_to_redo(skipped)
    if chosen is None:
        return Fetched(worklist)
    versions = annotator.versions(chosen.id)
    image = None
    if (here or {}).get(chosen.id) != versions.image_hash:
        stored = annotator.download(chosen.id, folder)
        image, versions = stored.path, replace(versions, image_hash=stored.image_hash)
    kept, problem, latest = None, "", latest_of(versions)
    if latest is not None:
        try:
            kept = KeptLabel.read(annotator.download_version(chosen.id, latest, folder), latest)
        except MedSightError as error:  # the image can be looked at all the same
            problem = str(error)
    return Fetched(worklist, _open_case(chosen, versions, latest), image, kept, problem)


def open_case(fetched: Fetched) -> Opened:
    """Put a fetched case into the scene, ready to edit; belongs to the scene's thread.

    Work that was left on it is taken up again, unless its label has got a newer version since: that is told, and shown
    beside.
    Raises VolumeError when the image cannot be read; then nothing was added.
    """
    case = fetched.case
    volume = volume_of(slicer.mrmlScene, case.id, case.image_hash) if fetched.image is None else None
    if volume is None:
        volume = load_image(fetched.image, case.id)
    else:
        before = case_of(volume)
        if has_work(volume, before):
            ready_to_edit(volume)
            return Opened(volume, before, True, _beside(fetched, volume, before))
    problem = fetched.problem
    if fetched.kept is not None:
        try:
            case = replace(case, base_segments=place_kept(fetched.kept, volume))
        except MedSightError as error:
            problem = str(error)
    set_case(volume, case)
    ready_to_edit(volume)
    return Opened(volume, case, problem=problem)


def latest_of(versions: Versions) -> Version | None:
    """The current one of the label that is learned from; None when there is none."""
    return next((version for version in reversed(versions.versions) if version.tag == _TAG), None)


def _beside(fetched: Fetched, volume: Any, before: OpenCase) -> str:
    """Show what came in since somebody began the work that is here."""
    if fetched.kept is None or fetched.case.base_version <= before.base_version:
        return ""
    try:
        place_beside(fetched.kept, volume)
    except MedSightError as error:
        return str(error)
    return _("Version {base_version} came in since you began: it is shown beside your own, to compare.").format(
        base_version=fetched.case.base_version
    )


def _open_case(chosen: Case | ListedCase, versions: Versions, latest: Version | None) -> OpenCase:
    said = {}
    if isinstance(chosen, ListedCase):
        said = {name: getattr(chosen, name) for name in ("status", "level", "comment", "reviewer")}
    else:
        said = {"reason": chosen.reason}
    return OpenCase(
        chosen.id,
        versions.image_hash,
        base_version=latest.version if latest is not None else 0,
        base_annotator=latest.annotator if latest is not None else "",
        **said,
    )
