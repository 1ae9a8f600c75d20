"""The engine: a volume and words in, an `Answer` out.

A question travels planes → features → replies → code states → masks → sentence. The engine holds the model and a cache
of vision features, and no state of any conversation. It knows nothing of HTTP, MONAI Label or Slicer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsight_core.answer import Answer, ModelInfo, Region
from medsight_core.engine.asked import asked_names, ground, missing_names
from medsight_core.engine.cache import FeatureCache
from medsight_core.engine.context import context_line
from medsight_core.engine.description import describe
from medsight_core.engine.detection import Detections
from medsight_core.engine.regions import Candidate, Finding, best_candidates, locate
from medsight_core.engine.spelling import canonical_question
from medsight_core.engine.views import VolumeView, plane_batches, stack_pixels
from medsight_core.engine.wording import Mention, compose, find_codes, find_mentions, plain_history
from medsight_core.errors import InputError, TooLargeError
from medsight_core.imaging.volume import Volume
from medsight_core.model.config import MedSightConfig
from medsight_core.model.loading import load_model
from medsight_core.model.medsight import ImageFeatures, MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.protocol import SCOPE_PLANE, PlaneRequest, check_prompt, check_scope
from medsight_core.terminology import NAMES, coding, color, split_side

Progress = Callable[[str, float], None]

LEAST_ROOM = 16  # tokens: enough for one short sentence
NO_WORDS = "The model gave no answer: ask in other words."


class Engine:
    """Answers questions about volumes with one loaded model. Safe to call from several threads."""

    def __init__(self, model: MedSightModel, processor: MedSightProcessor) -> None:
        self.model = model.eval()
        self.processor = processor
        self.config = processor.config
        self.cache = FeatureCache()

    @classmethod
    def load(cls, model_dir: str | Path, device: str = "cpu") -> Engine:
        """Load a model folder. Raises ModelError when it is missing, incomplete or does not fit this version."""
        return cls(*load_model(model_dir, device))

    def describe(self) -> dict[str, Any]:
        """What may be asked of this model, as plain JSON."""
        return describe(self.config)

    @torch.inference_mode()
    def ask(
        self,
        volume: Volume,
        prompt: str,
        scope: str = "volume",
        plane: PlaneRequest | None = None,
        history: Sequence[tuple[str, str]] = (),
        window: str | None = None,
        progress: Progress | None = None,
    ) -> Answer:
        """Answer a question about one plane of a volume, or about all of it.

        scope: "plane" (``plane`` is needed) or "volume". history: earlier (question, answer) turns, oldest first.
        window: CT window preset or "LEVEL/WIDTH"; the model's own by default.
        progress: called with "encode", "generate" or "decode" and how much of it is done, 0..1.
        Returns masks as bool arrays (I, J, K) on the volume's own voxel grid.
        Raises InputError or TooLargeError for a prompt, plane or window that cannot be used.
        """
        prompt, scope, tell = check_prompt(prompt), check_scope(scope), progress or _silent
        timings = _Timings()
        view = self._view(volume, scope, plane, window)
        with timings.of("encode"):
            patches, class_tokens, regions = self._see(view, tell)
            keys = torch.tensor(view.key_planes, device=self.model.device)
            detections = None if regions is None else Detections.of(self.model, regions)
            looked_at = self.model.perceiver.regions(patches[keys]) if regions is None else regions[keys]
            features = ImageFeatures(patches[keys], class_tokens[keys], looked_at)
        with timings.of("generate"):
            tell("generate", 0.0)
            asked = canonical_question(prompt, known_names(self.config, view)) if self.config.correct_words else prompt
            context = context_line(view.words, detections.seen) if self.config.show_detections and detections else ""
            replies = self._reply(asked, history, features, context)
            tell("generate", 1.0)
        with timings.of("decode"):
            tell("decode", 0.0)
            spoken = [reply.candidates for reply in replies]
            of_keys = detections if detections is None else detections.on(keys)
            candidates = best_candidates(self.model, features.patches, spoken, of_keys)
            findings = locate(self.model, patches, candidates, view, lambda done: tell("decode", done), detections)
        return self._answer(asked, replies, findings, volume, scope, timings)

    @torch.inference_mode()
    def detect(
        self, volume: Volume, scope: str = "volume", plane: PlaneRequest | None = None, window: str | None = None
    ) -> dict[str, float]:
        """Calibrated probability that each named class is there, by name; empty for models that do not detect.

        Arguments and errors as `ask`.
        """
        if not self._detects:
            return {}
        regions = self._see(self._view(volume, check_scope(scope), plane, window), _silent)[2]
        assert regions is not None  # noqa: S101 - models that detect have them
        detections = Detections.of(self.model, regions)
        return dict(zip(detections.names, detections.together.tolist()))

    def _view(self, volume: Volume, scope: str, plane: PlaneRequest | None, window: str | None) -> VolumeView:
        if scope != SCOPE_PLANE:
            return VolumeView.of_volume(volume, self.processor, window)
        if plane is None:
            raise InputError("The scope is 'plane' but no plane is given: add plane, for example axial:42.")
        return VolumeView.of_plane(volume, plane, self.processor, window)

    def _see(self, view: VolumeView, tell: Progress) -> tuple[Tensor, Tensor, Tensor | None]:
        """Patches (P, h, w, D) and class tokens (P, D) of all planes of a view, from the cache when asked before.

        Also region vectors (P, N, D), of models that detect with them.
        """
        config, device = self.config, self.model.device
        key = (view.volume.fingerprint(), view.window, view.planes)
        tokens = self.cache.get(key, lambda: self._encode(view, tell, device)).to(device)  # (P, 1 + h*w [+ N], D)
        stop = 1 + config.grid**2
        regions = tokens[:, stop:] if self._detects else None
        return tokens[:, 1:stop].unflatten(1, (config.grid, config.grid)), tokens[:, 0], regions

    def _encode(self, view: VolumeView, tell: Progress, device: torch.device) -> Tensor:
        count, parts = len(view.planes), []
        for batch in plane_batches(count, self.config.mask_size):
            tell("encode", batch.start / count)
            pixels = stack_pixels(view, range(batch.start, batch.stop), self.processor).to(device, self.model.dtype)
            patches, class_token = self.model.see(pixels)
            tokens = [class_token[:, None], patches.flatten(1, 2)]
            if self._detects:
                tokens.append(self.model.perceiver.regions(patches))
            parts.append(torch.cat(tokens, dim=1).cpu())
        tell("encode", 1.0)
        return torch.cat(parts)

    @property
    def _detects(self) -> bool:
        return self.config.presence == "detected" or self.config.show_detections

    def _reply(
        self, prompt: str, history: Sequence[tuple[str, str]], features: ImageFeatures, context: str
    ) -> list[_Reply]:
        """What the language model says to each key plane. context: told in front of the first question."""
        turns = plain_history(history)
        while (
            room := self.processor.room(ids := self.processor.prompt_ids(prompt, turns, context=context))
        ) < LEAST_ROOM:
            if not turns:
                raise TooLargeError("The prompt is too long for this model: ask a shorter question.")
            turns = turns[1:]  # a long conversation forgets its beginning
        generations = self.model.generate(
            ids, features, self.processor.eos_token, max_new_tokens=min(self.config.max_new_tokens, room)
        )
        replies = []
        for plane, generation in enumerate(generations):
            text, spans = self.processor.text_and_codes(generation.ids)
            if len(spans) > len(generation.code_states):  # cut at the length limit, before the last code's state
                text, spans = text[: spans[-1].start], spans[:-1]
            text = text.rstrip()
            mentions = find_mentions(text, spans, self.config.names_of_codes)
            candidates = [
                Candidate(mention.name, mention.code, plane, state)
                for mention, state in zip(mentions, generation.code_states)
            ]
            replies.append(_Reply(text, mentions, candidates))
        return replies

    def _answer(
        self, prompt: str, replies: list[_Reply], findings: list[Finding], volume: Volume, scope: str, timings: _Timings
    ) -> Answer:
        """The sentence and regions that agree with what was found on the planes."""
        found = {finding.name: finding for finding in findings}
        # The reply that says most of what is there; among equals the one that most planes gave.
        votes = Counter(reply.text for reply in replies)
        base = max(replies, key=lambda r: (len({m.name for m in r.mentions} & found.keys()), votes[r.text]))
        mentioned = list(dict.fromkeys(m.name for m in base.mentions if m.name in found))
        extra = [name for name in found if name not in mentioned]
        numbers = {name: index + 1 for index, name in enumerate([*mentioned, *extra])}
        missing = missing_names(asked_names(prompt, NAMES), found)
        text = ground(base.text, prompt, {*self.config.names_of_codes.values(), *self.config.class_names}, missing)
        mentions = find_mentions(text, find_codes(text), self.config.names_of_codes)
        wording = compose(text, mentions, numbers, extra)
        regions = []
        for name, label in numbers.items():
            finding = found[name]
            along_k = np.flatnonzero(finding.mask.any(axis=(0, 1)))
            regions.append(
                Region(
                    label=label,
                    name=name,
                    code=finding.code,
                    span=wording.spans[name],
                    confidence=finding.confidence,
                    volume_ml=float(finding.mask.sum()) * volume.voxel_ml,
                    slices=(int(along_k[0]), int(along_k[-1])),
                    color=color(name),
                    terminology=coding(name),
                    mask=finding.mask,
                )
            )
        return Answer(
            wording.text or NO_WORDS,
            tuple(regions),
            wording.absent,
            scope,
            ModelInfo(**self.describe()["model"]),
            timings.seconds(),
        )


def known_names(config: MedSightConfig, view: VolumeView) -> list[str]:
    """The names that a model has for what a view may show; of an unknown modality, all of them.

    Where things have a side they are named with it, but on sagittal planes, where nobody can tell sides, without.
    """
    listed = config.modality_names
    names = listed.get(view.volume.modality) or [name for each in listed.values() for name in each]
    bases = {base for side, base in map(split_side, names) if side} & set(names)
    if view.orientation == "sagittal":
        return [name for name in names if split_side(name)[1] not in bases or name in bases]
    return [name for name in names if name not in bases]


class _Reply:
    """A reply's text with the names and code states in it."""

    def __init__(self, text: str, mentions: list[Mention], candidates: list[Candidate]) -> None:
        self.text = text
        self.mentions = mentions
        self.candidates = candidates


class _Timings:
    """Seconds by phase, and since the question was asked."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._phases: dict[str, float] = {}

    @contextmanager
    def of(self, phase: str) -> Any:
        """Time a ``with`` block."""
        start = time.perf_counter()
        yield
        self._phases[phase] = time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """All phases, and "total"."""
        return {**self._phases, "total": time.perf_counter() - self._start}


def _silent(phase: str, done: float) -> None:
    """Progress that nobody asked for."""
