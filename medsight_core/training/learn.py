"""One training from corrected cases to a version that is served or kept, with the reason and the record of the change.

Everything that may go wrong in the middle leaves the served model and all versions as they were. Knows the registry and
`adapt`; where the cases come from is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from medsight_core.data.corrected_cases import Case
from medsight_core.engine.change_record import ChangeRecord
from medsight_core.engine.promotion import Evaluation, Score, Verdict
from medsight_core.engine.registry import Registry, Version
from medsight_core.errors import InputError
from medsight_core.training.adapt import Adapted, AdaptOptions, Compared, Report, adapt


@dataclass(frozen=True)
class Lesson:
    """What came of a training: the new version, whether it is served, and sentences about what was left out."""

    version: Version
    verdict: Verdict
    told: tuple[str, ...]


def learn(registry: Registry, cases: Sequence[Case], options: AdaptOptions, report: Report) -> Lesson:
    """Train from the version that is served, keep the result, serve it if the rule allows it.

    What ``report`` raises ends the training. Raises InputError when another training runs, when there is nothing to
    learn from and when the disk is full, ModelError when what was learned cannot be loaded; nothing is kept then.
    """
    with writing(registry), registry.work() as work:
        parent = registry.current()
        adapted = adapt(registry.folder(parent), cases, work / "model", options, report)
        evaluation = Evaluation(score_of(adapted.held_out), score_of(adapted.reference))
        version = registry.publish(adapted.folder, parent, adapted.data, evaluation, change_of(adapted))
    return Lesson(version, registry.promote(version.name, instead_of=parent), adapted.told)


def change_of(adapted: Adapted) -> ChangeRecord:
    """The record of a training. It holds no image's id: numbers, names of structures, and hashes."""
    held_out, reference = adapted.held_out, adapted.reference
    return ChangeRecord(
        modifications={
            "share of the parameters that learned": round(adapted.learned, 4),
            "structures that were taught": list(adapted.names),
            "what is asked and answered": "as before: no new name, modality or orientation",
        },
        protocol={**adapted.settings, "seconds": adapted.seconds},
        data={
            "corrected images trained on": adapted.cases,
            "planes cut from them": adapted.planes,
            "hash of them": adapted.data,
            "requests on held-out images": held_out.n,
            "hash of the held-out images": held_out.data,
            "requests on the reference set": reference.n,
            "hash of the reference set": reference.data,
            "remarks on corrections (told to who trained)": len(adapted.told),
            **_intervals("new cases", held_out),
            **_intervals("reference set", reference),
        },
        impact=[
            f"Meant to change: outlines of {', '.join(adapted.names)} on images like those that were corrected.",
            "Corrections are taken as they are: what annotators do wrong alike is learned.",
            "May change besides: everything else that is outlined. The reference set measures it as far as it goes; "
            "what neither it nor the held-out images show was not measured.",
            f"{_false_masks('the held-out images', held_out)} {_false_masks('the reference set', reference)}",
        ],
    )


def score_of(compared: Compared) -> Score:
    """What the rule judges by."""
    return Score(compared.before, compared.after, compared.n, compared.data, compared.blind, compared.own)


def _intervals(what: str, compared: Compared) -> dict[str, str]:
    if compared.change_interval is None:
        return {}
    low, high = compared.change_interval
    return {f"95 % interval of the change on the {what}": f"{low:+.3f} to {high:+.3f}"}


def _false_masks(where: str, compared: Compared) -> str:
    if not compared.absent:
        return f"Nothing that is absent was asked for on {where}."
    before, after = compared.false_masks
    return (
        f"Of {compared.absent} absent things asked for on {where}, {before:.0%} were outlined before, {after:.0%} now."
    )


@contextmanager
def writing(registry: Registry) -> Iterator[None]:
    """A full disk in the block as one sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"The new version cannot be written to {registry.root} ({error.strerror or type(error).__name__}): make "
            "room there and train again; the served model is as it was."
        ) from error
