"""Records as tensors: what one sample is for the region stages and for the conversation stages, and how batches form.

Masks go through the same crop as their image. It reads files through `medsight_core.data` and knows no model but the
processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from medsight_core.data.biomedparse import LabelledImage
from medsight_core.data.encoding import IGNORED, encode_conversation, spliced_length
from medsight_core.data.images import read_image, read_mask
from medsight_core.data.records import Conversation
from medsight_core.errors import InputError
from medsight_core.imaging.visible_box import VisibleBox
from medsight_core.model.medsight import IMAGE_SENTINEL
from medsight_core.model.processor import MedSightProcessor

Sample = dict[str, Any]


def visible_image(path: Path, processor: MedSightProcessor) -> Image.Image:
    """The visible part of an image file, S by S."""
    image = read_image(path)
    box = VisibleBox.of(image.height, image.width, processor.config.vision_config.image_size)
    return box.apply(image)


def mask_tensor(paths: Sequence[Path], size: int | None, antialias: bool) -> Tensor:
    """The visible part of the union of mask files, (size, size) in 0..1, or as many pixels as the files have.

    Without files nothing is inside.
    antialias: a cell becomes the share of it that is covered; otherwise bilinear samples, as the official model trains.
    """
    if not paths:
        return torch.zeros(size or 1, size or 1)
    union = np.logical_or.reduce([read_mask(path) for path in paths])
    rows, cols = union.shape
    short = min(rows, cols)
    box = VisibleBox.of(rows, cols, side=short)  # no resizing: the crop alone
    visible = torch.from_numpy(np.array(box.apply(Image.fromarray(union.astype(np.uint8)))))  # (s, s)
    if size is None or size == short:
        return visible.float()
    maps = visible.float()[None, None]
    if antialias and size < short:
        return F.adaptive_avg_pool2d(maps, size)[0, 0]
    return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)[0, 0]


class RegionDataset(Dataset):
    """Images with all their masks, for the perceiver and the codebook.

    target_size: side of the masks, their own when None (as the paper; much memory).
    keep: hold what was read once in memory, at a byte a value: reading twenty mask files takes as long as a small
        model takes to learn from them.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        processor: MedSightProcessor,
        target_size: int | None,
        antialias: bool,
        keep: bool = False,
    ) -> None:
        self.images, self.processor = images, processor
        self.target_size, self.antialias = target_size, antialias
        self.keep = keep
        self._kept: dict[int, tuple[Image.Image, Tensor]] = {}

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """Tensors of an image: pixel_values (3, S, S), masks (G, H, W), classes (G,), modality, index."""
        image, masks = self._kept.get(index) or self._read(index)
        if self.keep:
            self._kept[index] = image, masks
        record = self.images[index]
        return {
            "pixel_values": self.processor.pixel_values(image),
            "masks": masks.float() / 255 if self.keep else masks,
            "classes": torch.tensor([mask.category for mask in record.masks], dtype=torch.long),
            "modality": record.modality,
            "index": index,
        }

    def _read(self, index: int) -> tuple[Image.Image, Tensor]:
        """An image and its masks; these in bytes, 255 inside, when they are kept."""
        record = self.images[index]
        tables = self.processor.config.codebook_config.num_modalities
        if not 0 <= record.modality < tables:
            raise InputError(
                f"Image {record.id!r} has modality {record.modality} and the model knows 0 to {tables - 1}: correct "
                "the meta file."
            )
        found = [mask_tensor([mask.path], self.target_size, self.antialias) for mask in record.masks]
        masks = torch.stack(found) if found else torch.zeros(0, 1, 1)
        image = visible_image(record.path, self.processor)
        return (image.convert("L"), (255 * masks).round().to(torch.uint8)) if self.keep else (image, masks)


def collate_regions(samples: Sequence[Sample]) -> dict[str, Any]:
    """A batch of `RegionDataset`: stacked images, and lists of masks and classes, as each image has another number."""
    return {
        "pixel_values": torch.stack([sample["pixel_values"] for sample in samples]),
        "masks": [sample["masks"] for sample in samples],
        "classes": [sample["classes"] for sample in samples],
        "modalities": torch.tensor([sample["modality"] for sample in samples]),
        "indices": torch.tensor([sample["index"] for sample in samples]),
    }


