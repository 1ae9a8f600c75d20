"""A loaded model asked about pictures: what it says to each case, and the maps of what it outlines.

Pictures are encoded together, equal questions are answered together, and replies with equally many codes are decoded
together. Greedy, so the same batch gives the same replies. Knows no reference and no scores.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from medsight_core.engine.engine import LEAST_ROOM
from medsight_core.engine.regions import presence
from medsight_core.errors import InputError, TooLargeError
from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.predictions import Prediction
from medsight_core.imaging.visible_box import VisibleBox
from medsight_core.model.medsight import ImageFeatures, MedSightModel
from medsight_core.model.processor import MedSightProcessor


@dataclass(frozen=True)
class Options:
    """How replies are generated.

    repetition_penalty: on tokens that the reply has already; 1.2 is the authors' (model-spec 6.1).
    max_new_tokens: longest reply; the model's own limit when None.
    """

    repetition_penalty: float = 1.0
    max_new_tokens: int | None = None


@dataclass
class _Reply:
    text: str
    codes: tuple[str, ...]
    states: Tensor  # (n, H)


def fingerprint(folder: Path, model: MedSightModel, options: Options) -> str:
    """What replies depend on beside the question: every file of the model, its precision, device and options."""
    digest = hashlib.sha256(f"{model.dtype} {model.device.type} {options}".encode())
    if model.bits is not None:
        digest.update(f"{model.bits} bits".encode())
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix != ".md":
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def case_key(model_fingerprint: str, case: Case) -> str:
    """Tells whether a reply belongs to this question of this model."""
    parts = [model_fingerprint, case.prompt, [path.name for path in case.images], bool(case.masks)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class Predictor:
    """Asks one model. ``model_fingerprint`` is what `fingerprint` says of it."""

    def __init__(
        self, model: MedSightModel, processor: MedSightProcessor, options: Options, model_fingerprint: str
    ) -> None:
        self.model, self.processor, self.options = model.eval(), processor, options
        self.fingerprint = model_fingerprint

    def check(self, case: Case) -> None:
        """Raises InputError for a question that is too long, or that has masks and not exactly one picture."""
        if case.masks and len(case.images) != 1:
            raise InputError(f"it has masks and {len(case.images)} pictures where one is expected.")
        count = len(case.images)
        if self.processor.room(self._ids(case.prompt, count), count) < LEAST_ROOM:
            raise TooLargeError("its question is too long for this model.")

    @torch.inference_mode()
    def predict(self, cases: Sequence[Case], pictures: Sequence[Sequence[Image.Image]]) -> list[Prediction]:
        """The replies to a batch of cases that pass `check`, with their pictures."""
        features = self._see([picture for images in pictures for picture in images])
        starts = np.cumsum([0, *(len(images) for images in pictures)]).tolist()
        own = [_part(features, list(range(start, stop))) for start, stop in zip(starts, starts[1:])]
        replies = self._replies(cases, own)
        maps = self._maps(cases, own, replies)
        predictions = []
        for index, (case, reply) in enumerate(zip(cases, replies)):
            size = pictures[index][0].size
            logits, seen = maps.get(index, (None, ()))
            predictions.append(
                Prediction(
                    case.id,
                    case_key(self.fingerprint, case),
                    reply.text,
                    reply.codes if case.masks else (),
                    seen,
                    (size[1], size[0]) if case.masks else None,
                    logits,
                    self._dummy(case, own[index]) if case.masks and not reply.codes else None,
                )
            )
        return predictions

    def _see(self, pictures: Sequence[Image.Image]) -> ImageFeatures:
        side = self.model.config.vision_config.image_size
        boxes = [VisibleBox.of(picture.height, picture.width, side) for picture in pictures]
        # The authors convert to RGB after resizing; for 8-bit greyscale both orders are the same.
        pixels = [self.processor.pixel_values(box.apply(picture)) for box, picture in zip(boxes, pictures)]
        return self.model.encode(torch.stack(pixels).to(self.model.device, self.model.dtype))

    def _replies(self, cases: Sequence[Case], own: Sequence[ImageFeatures]) -> list[_Reply]:
        """Generated together where the question is the same, so that no prompt needs padding."""
        same: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index, (case, features) in enumerate(zip(cases, own)):
            same[case.prompt, len(features.patches)].append(index)
        replies: dict[int, _Reply] = {}
        for (prompt, count), places in same.items():
            ids = self._ids(prompt, count)
            wanted = min(
                self.options.max_new_tokens or self.model.config.max_new_tokens, self.processor.room(ids, count)
            )
            settings = {"max_new_tokens": wanted, "repetition_penalty": self.options.repetition_penalty}
            if count > 1:
                replies |= {index: self._about_several(ids, own[index], settings) for index in places}
                continue
            features = _joined([own[index] for index in places])
            generations = self.model.generate(ids, features, self.processor.eos_token, **settings)
            for index, generation in zip(places, generations):
                text, spans = self.processor.text_and_codes(generation.ids)
                # A code that ends a reply cut at its length limit has no state, so it cannot be decoded.
                codes = tuple(span.code for span in spans[: len(generation.code_states)])
                replies[index] = _Reply(text, codes, generation.code_states)
        return [replies[index] for index in range(len(cases))]

    def _ids(self, prompt: str, pictures: int) -> list[int]:
        return self.processor.prompt_ids(prompt, num_images=pictures)

    def _about_several(self, ids: Sequence[int], features: ImageFeatures, settings: dict[str, Any]) -> _Reply:
        """The reply to a question about several pictures, which is text only; codes are not decoded."""
        embeds = self.model.splice(ids, self.model.image_tokens(features))[None]
        (generation,) = self.model.reply(embeds, self.processor.eos_token, **settings)
        text, _ = self.processor.text_and_codes(generation.ids)
        return _Reply(text, (), embeds.new_zeros(0, embeds.shape[-1]))

    def _maps(
        self, cases: Sequence[Case], own: Sequence[ImageFeatures], replies: Sequence[_Reply]
    ) -> dict[int, tuple[np.ndarray, tuple[float, ...]]]:
        """Maps (n, m, m) and presence of each case's codes where masks are asked for."""
        same: dict[int, list[int]] = defaultdict(list)
        for index, (case, reply) in enumerate(zip(cases, replies)):
            if case.masks and reply.codes:
                same[len(reply.codes)].append(index)
        found = {}
        for places in same.values():
            patches = torch.cat([own[index].patches for index in places])
            output = self.model.decode(patches, torch.stack([replies[index].states for index in places]))
            seen = presence(output, self.model.config.presence == "class").float().cpu()
            for index, logits, scores in zip(places, output.masks, seen):
                found[index] = (_stored(logits), tuple(scores.tolist()))
        return found

    def _dummy(self, case: Case, features: ImageFeatures) -> np.ndarray:
        """What the authors decode for a reply without codes: the state that predicted its first token.

        Their prompt ends before the assistant's header (model-spec 6.1), so that is the state of the user turn's end.
        """
        ids = self.processor.prompt_start() + self.processor.question_ids(case.prompt, num_images=1)
        embeds = self.model.splice(ids, self.model.image_tokens(features))[None]
        _, states = self.model(embeds)
        return _stored(self.model.decode(features.patches, states[:, -1:]).masks[0])


def in_batches(cases: Iterable[Case], size: int) -> Iterator[Sequence[Case]]:
    """The cases in parts, equal questions together.

    The parts never change: a resumed run must ask in the same company to get the same last bit.
    """
    ordered = sorted(cases, key=lambda case: (len(case.images), case.prompt))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _part(features: ImageFeatures, places: list[int]) -> ImageFeatures:
    return ImageFeatures(features.patches[places], features.class_token[places], features.regions[places])


def _joined(parts: Sequence[ImageFeatures]) -> ImageFeatures:
    return ImageFeatures(
        torch.cat([part.patches for part in parts]),
        torch.cat([part.class_token for part in parts]),
        torch.cat([part.regions for part in parts]),
    )


def _stored(logits: Tensor) -> np.ndarray:
    """Logits as they are kept: half the bytes, and far more exact than a threshold at 0 needs."""
    return logits.float().clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
