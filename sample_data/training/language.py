"""Language model and both projectors of the first-light model, trained on features of the frozen vision side.

The model learns to answer, and each code's hidden state learns to become, through P(t→v), the perceiver query that
decodes its structure (the scaffold's row). The pictures are encoded once; a first part of the training shows only their
20 region tokens, five times shorter than all tokens and enough to learn to read and write.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from medsight_core.model.medsight import IMAGE_SENTINEL, MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.fresh import small_tokenizer
from sample_data.training.concepts import BY_NAME, CONCEPTS
from sample_data.training.conversations import Scene, write_conversation
from sample_data.training.planes import MIN_VISIBLE_PIXELS, LabelledPlanes, augment, draw, visible_pixels
from sample_data.training.schedule import learning_rate_share
from sample_data.training.vision import PixelNorm

IGNORED = -100
REGION_ONLY = 0.7  # share of the training that shows region tokens alone
WORDS = 1500  # size of the tokenizer before control and code tokens


@dataclass
class EncodedPlanes:
    """Features of augmented planes and what they show: tokens (P, h*w + N, D) and P scenes."""

    tokens: Tensor
    scenes: list[Scene]


def train_tokenizer(code_tokens: list[str], rng: random.Random) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that knows our conversations' words; code tokens come last, in order."""
    texts = []
    for _ in range(20000):
        names = rng.sample([concept.name for concept in CONCEPTS], 3)
        scene = Scene(rng.choice(("CT", "MR")), rng.choice(("axial", "coronal")), tuple(names))
        texts += [text for turn in write_conversation(scene, 1, rng) for text in (turn.question, turn.answer)]
    return small_tokenizer(texts, code_tokens, WORDS)


@torch.inference_mode()
def encode_planes(
    model: MedSightModel, planes: LabelledPlanes, count: int, generator: torch.Generator
) -> EncodedPlanes:
    """Features of ``count`` augmented planes."""
    pixel, tokens, scenes = PixelNorm(model), [], []
    for _ in range(math.ceil(count / 8)):
        index = draw(planes, 8, generator)
        images, labels = augment(planes, index, generator)
        features = model.encode(pixel(images))
        tokens.append(torch.cat([features.patches.flatten(1, 2), features.regions], dim=1))
        for row, pixels in zip(index.tolist(), visible_pixels(labels)):
            largest = pixels.argsort(descending=True)
            names = tuple(CONCEPTS[i].name for i in largest if pixels[i] >= MIN_VISIBLE_PIXELS)
            scenes.append(Scene(str(planes.modality[row]), str(planes.orientation[row]), names))
    return EncodedPlanes(torch.cat(tokens).clone(), scenes)


def train_language(
    model: MedSightModel,
    processor: MedSightProcessor,
    encoded: EncodedPlanes,
    queries: Tensor,
    minutes: float,
    batch: int,
    learning_rate: float,
    seed: int,
    report: Callable[[str], None],
    warm_start: bool = False,
) -> None:
    """Train ``model.language`` and the projectors in place.

    queries: (C, D) the scaffold's, what code states become. warm_start: go on with a model that was trained before.
    """
    rng = random.Random(seed)
    if not warm_start:
        nn.init.normal_(
            model.text_to_image[2].weight, std=0.01
        )  # queries are small: large first guesses would not learn
    trained = [*model.language.parameters(), *model.image_to_text.parameters(), *model.text_to_image.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    targets = {f"[{concept.code}]": queries[concept.index] for concept in CONCEPTS}
    by_token = {processor.tokenizer.convert_tokens_to_ids(token): row for token, row in targets.items()}
    spread = queries.var().item()
    start, step, averages = time.monotonic(), 0, [0.0, 0.0]
    for rows in _batches(encoded, batch, rng):
        progress = (time.monotonic() - start) / (60 * minutes)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * learning_rate_share(progress, step, warm_up=50, floor=0.02)
        tokens = encoded.tokens[rows]
        if progress < REGION_ONLY:
            tokens = tokens[:, -model.config.perceiver_config.num_queries :]
        packed = [_pack(processor, encoded.scenes[row], rng) for row in rows]
        embeds, labels, ids = _collate(model, model.image_to_text(tokens), packed)
        logits, states = model(embeds)
        supervised = labels[:, 1:] != IGNORED
        loss_text = F.cross_entropy(logits[:, :-1][supervised], labels[:, 1:][supervised])
        where = model.is_code(ids)
        loss_code = torch.zeros(())
        if where.any():
            wanted = torch.stack([by_token[token] for token in ids[where].tolist()])
            loss_code = F.mse_loss(model.text_to_image(states[where]), wanted) / spread
        optimiser.zero_grad(set_to_none=True)
        (loss_text + loss_code).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step += 1
        for i, value in enumerate((loss_text.item(), loss_code.item())):
            averages[i] = value if step == 1 else 0.97 * averages[i] + 0.03 * value
        if step % 25 == 0:
            report(f"language step {step} ({100 * progress:.0f} %): text {averages[0]:.3f} code {averages[1]:.3f}")
    report(f"language: {step} steps of {batch} conversations in {minutes:g} minutes")


def _batches(encoded: EncodedPlanes, size: int, rng: random.Random) -> Iterator[list[int]]:
    while True:
        yield [rng.randrange(len(encoded.scenes)) for _ in range(size)]


def _pack(processor: MedSightProcessor, scene: Scene, rng: random.Random) -> tuple[list[int], list[int]]:
    """Ids and labels of one conversation; some begin with unsupervised turns as a person saw them, without codes."""
    shown = rng.choice((0, 0, 0, 1, 2))
    ids = processor.prompt_start()
    labels = [IGNORED] * len(ids)
    for index, turn in enumerate(write_conversation(scene, shown + 3, rng)):
        question = processor.question_ids(turn.question, num_images=int(index == 0))
        reply = processor.answer_ids(_without_codes(turn.answer) if index < shown else turn.answer)
        ids += question + reply
        labels += [IGNORED] * len(question) + ([IGNORED] * len(reply) if index < shown else reply)
    return ids, labels


def _collate(
    model: MedSightModel, images: Tensor, packed: list[tuple[list[int], list[int]]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (B, T, H), labels (B, T) and ids (B, T; -1 on image positions) of spliced, right-padded sequences."""
    length = max(len(ids) for ids, _ in packed) - 1 + images.shape[1]
    embeds = images.new_zeros(len(packed), length, images.shape[2])
    labels = torch.full((len(packed), length), IGNORED)
    expanded = torch.full((len(packed), length), -1)
    for row, (ids, label) in enumerate(packed):
        spliced = model.splice(ids, images[row : row + 1])
        embeds[row, : len(spliced)] = spliced
        slot = ids.index(IMAGE_SENTINEL)
        gap = images.shape[1]
        for target, values in ((labels, label), (expanded, ids)):
            target[row, :slot] = torch.tensor(values[:slot])
            target[row, slot + gap : slot + gap + len(values) - slot - 1] = torch.tensor(values[slot + 1 :])
    return embeds, labels, expanded


def _without_codes(text: str) -> str:
    for concept in BY_NAME.values():
        text = text.replace(f" [{concept.code}]", "")
    return text
