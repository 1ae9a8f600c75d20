"""The engine: a volume and words in, an `Answer` out.

A question travels planes → features → replies → code states → masks → sentence. The engine holds the model and a cache
of vision features, and no state of any conversation. It knows nothing of HTTP, MONAI Label or Slicer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsight_core.answer import Answer, ModelInfo, Region
from medsight_core.engine.asked import (
    OFF_TOPIC_ANSWER,
    asked_names,
    ground,
    is_closed,
    is_request,
    meant_names,
    missing_names,
    names_all,
    overlooked,
    sideless,
    without_unasked,
)
from medsight_core.engine.cache import PlaneCache
from medsight_core.engine.context import context_line
from medsight_core.engine.description import describe
from medsight_core.engine.detection import Detections
from medsight_core.engine.features import ViewFeatures, detects, look
from medsight_core.engine.follow_up import names_of, spelt_out
from medsight_core.engine.given import given_name
from medsight_core.engine.impression import Impression, impression_of
from medsight_core.engine.known import codes_of_names, known_names
from medsight_core.engine.one_side import of_one_side, side_of_before
from medsight_core.engine.others import other_thing
from medsight_core.engine.regions import Candidate, Finding, best_candidates
from medsight_core.engine.speech import Progress, Say, listener
from medsight_core.engine.spelling import canonical_question
from medsight_core.engine.views import VolumeView
from medsight_core.engine.volumetric import key_planes, locate
from medsight_core.engine.wording import (
    Mention,
    absent_names,
    compose,
    find_codes,
    find_mentions,
    listed,
    not_seen,
    with_codes,
)
from medsight_core.errors import InputError, TooLargeError
from medsight_core.imaging.volume import Volume
from medsight_core.model.loading import load_model
from medsight_core.model.medsight import IMAGE_SENTINEL, MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.protocol import SCOPE_VOLUME, PlaneRange, PlaneRequest, Question, check_prompt, check_scope
from medsight_core.terminology import NAMES, coding, color

LEAST_ROOM = 16  # tokens: enough for one short sentence
ASK_FOR = "Outline the {}."
NO_SIDES = "Sides cannot be told on a {} plane: ask for the {}, or on another plane."
NO_WORDS = "The model gave no answer: ask in other words."


class Engine:
    """Answers questions about volumes with one loaded model. Safe to call from several threads."""

    def __init__(self, model: MedSightModel, processor: MedSightProcessor) -> None:
        self.model = model.eval()
        self.processor = processor
        self.config = processor.config
        self.cache = PlaneCache()  # vision features
        self.memories = PlaneCache()  # of the language model: each image read behind the system's turn

    @classmethod
    def load(cls, model_dir: str | Path, device: str = "cpu", bits: int | None = None) -> Engine:
        """Load a model folder, its language model in so many ``bits``. Raises what `load_model` raises."""
        return cls(*load_model(model_dir, device, bits=bits))

    def describe(self) -> dict[str, Any]:
        """What may be asked of this model, as plain JSON."""
        return describe(self.config, self.model.bits)

    def answer(
        self, volume: Volume, question: Question, progress: Progress | None = None, say: Say | None = None
    ) -> Answer:
        """`ask` what a checked request asks; its modality is for whoever reads the volume."""
        return self.ask(
            volume, question.prompt, scope=question.scope, plane=question.plane, history=question.history,
            window=question.window, threshold=question.threshold, soft=question.soft, progress=progress, say=say,
        )  # fmt: skip

    @torch.inference_mode()
    def ask(
        self,
        volume: Volume,
        prompt: str,
        scope: str = "volume",
        plane: PlaneRequest | PlaneRange | None = None,
        history: Sequence[tuple[str, str]] = (),
        window: str | None = None,
        progress: Progress | None = None,
        say: Say | None = None,
        threshold: float | None = None,
        soft: bool = False,
    ) -> Answer:
        """Answer a question about one plane of a volume, about several beside each other, or about all of it.

        scope: "plane", "range" (both need ``plane``) or "volume". history: earlier (question, answer) turns, the oldest
        first.
        window: CT window preset or "LEVEL/WIDTH"; the model's own by default.
        progress: called with "encode", "generate" or "decode" and how much of it is done, 0..1 (of a reply, how much of
        its greatest length). It is called before each batch of planes, after each token and between regions.
        say: called with each piece of text that the language model writes about the most important plane. It is what
        the model says before anything is outlined: the answer's text may say otherwise and is what counts.
        What either raises (`CancelledError`) ends the question at once and comes out here; planes that were looked at
        by then stay known.
        threshold: least probability, 0..1, at which a thing counts as seen; the model's own by default.
        soft: whether regions get soft masks beside their masks.
        Returns masks as bool arrays (I, J, K) on the volume's own voxel grid.
        Raises InputError or TooLargeError for a prompt, plane or window that cannot be used.
        """
        prompt, scope, tell = check_prompt(prompt), check_scope(scope), progress or _silent
        threshold = self.config.presence_threshold if threshold is None else threshold
        timings = _Timings()
        view = self._view(volume, scope, plane, window)
        tell("encode", 0.0)
        with timings.of("encode"):
            seen = self._see(view, tell)
            detections = self._detections(seen, threshold)
        with timings.of("generate"):
            tell("generate", 0.0)
            shown = detections.seen if detections else ()
            known = known_names(self.config, view)
            asked, earlier = prompt, [question for question, _ in history]
            if self.config.correct_words:  # questions as the language model reads them: with the names that it knows
                earlier = [canonical_question(question, known, seen=shown) for question in earlier]
                about = [names_of((said, answer), NAMES) for said, (_, answer) in zip(earlier, history)]
                side = side_of_before(prompt, about[-1] if about else ())
                asked = spelt_out(canonical_question(prompt, known, side, shown), about, known)
            codes = codes_of_names(self.config, known)
            turns = list(zip(earlier, (with_codes(answer, codes) for _, answer in history)))
            context = context_line(view.words, shown) if self.config.show_detections and detections else ""
            names = asked_names(asked, NAMES)
            # A model that reads canonical names may still answer about another thing; others mean it by other words.
            only = names if self.config.correct_words else []
            keys = key_planes(len(seen), names, detections)
            replies = self._reply(asked, turns, seen, keys, context, only, tell, say)
            tell("generate", 1.0)
            if only:
                only = names = [name for name in names if any(name in reply.asked for reply in replies)]
            for name in overlooked(only, {c.name for reply in replies for c in reply.candidates}, shown):
                replies[0].candidates.extend(self._given(name, seen, keys, context, _unhurried(tell)))
        with timings.of("decode"):
            tell("decode", 0.0)
            spoken = [candidate for reply in replies for candidate in reply.candidates]
            candidates = best_candidates(self.model, seen, spoken, detections, lambda: tell("decode", 0.0))
            findings = locate(
                self.model, seen, candidates, view, lambda done: tell("decode", done), threshold, detections, soft
            )
        return self._answer(asked, names, replies, findings, view, scope, timings)

    @torch.inference_mode()
    def detect(
        self,
        volume: Volume,
        scope: str = "volume",
        plane: PlaneRequest | PlaneRange | None = None,
        window: str | None = None,
    ) -> dict[str, float]:
        """Calibrated probability that each named class is there, by name; empty for models that do not detect.

        Arguments and errors as `ask`.
        """
        if not detects(self.model):
            return {}
        seen = self._see(self._view(volume, check_scope(scope), plane, window), _silent)
        detections = self._detections(seen)
        return {} if detections is None else dict(zip(detections.names, detections.together.tolist()))

    @torch.inference_mode()
    def impression(self, volume: Volume, progress: Progress | None = None) -> Impression:
        """What the whole volume looks like and how sure the model is of it, from features alone.

        Takes them from the cache when the volume has just been asked about, and leaves the cache as it was. progress:
        as of `ask`, "encode" only; it may wait, so that work in the background makes room for a question.
        """
        view = self._view(volume, SCOPE_VOLUME, None, None)
        seen = self._see(view, progress or _silent, keep=False)
        patches, names = seen.patches(key_planes(len(seen))), known_names(self.config, view)
        return impression_of(self.model, patches, seen.class_tokens, self._detections(seen), names)

    def _view(
        self, volume: Volume, scope: str, plane: PlaneRequest | PlaneRange | None, window: str | None
    ) -> VolumeView:
        if scope == SCOPE_VOLUME:
            return VolumeView.of_volume(volume, self.processor, window)
        if isinstance(plane, PlaneRange):
            return VolumeView.of_range(volume, plane, self.processor, window)
        if plane is None:
            raise InputError(f"The scope is '{scope}' but no plane is given: add plane, for example axial:42.")
        return VolumeView.of_plane(volume, plane, self.processor, window)

    def _see(self, view: VolumeView, tell: Progress, keep: bool = True) -> ViewFeatures:
        return look(self.model, self.processor, view, self.cache, tell, keep)

    def _detections(self, seen: ViewFeatures, threshold: float | None = None) -> Detections | None:
        regions = seen.regions
        return None if regions is None else Detections.of(self.model, regions, threshold)

    def _reply(
        self,
        prompt: str,
        turns: Sequence[tuple[str, str]],
        seen: ViewFeatures,
        keys: Sequence[int],
        context: str,
        only: Sequence[str],
        tell: Progress,
        say: Say | None,
    ) -> list[_Reply]:
        """What the language model says to each key plane (``keys``) of those seen.

        turns: earlier ones, as the model wrote them. context: told in front of the first question. only: names that may
        be outlined; any, when there are none.
        """
        while (
            room := self.processor.room(ids := self.processor.prompt_ids(prompt, turns, context=context))
        ) < LEAST_ROOM:
            if not turns:
                raise TooLargeError("The prompt is too long for this model: ask a shorter question.")
            turns = turns[1:]  # a long conversation forgets its beginning
        limit = min(self.config.max_new_tokens, room)
        generations = self.model.generate(
            ids,
            None,
            self.processor.eos_token,
            memory=self._memory(ids, seen, keys),
            max_new_tokens=limit,
            on_token=listener(self.processor, limit, tell, say),
        )
        other = other_thing(prompt, self.config.class_names) if self.config.correct_words else ""
        replies = []
        for plane, generation in zip(keys, generations):
            text, spans = self.processor.text_and_codes(generation.ids)
            if len(spans) > len(generation.code_states):  # cut at the length limit, before the last code's state
                text, spans = text[: spans[-1].start], spans[:-1]
            text = text.rstrip()
            mentions = find_mentions(text, spans, self.config.names_of_codes)
            closed = is_closed(prompt, text)
            if other:
                text, mentions = not_seen([other]).capitalize(), []
            if text == OFF_TOPIC_ANSWER and is_request(prompt, only):
                text = ""
            spoken = {*(mention.name for mention in mentions), *absent_names(text)}
            asked = [] if text == OFF_TOPIC_ANSWER else meant_names(prompt, only, spoken)
            if self.config.correct_words and not only:
                asked = of_one_side(prompt, spoken)
            text, kept = without_unasked(text, mentions, asked)
            candidates = [
                Candidate(mentions[index].name, mentions[index].code, plane, generation.code_states[index])
                for index in kept
            ]
            replies.append(_Reply(text, [mentions[index] for index in kept], candidates, closed, asked))
        return replies

    def _given(
        self, name: str, seen: ViewFeatures, keys: Sequence[int], context: str, tell: Progress
    ) -> list[Candidate]:
        """Candidates of a name that is asked for and seen, on each key plane, when no reply speaks of it."""
        ids = self.processor.prompt_ids(ASK_FOR.format(name), context=context)
        hear = listener(self.processor, self.config.max_new_tokens, tell, None)
        return given_name(self.model, self.processor, name, ids, self._memory(ids, seen, keys), keys, hear)

    def _memory(self, ids: Sequence[int], seen: ViewFeatures, keys: Sequence[int]) -> Tensor:
        """`MedSightModel.read` of planes, from the cache where a question with this beginning was asked before."""
        start = tuple(ids[: ids.index(IMAGE_SENTINEL) + 1])

        def read(missing: list[int]) -> Iterator[Tensor]:
            yield from (one.clone() for one in self.model.read(start, seen.images([keys[place] for place in missing])))

        return torch.stack(self.memories.get([(seen.keys[plane], start) for plane in keys], read))

    def _answer(
        self,
        prompt: str,
        names: Sequence[str],
        replies: list[_Reply],
        findings: list[Finding],
        view: VolumeView,
        scope: str,
        timings: _Timings,
    ) -> Answer:
        """The sentence and regions that agree with what was found on the planes. names: that the prompt mentions."""
        found = {finding.name: finding for finding in findings}
        # The reply that says most of what is there; among equals the one that most planes gave.
        votes = Counter(reply.text for reply in replies)
        base = max(replies, key=lambda r: (len({m.name for m in r.mentions} & found.keys()), votes[r.text]))
        mentioned = list(dict.fromkeys(m.name for m in base.mentions if m.name in found))
        extra = [name for name in found if name not in mentioned]
        numbers = {name: index + 1 for index, name in enumerate([*mentioned, *extra])}
        missing = missing_names(names, found)
        known = known_names(self.config, view)
        trusted = known or [*self.config.names_of_codes.values(), *self.config.class_names]
        only = names if self.config.correct_words and names_all(prompt, names) else []
        if not names:
            only = base.asked
        text = ground(base.text, prompt, trusted, missing, only)
        mentions = find_mentions(text, find_codes(text), self.config.names_of_codes)
        wording = compose(text, mentions, numbers, extra, base.closed)
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
                    presence=finding.presence,
                    volume_ml=float(finding.mask.sum()) * view.volume.voxel_ml,
                    slices=(int(along_k[0]), int(along_k[-1])),
                    color=color(name),
                    terminology=coding(name),
                    mask=finding.mask,
                    soft=finding.soft,
                )
            )
        words = [wording.text or NO_WORDS]
        if self.config.correct_words and (bases := sideless(missing, known)):
            words.append(NO_SIDES.format(view.orientation, listed(bases)))
        return Answer(
            " ".join(words),
            tuple(regions),
            wording.absent,
            scope,
            ModelInfo(**self.describe()["model"]),
            timings.seconds(),
        )


@dataclass(frozen=True)
class _Reply:
    """A reply's text with the names and code states in it.

    closed: it is to begin with yes or no. asked: names in the question that it takes to be asked for.
    """

    text: str
    mentions: list[Mention]
    candidates: list[Candidate]
    closed: bool
    asked: list[str]


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


def _unhurried(tell: Progress) -> Progress:
    """Progress of what comes after all seemed done: only a place to stop."""
    return lambda phase, done: tell(phase, 1.0)


def _silent(phase: str, done: float) -> None:
    """Progress that nobody asked for."""
