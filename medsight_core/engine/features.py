"""The planes of a view as the vision side knows them: looked at once, then taken from the cache.

It joins views and the model's first half. It knows nothing of words, codes or masks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor

from medsight_core.engine.cache import PlaneCache
from medsight_core.engine.speech import Progress
from medsight_core.engine.views import VolumeView, plane_batches, stack_pixels
from medsight_core.model.medsight import ImageFeatures, MedSightModel
from medsight_core.model.processor import MedSightProcessor


class ViewFeatures:
    """Vision features of P planes, a tensor a plane, put together where they are needed.

    keys: what tells each plane from all others: pixels, geometry and window.
    planes: (1 + h*w [+ N], D) each: class token, patches and, of models that detect, region vectors.
    """

    def __init__(self, model: MedSightModel, keys: Sequence[Hashable], planes: Sequence[Tensor]) -> None:
        self._model, self.keys, self._planes = model, keys, planes
        self._stop = 1 + model.config.grid**2

    def __len__(self) -> int:
        """Number of planes."""
        return len(self._planes)

    def patches(self, planes: Sequence[int]) -> Tensor:
        """(n, h, w, D) of some planes."""
        grid = self._model.config.grid
        return self._stack(planes, slice(1, self._stop)).unflatten(1, (grid, grid))

    @property
    def class_tokens(self) -> Tensor:
        """(P, D) of all planes."""
        return self._stack(range(len(self)), slice(0, 1))[:, 0]

    @property
    def regions(self) -> Tensor | None:
        """(P, N, D) region vectors of all planes; None for models that do not detect."""
        return self._stack(range(len(self)), slice(self._stop, None)) if detects(self._model) else None

    def images(self, planes: Sequence[int]) -> ImageFeatures:
        """What the language model is shown of some planes."""
        patches = self.patches(planes)
        class_tokens = self._stack(planes, slice(0, 1))[:, 0]
        if detects(self._model):
            return ImageFeatures(patches, class_tokens, self._stack(planes, slice(self._stop, None)))
        return ImageFeatures(patches, class_tokens, self._model.perceiver.regions(patches))

    def _stack(self, planes: Sequence[int], part: slice) -> Tensor:
        return torch.stack([self._planes[plane][part] for plane in planes]).to(self._model.device)


def detects(model: MedSightModel) -> bool:
    """Whether the class head is asked what a plane shows."""
    return bool(model.config.presence == "detected" or model.config.show_detections)


def look(
    model: MedSightModel,
    processor: MedSightProcessor,
    view: VolumeView,
    cache: PlaneCache,
    tell: Progress,
    keep: bool = True,
) -> ViewFeatures:
    """The features of a view's planes. keep: as of `PlaneCache.get`.

    tell: of phase "encode", before pixels are cut and before they are looked at; not when all is known.
    """

    def encode(missing: list[int]) -> Iterator[Tensor]:
        for batch in plane_batches(len(missing), model.config.mask_size):
            tell("encode", batch.start / len(missing))
            pixels = stack_pixels(view, missing[batch], processor).to(model.device, model.dtype)
            # Cutting planes takes a while: one more place to stop.
            tell("encode", batch.start / len(missing))
            patches, class_token = model.see(pixels)
            tokens = [class_token[:, None], patches.flatten(1, 2)]
            if detects(model):
                tokens.append(model.perceiver.regions(patches))
            # Each plane in memory of its own, or one that is kept would hold on to its whole batch.
            yield from (plane.clone() for plane in torch.cat(tokens, dim=1).cpu())
        tell("encode", 1.0)

    image = view.volume.fingerprint()
    keys = [(image, view.window, plane.settled()) for plane in view.planes]
    return ViewFeatures(model, keys, cache.get(keys, encode, keep))
