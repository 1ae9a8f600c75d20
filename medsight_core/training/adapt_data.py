"""Samples to adapt with: corrected planes, changed a little each time, and planes remembered as the model saw them.

Every sample is an image with one question and its answer. Knows planes, words and tensors; knows no losses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from medsight_core.data.answers import answer
from medsight_core.data.encoding import encode_conversation
from medsight_core.data.records import Turn
from medsight_core.data.spoken import ask, write
from medsight_core.data.targets import Target
from medsight_core.data.unknown import made_up
from medsight_core.engine.context import context_line
from medsight_core.engine.detection import Detections
from medsight_core.engine.wording import find_mentions
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.adapt_task import Taught
from medsight_core.training.datasets import Sample, class_of, collate_conversations, spread
from medsight_core.training.losses import RegionTargets
from medsight_core.training.taught_planes import TaughtPlane

Tell = Callable[[float], None]
_MOST_NAMES = 4  # that one remembered question asks for
_MOST_ASKED = 3  # of a corrected plane's
_ABSENT, _CHECKS = 0.3, 0.3  # shares of questions that also ask for something absent, and that want a yes or no
_TURN, _GROW, _SHIFT = 10.0, 0.1, 0.06  # of an augmentation: degrees, share of the size, share of the side


@dataclass(frozen=True, eq=False)
class Remembered:
    """A plane with what the model made of it: picture uint8 (S, S), one turn, the masks (k, m, m) float16 of its
    codes, and the claims of the learned queries (`Taught`)."""

    picture: np.ndarray = field(repr=False)
    turn: Turn
    masks: Tensor = field(repr=False)
    taught: Taught = field(repr=False)


@torch.inference_mode()
def remember(
    model: MedSightModel, processor: MedSightProcessor, planes: Sequence[TaughtPlane], seed: int, tell: Tell
) -> list[Remembered]:
    """What a model sees on planes, and what it replies to a question about what it sees there."""
    return [
        _remembered(model, processor, plane, random.Random(f"{seed}/{number}"), tell, number / len(planes))
        for number, plane in enumerate(planes)
    ]


def _remembered(
    model: MedSightModel, processor: MedSightProcessor, plane: TaughtPlane, rng: random.Random, tell: Tell, done: float
) -> Remembered:
    tell(done)
    config = model.config
    features = model.encode(processor.pixel_values(Image.fromarray(plane.picture))[None])
    output = model.perceiver(features.patches)
    context, seen = "", list(config.modality_names.get(plane.view.rpartition(" ")[2], ()))
    if config.show_detections:
        seen = list(Detections.of(model, features.regions).seen)
        context = context_line(plane.view, seen)
    names = rng.sample(seen, min(len(seen), rng.randint(1, _MOST_NAMES)))
    question = write(ask("outline", names or [made_up(rng)], rng), rng, names)
    reply = model.generate(
        processor.prompt_ids(question, context=context), features, processor.eos_token, config.max_new_tokens
    )[0]  # fmt: skip
    text, spans = processor.text_and_codes(reply.ids)
    states = reply.code_states
    if len(spans) > len(states):
        text, spans = text[: spans[-1].start], spans[:-1]
    masks = torch.zeros(0, config.mask_size, config.mask_size, dtype=torch.float16)
    if len(states):
        masks = model.decode(features.patches, states[None]).masks[0].sigmoid().half()
    nothing = torch.zeros(0, config.mask_size, config.mask_size)
    taught = Taught(
        RegionTargets(nothing, torch.zeros(0, dtype=torch.long)),
        torch.zeros(0, dtype=torch.long),
        output.classes[0].log_softmax(-1).half(),
        output.masks[0].half(),
    )
    return Remembered(plane.picture, Turn(context + question, text.strip()), masks, taught)


@torch.inference_mode()
def codes_spoken(model: MedSightModel, processor: MedSightProcessor, planes: Sequence[TaughtPlane]) -> dict[str, str]:
    """The code by which the model calls each name that planes show: as it says when it is told that the thing is there.

    A name for which it says none has that of ``config.names_of_codes``; such as have none at all are missing.
    """
    config = model.config
    found = {name: code for code, name in config.names_of_codes.items()}
    for name in sorted({name for plane in planes for name in plane.masks}):
        plane = next(plane for plane in planes if name in plane.masks)
        features = model.encode(processor.pixel_values(Image.fromarray(plane.picture))[None])
        context = context_line(plane.view, [name]) if config.show_detections else ""
        ids = processor.prompt_ids(f"Outline the {name}.", context=context)
        text, spans = processor.text_and_codes(
            model.generate(ids, features, processor.eos_token, config.max_new_tokens)[0].ids
        )
        for mention in find_mentions(text, spans, config.names_of_codes):
            if mention.name == name:
                found[name] = mention.code
                break
    return found


class AdaptDataset(Dataset):
    """``length`` samples, every second one remembered where there is anything to remember; a number gives always the
    same sample.

    codes: region code by name (`codes_spoken`).
    """

    def __init__(
        self,
        planes: Sequence[TaughtPlane],
        remembered: Sequence[Remembered],
        processor: MedSightProcessor,
        codes: dict[str, str],
        length: int,
        seed: int,
    ) -> None:
        self.planes, self.remembered = planes, remembered
        self.processor, self.codes, self.length, self.seed = processor, codes, length, seed

    def __len__(self) -> int:
        """Number of samples."""
        return self.length

    @property
    def corrected_share(self) -> float:
        """The share of corrected planes among the samples."""
        return 0.5 if self.remembered else 1.0

    def __getitem__(self, index: int) -> Sample:
        """Tensors of a sample: those of `ConversationDataset`, and ``taught``."""
        rng = random.Random(f"{self.seed}/{index}")
        if index % 2 and self.remembered:
            kept = self.remembered[index // 2 % len(self.remembered)]
            picture = self.processor.pixel_values(Image.fromarray(kept.picture))
            return self._sample(picture, kept.turn, kept.masks.float(), kept.taught)
        return self._corrected(rng.choice(self.planes), rng)

    def _corrected(self, plane: TaughtPlane, rng: random.Random) -> Sample:
        config = self.processor.config
        names = list(plane.masks)
        masks = [torch.from_numpy(plane.masks[name]).float() / 255 for name in names]
        stacked = torch.stack(masks) if masks else torch.zeros(0, config.mask_size, config.mask_size)
        pixels, stacked = _changed(self.processor.pixel_values(Image.fromarray(plane.picture)), stacked, rng)
        shown = [name for name, mask in zip(names, stacked) if (mask > 0.5).any()]
        mask_of = dict(zip(names, stacked))
        classes = {name: class_of(name, config.class_names) for name in (*shown, *plane.absent)}
        learned = [name for name in shown if classes[name] >= 0]
        targets = RegionTargets(
            torch.stack([mask_of[name] for name in learned]) if learned else stacked[:0],
            torch.tensor([classes[name] for name in learned], dtype=torch.long),
        )
        known = torch.tensor(sorted({kind for kind in classes.values() if kind >= 0}), dtype=torch.long)
        turn, asked = self._turn(shown, plane, rng)
        goal = torch.stack([mask_of[name] for name in asked]) if asked else stacked[:0]
        return self._sample(pixels, turn, goal, Taught(targets, known))

    def _turn(self, shown: Sequence[str], plane: TaughtPlane, rng: random.Random) -> tuple[Turn, list[str]]:
        """A question with its answer, and the names that the answer outlines."""
        config = self.processor.config
        there = [name for name in shown if name in self.codes]
        asked = rng.sample(there, min(len(there), rng.randint(1, _MOST_ASKED)))
        absent = rng.sample(plane.absent, 1) if plane.absent and (not asked or rng.random() < _ABSENT) else []
        if not asked and not absent:
            absent = [made_up(rng)]
        order = {name: place for place, name in enumerate(config.class_names)}
        told = sorted(shown, key=lambda name: order.get(name, len(order)))
        context = context_line(plane.view, told) if config.show_detections else ""
        checks = rng.random() < _CHECKS
        question = write(ask("check" if checks else "outline", [*asked, *absent], rng), rng, [*asked, *absent])
        said = answer([Target(name, self.codes[name], ()) for name in asked], absent, checks)
        return Turn(context + question, said), asked

    def _sample(self, pixels: Tensor, turn: Turn, masks: Tensor, taught: Taught) -> Sample:
        encoded = encode_conversation(self.processor, (turn,), 1)
        ids, labels = spread(encoded.ids, encoded.labels, self.processor.config.num_image_tokens)
        return {
            "pixel_values": pixels[None],
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor(labels),
            "masks": masks,
            "classes": torch.zeros(len(masks), dtype=torch.long),
            "taught": taught,
        }


def collate_taught(samples: Sequence[Sample]) -> dict[str, Any]:
    """A batch of `AdaptDataset`: as `collate_conversations`, and ``taught`` as a list."""
    batch: dict[str, Any] = collate_conversations(samples)
    batch["taught"] = [sample["taught"] for sample in samples]
    return batch


def _changed(pixels: Tensor, masks: Tensor, rng: random.Random) -> tuple[Tensor, Tensor]:
    """An image (3, S, S) and its masks (G, m, m) turned, sized, shifted, and the image's greys changed; never mirrored,
    as left would become right."""
    turn, size = math.radians(rng.uniform(-_TURN, _TURN)), 1 + rng.uniform(-_GROW, _GROW)
    shift = [2 * rng.uniform(-_SHIFT, _SHIFT) for _ in range(2)]
    c, s = math.cos(turn) / size, math.sin(turn) / size
    theta = torch.tensor([[[c, -s, shift[0]], [s, c, shift[1]]]])
    black = pixels.amin()
    grid = F.affine_grid(theta, [1, 3, *pixels.shape[1:]], align_corners=False)
    moved = F.grid_sample((pixels - black)[None], grid, align_corners=False)[0]
    top = moved.amax().clamp(min=1e-6)
    grey = (moved / top).clamp(0, 1) ** math.exp(rng.uniform(-0.35, 0.35)) * top * rng.uniform(0.85, 1.15)
    noise = torch.Generator().manual_seed(rng.randrange(1 << 31))
    grey = grey + rng.uniform(0, 0.06) * top * torch.randn(grey.shape[1:], generator=noise)
    if len(masks):
        cells = F.affine_grid(theta, [1, len(masks), *masks.shape[1:]], align_corners=False)
        masks = F.grid_sample(masks[None], cells, align_corners=False)[0]
    return grey + black, masks
