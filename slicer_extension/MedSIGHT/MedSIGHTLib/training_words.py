"""What the panel says of a training and of the model's versions. Knows HTML as far as Qt's labels do; knows no Qt.

Every text of the server is escaped.
"""

from __future__ import annotations

import html

from medsight_core.client import ModelVersion, Training
from medsight_core.protocol import (
    TRAINING_FAILED,
    TRAINING_IDLE,
    TRAINING_KEPT,
    TRAINING_PROMOTED,
    TRAINING_STARTING,
    TRAINING_STOPPED,
)
from MedSIGHTLib.translating import _

_SHOWN_NOTICES = 3


def training_words(training: Training) -> tuple[str, str]:
    """How far a training is or how it ended, as a sentence, and the state that it is shown in."""
    if training.state == TRAINING_IDLE:
        return _("This server has trained nothing yet."), "idle"
    if training.state == TRAINING_STARTING:
        return _("The training starts …"), "busy"
    if training.state == TRAINING_PROMOTED:
        words = _("Promoted: {version} answers since. {detail}")
        return words.format(version=training.version, detail=training.detail), "good"
    if training.state == TRAINING_KEPT:
        words = _("Refused: {version} is kept and does not answer. {detail}")
        return words.format(version=training.version, detail=training.detail), "problem"
    if training.state == TRAINING_FAILED:
        return _("Failed: {detail}").format(detail=training.detail), "problem"
    if training.state == TRAINING_STOPPED:
        return _("Stopped: {detail}").format(detail=training.detail), "idle"
    return " · ".join(_figures(training)), "busy"


def _figures(training: Training) -> list[str]:
    """What is going on, and the figures that are known by now."""
    phases = {
        "prepare": _("Preparing {cases} cases"),
        "measure": _("Measuring the Dice"),
        "train": _("Learning from {cases} cases"),
    }
    parts = [phases.get(training.phase, _("Training")).format(cases=training.cases)]
    if training.steps:
        parts.append(_("epoch {epoch}").format(epoch=training.epoch + 1))
        parts.append(_("step {step} of {steps}").format(step=training.step, steps=training.steps))
    if training.loss is not None:
        parts.append(_("loss {loss}").format(loss=f"{training.loss:.3g}"))
    if training.held_out is not None:
        parts.append(_("Dice {dice} on cases that only measure").format(dice=f"{training.held_out:.3f}"))
    if training.eta is not None:
        parts.append(_("{time} left").format(time=duration(training.eta)))
    return parts


def notices_html(training: Training, muted: str) -> str:
    """What the server says of corrections that were left out; "" when it says nothing."""
    shown = [html.escape(notice) for notice in training.notices[:_SHOWN_NOTICES]]
    more = len(training.notices) - len(shown)
    if more:
        shown.append(_("{count} more like these.").format(count=more))
    return f"<span style='color:{muted}'>{'<br>'.join(shown)}</span>" if shown else ""


def version_title(version: ModelVersion) -> str:
    """A version in a list."""
    return _("{version} · answers now").format(version=version.name) if version.served else version.name


def version_html(version: ModelVersion, muted: str) -> str:
    """Where a version comes from, its figures, and why it may not be served if it may not."""
    parts = []
    if version.parent:
        parts.append(_("trained from {parent}").format(parent=version.parent))
    if version.created:
        parts.append(version.created[:16].replace("T", " "))
    dice = []
    if version.new_cases:
        dice.append(_("on corrected cases {before} → {after}").format(**_before_after(version.new_cases)))
    if version.reference:
        dice.append(_("on the reference set {before} → {after}").format(**_before_after(version.reference)))
    if dice:
        parts.append(_("Dice {figures}").format(figures=", ".join(dice)))
    text = html.escape(" · ".join(parts) or _("The model that the server was started with."))
    if not version.may_be_served:
        text += "<br>" + html.escape(_("It may not answer: {reason}").format(reason=version.reason))
    return f"<span style='color:{muted}'>{text}</span>"


def duration(seconds: float) -> str:
    """A rough time for people: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 60:
        return _("{minutes} min").format(minutes=minutes)
    return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)


def _before_after(dice: tuple[float, float]) -> dict[str, str]:
    return {"before": f"{dice[0]:.3f}", "after": f"{dice[1]:.3f}"}
