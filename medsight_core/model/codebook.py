"""The modality-aware codebook: 18 tables of 32 region codes (model-spec section 3).

It names the code of a training mask and gives the code tokens their first embeddings. Answering a question uses no part
of it: the language model emits codes, and their hidden states are decoded by the perceiver.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsight_core.model.config import CodebookConfig
from medsight_core.model.perceiver import SegmentationHead

COMMIT_WEIGHT = 0.25


@dataclass
class Quantised:
    """Region vectors as codes.

    encoded: (B, n, code_dim) what was quantised, of unit norm.
    codes: (B, n) index into the image's own table.
    modalities: (B,) table that each image used.
    vectors: (B, n, code_dim) the chosen codes, of unit norm.
    regions: (B, n, D) reconstruction of the region vectors from the codes.
    vq_loss, commit_loss, reconstruction_loss: scalars, mean over images (model-spec 3.3, 3.4).
    """

    encoded: Tensor
    codes: Tensor
    modalities: Tensor
    vectors: Tensor
    regions: Tensor
    vq_loss: Tensor
    commit_loss: Tensor
    reconstruction_loss: Tensor


class Codebook(nn.Module):
    """Quantises region vectors with the table of the image's modality, by cosine similarity."""

    def __init__(self, config: CodebookConfig, dim: int, num_classes: int) -> None:
        super().__init__()
        code = config.code_dim
        self.tables = nn.Parameter(torch.empty(config.num_modalities, config.num_codes, code))
        self.encode = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim), nn.Linear(dim, code), nn.GELU(), nn.LayerNorm(code)
        )
        self.decode = nn.Sequential(
            nn.Linear(code, dim), nn.GELU(), nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim)
        )
        self.head = SegmentationHead(dim, num_classes)
        self.modality = nn.Linear(dim, config.num_modalities)
        nn.init.uniform_(self.tables, -1 / config.num_codes, 1 / config.num_codes)

    def forward(
        self,
        regions: Tensor,
        class_token: Tensor,
        modalities: Tensor | None = None,
        straight_through: bool = False,
        unit_losses: bool = False,
    ) -> Quantised:
        """Quantise ``regions`` (B, n, D); tables are chosen by ``modalities`` (B,), else by the classifier.

        A label without a table means table 0 (model-spec 3.3).

        class_token: (B, D) the vision tower's class token, which the modality classifier reads.
        straight_through: let the reconstruction's gradient reach ``encode`` past the choice of a code; the authors'
            does not (model-spec 9.1-4).
        unit_losses: compare codes with encoded vectors of unit length too, and sum over the code's dimensions; the
            authors compare with the vectors as they are, and take the mean.
        """
        if modalities is None:
            modalities = self.modality(class_token).argmax(dim=-1)
        modalities = torch.where((modalities >= 0) & (modalities < len(self.tables)), modalities, 0)
        encoded = self.encode(regions)  # (B, n, code_dim)
        unit = F.normalize(encoded, dim=-1)
        tables = F.normalize(self.tables, dim=-1)[modalities]  # (B, codes, code_dim)
        codes = (unit @ tables.transpose(1, 2)).argmax(dim=-1)  # (B, n)
        vectors = torch.gather(tables, 1, codes[..., None].expand(-1, -1, tables.shape[-1]))
        rebuilt = self.decode(unit + (vectors - unit).detach() if straight_through else vectors)
        # Of unit vectors the mean over 64 dimensions would be too small to pull.
        against, scale = (unit, vectors.shape[-1]) if unit_losses else (encoded, 1)
        return Quantised(
            encoded=unit,
            codes=codes,
            modalities=modalities,
            vectors=vectors,
            regions=rebuilt,
            vq_loss=scale * F.mse_loss(vectors, against.detach()),
            commit_loss=scale * COMMIT_WEIGHT * F.mse_loss(against, vectors.detach()),
            reconstruction_loss=F.mse_loss(rebuilt, regions),
        )

    def token_vectors(self) -> Tensor:
        """(num_modalities * num_codes, D): every code decoded to a region vector, in code-token order.

        Codes are normalised first, as the quantiser does (whether the authors did is unknown, model-spec 3.5).
        """
        return self.decode(F.normalize(self.tables, dim=-1)).flatten(0, 1)
