"""Which region code each mask of a data set has: the stage-2 model's own choice (model-spec 3.5).

It writes what `medsight data converse` reads, and tells which code names what.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch

from medsight_core.data.biomedparse import LabelledImage
from medsight_core.data.coded import CodedImage, CodedMask
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.datasets import RegionDataset, collate_regions
from medsight_core.training.region_tasks import matches_of, targets_of

_PURE = 0.8  # share of a code's masks that must have one name before the code takes it


@torch.inference_mode()
def label_codes(
    model: MedSightModel,
    processor: MedSightProcessor,
    images: Sequence[LabelledImage],
    batch: int = 8,
    target_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[CodedImage]:
    """Each image with the codes of its masks: that of the query matched to a mask, from the predicted modality's table.

    Images with more masks than queries are left out: what has no code would be taken for absent.
    """
    model.eval()
    data = RegionDataset(images, processor, target_size, antialias=True)
    for start in range(0, len(images), batch):
        records = [images[index] for index in range(start, min(start + batch, len(images)))]
        inputs = collate_regions([data[index] for index in range(start, start + len(records))])
        patches, class_token = model.see(inputs["pixel_values"].to(model.device))
        output = model.perceiver(patches)
        quantised = model.codebook(output.queries, class_token)
        there = {key: [tensor.to(model.device) for tensor in inputs[key]] for key in ("masks", "classes")}
        matches = matches_of(output, targets_of(there))
        for row, (record, (wanted, query)) in enumerate(zip(records, matches)):
            if len(wanted) < len(record.masks):
                continue
            table = int(quantised.modalities[row])
            masks = tuple(
                CodedMask(
                    str(record.masks[int(target)].id),
                    record.masks[int(target)].path,
                    record.masks[int(target)].name,
                    f"M{table}_{int(quantised.codes[row, int(chosen)])}",
                )
                for target, chosen in zip(wanted, query)
            )
            yield CodedImage(record.id, record.path, record.modality, masks, record.view)
        if progress:
            progress(start + len(records), len(images))


def names_of_codes(images: Sequence[CodedImage]) -> dict[str, str]:
    """The name of every code whose masks nearly all have one; the others take theirs from the words around them."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        for mask in image.masks:
            counts[mask.code][mask.name] += 1
    names = {}
    for code in sorted(counts, key=lambda code: tuple(int(part) for part in code[1:].split("_"))):
        (name, most), *_ = counts[code].most_common(1)
        if most >= _PURE * counts[code].total():
            names[code] = name
    return names