class ConversationDataset(Dataset):
    """Conversations with their images and the masks of their codes, for the language stages.

    max_length: longest sequence, images spliced in. A sample whose images or codes would be cut is refused.
    official: one image slot for all images, and supervised scaffolding, as the authors train.
    """

    def __init__(
        self,
        conversations: Sequence[Conversation],
        processor: MedSightProcessor,
        max_length: int,
        official: bool = False,
    ) -> None:
        self.conversations, self.processor = conversations, processor
        self.max_length, self.official = max_length, official

    def __len__(self) -> int:
        """Number of conversations."""
        return len(self.conversations)

    def __getitem__(self, index: int) -> Sample:
        """Tensors of a conversation: pixel_values (n, 3, S, S), input_ids (T,), labels (T,), masks (k, m, m), and the
        class (c,) of each code in the text, -1 where it is not known.

        A conversation without an image has no masks, whatever codes it says.

        Each image slot is as long as its images' tokens already, every position of it the sentinel.
        Raises InputError, naming the record, for one that does not fit.
        """
        record, config = self.conversations[index], self.processor.config
        if any(record.masks) and len(record.images) != 1:
            raise InputError(
                f"Record {record.id!r} has {len(record.images)} images and region codes: outline on one image a record."
            )
        images = [self.processor.pixel_values(visible_image(path, self.processor)) for path in record.images]
        slots = min(len(images), 1) if self.official else len(images)
        encoded = encode_conversation(self.processor, record.turns, slots, self.official)
        codes = range(config.first_code_token, config.first_code_token + config.num_code_tokens)
        if sum(token in codes for token in encoded.ids) != len(record.codes):
            raise InputError(
                f"Record {record.id!r} names codes that the model does not have ({', '.join(record.codes)}): label it "
                "with a codebook of the model's size."
            )
        per_slot = config.num_image_tokens * len(images) // max(slots, 1)
        ids, labels = spread(encoded.ids, encoded.labels, per_slot)
        if len(ids) > self.max_length:
            if any(token in codes or token == IMAGE_SENTINEL for token in ids[self.max_length :]):
                raise InputError(
                    f"Record {record.id!r} is {spliced_length(encoded, per_slot)} tokens long and the limit is "
                    f"{self.max_length}, which would cut its image or codes: shorten it, or raise the limit with --set "
                    "max_length=."
                )
            ids, labels = ids[: self.max_length], labels[: self.max_length]
        size = config.mask_size
        masks = [
            mask_tensor(paths, size, antialias=not self.official) for paths in record.masks if len(record.images) == 1
        ]
        names = record.names or ("",) * len(record.codes)
        side = config.vision_config.image_size
        return {
            "pixel_values": torch.stack(images) if images else torch.zeros(0, 3, side, side),
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor(labels),
            "masks": torch.stack(masks) if masks else torch.zeros(0, size, size),
            "classes": torch.tensor([class_of(name, config.class_names) for name in names], dtype=torch.long),
        }


def collate_conversations(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """A batch of `ConversationDataset`: ids and labels (B, T) padded on the right, images and masks joined."""
    length = max(len(sample["input_ids"]) for sample in samples)
    batch = {
        "input_ids": torch.zeros(len(samples), length, dtype=torch.long),
        "labels": torch.full((len(samples), length), IGNORED),
        "attention_mask": torch.zeros(len(samples), length, dtype=torch.long),
    }
    for row, sample in enumerate(samples):
        count = len(sample["input_ids"])
        batch["input_ids"][row, :count] = sample["input_ids"]
        batch["labels"][row, :count] = sample["labels"]
        batch["attention_mask"][row, :count] = 1
    batch["pixel_values"] = torch.cat([sample["pixel_values"] for sample in samples])
    batch["image_counts"] = torch.tensor([len(sample["pixel_values"]) for sample in samples])
    for key in ("masks", "classes"):
        batch[key] = torch.cat([sample[key] for sample in samples])
    return batch


def class_of(name: str, names: Sequence[str]) -> int:
    """The class that has a name; -1 where none has."""
    return names.index(name) if name and name in names else -1


def spread(ids: list[int], labels: list[int], per_slot: int) -> tuple[list[int], list[int]]:
    """Ids and labels with every sentinel repeated until its slot is ``per_slot`` long."""
    wide_ids: list[int] = []
    wide_labels: list[int] = []
    for token, label in zip(ids, labels):
        repeat = per_slot if token == IMAGE_SENTINEL else 1
        wide_ids += [token] * repeat
        wide_labels += [label] * repeat
    return wide_ids, wide_labels
