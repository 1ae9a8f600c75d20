"""The whole model: an image and a conversation in, text with region codes and their masks out (model-spec section 4).

``MedSightModel`` holds the parts and no state of any request: `encode` gives an `ImageFeatures` value, `generate`
needs it for the text, `decode` needs it for the masks. Two requests can therefore never see each other's image.
It knows nothing of files, volumes, patient space or words; those are the processor's and the engine's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    CLIPVisionModel,
    DynamicCache,
    LlamaForCausalLM,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from medsight_core.errors import ModelError
from medsight_core.model.adapter import save_parts
from medsight_core.model.codebook import Codebook
from medsight_core.model.config import ConvolutionalTowerConfig, MedSightConfig, VisionConfig
from medsight_core.model.convolutional import ConvolutionalTower
from medsight_core.model.perceiver import PerceiverOutput, RegionPerceiver

# transformers renamed it in 5.24.
_CACHE = "cache" if "cache" in inspect.signature(LlamaForCausalLM.forward).parameters else "past_key_values"

IMAGE_SENTINEL = -200  # stands for one image in a prompt's ids; never reaches the language model


@dataclass
class ImageFeatures:
    """What the vision side knows of B images; everything later steps need.

    patches: (B, h, w, D) of the configured layer.
    class_token: (B, D).
    regions: (B, N, D) region vectors of the learned queries.
    """

    patches: Tensor
    class_token: Tensor
    regions: Tensor


@dataclass
class Generation:
    """One generated reply.

    ids: new token ids, without the end token.
    code_positions: index into ``ids`` of every region code token.
    code_states: (n, H) hidden state of each code, chosen by ``config.code_state``.
    """

    ids: list[int]
    code_positions: list[int]
    code_states: Tensor


class _Heard(StoppingCriteria):
    """Never stops a generation by itself; tells each token."""

    def __init__(self, on_token: Callable[[Tensor], None]) -> None:
        self.on_token = on_token

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        self.on_token(input_ids)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class MedSightModel(PreTrainedModel):
    """Vision tower, Region Perceiver, codebook, language model, and the two projectors between them."""

    config_class = MedSightConfig
    base_model_prefix = ""
    main_input_name = "pixel_values"
    _supports_sdpa = True
    bits: int | None = None  # of the language model's layers, once `model.quantize` made them small
    _no_split_modules = ["CLIPEncoderLayer", "Stage", "Qwen3DecoderLayer", "LlamaDecoderLayer"]  # noqa: RUF012

    def __init__(self, config: MedSightConfig, language: PreTrainedModel | None = None) -> None:
        """``language``: a causal language model of config.text_config that exists already, such as a pretrained one."""
        super().__init__(config)
        width, hidden = config.vision_config.hidden_size, config.text_config.hidden_size
        self.vision = _tower(config.vision_config)
        self.perceiver = RegionPerceiver(config.perceiver_config, width)
        self.codebook = Codebook(config.codebook_config, width, config.perceiver_config.num_classes)
        self.language: Any = AutoModelForCausalLM.from_config(config.text_config) if language is None else language
        self.image_to_text = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        self.text_to_image = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing to do: every part initialises itself in its constructor."""

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:  # type: ignore[override]
        """Write config.json and the weights; without the base's, in half precision, where the model stands on one.

        Raises ModelError for a model in 8 or 4 bits.
        """
        if self.bits is not None:
            raise ModelError(f"A model in {self.bits} bits cannot be saved: load it without bits to save it.")
        if self.config.base_language:
            save_parts(self, Path(save_directory))
        else:
            super().save_pretrained(save_directory, **options)

    def get_input_embeddings(self) -> nn.Module:
        """The language model's token table."""
        return self.language.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's token table."""
        self.language.set_input_embeddings(value)

    def see(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (B, h, w, D) and class token (B, D) of normalised images (B, 3, S, S): all that decoding needs."""
        hidden = self.vision(pixel_values, output_hidden_states=True).hidden_states[self.config.vision_layer]
        return hidden[:, 1:].unflatten(1, (self.config.grid, self.config.grid)), hidden[:, 0]

    def encode(self, pixel_values: Tensor) -> ImageFeatures:
        """Vision features of normalised images (B, 3, S, S), S = vision_config.image_size."""
        patches, class_token = self.see(pixel_values)
        return ImageFeatures(patches, class_token, self.perceiver.regions(patches))

    def image_tokens(self, features: ImageFeatures) -> Tensor:
        """(B, L, H): patches row by row, then region vectors, projected to the language model's width.

        L = config.num_image_tokens: h*w + N, or fewer where the patches are pooled. In the token table's precision.
        """
        patches = features.patches  # (B, h, w, D)
        if (pool := self.config.pool_patches) > 1:
            patches = F.avg_pool2d(patches.permute(0, 3, 1, 2), pool).permute(0, 2, 3, 1)
        tokens = self.image_to_text(torch.cat([patches.flatten(1, 2), features.regions], dim=1))
        return tokens.to(self.get_input_embeddings().weight.dtype)

    def splice(self, ids: Sequence[int], images: Tensor) -> Tensor:
        """Embeddings (T, H) of a prompt whose k-th `IMAGE_SENTINEL` is replaced by ``images[k]`` (n, L, H).

        Raises ValueError when sentinels and images differ in number.
        """
        table = self.get_input_embeddings()
        slots = [position for position, token in enumerate(ids) if token == IMAGE_SENTINEL]
        if len(slots) != len(images):
            raise ValueError(f"The prompt has {len(slots)} image slots and {len(images)} images were given.")
        pieces, start = [], 0
        for slot, image in zip(slots, images):
            pieces += [table(torch.tensor(ids[start:slot], dtype=torch.long, device=images.device)), image]
            start = slot + 1
        pieces.append(table(torch.tensor(ids[start:], dtype=torch.long, device=images.device)))
        return torch.cat([piece.to(images.dtype) for piece in pieces])

    def is_code(self, ids: Tensor) -> Tensor:
        """Which of these token ids are region codes (same shape, bool)."""
        first = self.config.first_code_token
        return (ids >= first) & (ids < first + self.config.num_code_tokens)

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Language-model logits (B, T, V) and final hidden states (B, T, H) of spliced embeddings (B, T, H)."""
        output = self.language(
            inputs_embeds=inputs_embeds, attention_mask=attention_mask, output_hidden_states=True, use_cache=False
        )
        return output.logits, output.hidden_states[-1]

    @torch.inference_mode()
    def read(self, ids: Sequence[int], features: ImageFeatures) -> Tensor:
        """What the language model remembers of the beginning of a prompt, up to its image, for each of B images.

        ids: a prompt with one `IMAGE_SENTINEL`; what follows it does not matter, so every question about an image
        begins alike. Returns keys and values (B, layers, 2, heads, t, d) of all t positions, for `generate`.
        """
        start = ids[: ids.index(IMAGE_SENTINEL) + 1]
        embeds = torch.stack([self.splice(start, image[None]) for image in self.image_tokens(features)])
        cache: Any = DynamicCache(config=self.language.config)
        self.language(inputs_embeds=embeds, use_cache=True, logits_to_keep=1, **{_CACHE: cache})
        return torch.stack([torch.stack([layer.keys, layer.values], dim=1) for layer in cache.layers], dim=1)

    @torch.inference_mode()
    def generate(
        self,
        ids: Sequence[int],
        features: ImageFeatures | None,
        eos_token: int,
        max_new_tokens: int = 512,
        memory: Tensor | None = None,
        **options: Any,
    ) -> list[Generation]:
        """Reply to the same prompt for each of B images; options as `reply`.

        ids: prompt with one `IMAGE_SENTINEL`. features: of B images. memory: `read` of these ids and images, in the
        place of the features: the beginning is then not read again. Returns B generations.
        """
        if memory is None:
            assert features is not None  # noqa: S101 - one of the two is given
            images = self.image_tokens(features)
            embeds = torch.stack([self.splice(ids, image[None]) for image in images])
            return self.reply(embeds, eos_token, max_new_tokens, **options)
        rest = self.splice(ids[ids.index(IMAGE_SENTINEL) + 1 :], memory.new_empty(0)).expand(len(memory), -1, -1)
        unread = rest.new_zeros(len(memory), memory.shape[-2], rest.shape[-1])  # transformers only counts them
        cache = DynamicCache(config=self.language.config)
        for layer, (keys, values) in enumerate(pair.unbind(1) for pair in memory.unbind(1)):
            cache.update(keys, values, layer)
        options[_CACHE] = cache
        return self.reply(torch.cat([unread, rest], dim=1), eos_token, max_new_tokens, **options)

    @torch.inference_mode()
    def reply(
        self,
        embeds: Tensor,
        eos_token: int,
        max_new_tokens: int = 512,
        on_token: Callable[[Tensor], None] | None = None,
        **options: Any,
    ) -> list[Generation]:
        """Reply to B prompts whose images are spliced in already, ``embeds`` (B, T, H).

        on_token: called with the ids so far (B, t) after each token; what it raises ends the reply and comes out here.
        options: of transformers' generate; greedy unless they say else.
        """
        if on_token is not None:
            options["stopping_criteria"] = StoppingCriteriaList([_Heard(on_token)])
        output = self.language.generate(
            inputs_embeds=embeds,
            attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device),
            max_new_tokens=max_new_tokens,
            eos_token_id=eos_token,
            pad_token_id=eos_token,
            output_hidden_states=True,
            return_dict_in_generate=True,
            **{"do_sample": False, **options},
        )
        # Step t's last state predicted token t; the state *of* token t is the one that step t + 1 computed.
        states = torch.stack([step[-1][:, -1] for step in output.hidden_states], dim=1)  # (B, T, H)
        return [self._collect(sequence, state, eos_token) for sequence, state in zip(output.sequences, states)]

    def _collect(self, sequence: Tensor, states: Tensor, eos_token: int) -> Generation:
        ids = sequence.tolist()
        length = ids.index(eos_token) if eos_token in ids else len(ids)
        codes = self.is_code(sequence[:length]).nonzero()[:, 0]
        if self.config.code_state == "own":
            # A reply cut at its length limit right after a code has no later step to take that code's state from.
            codes = codes[codes + 1 < len(states)]
            chosen = states[codes + 1]
        else:
            chosen = states[codes]
        return Generation(ids[:length], codes.tolist(), chosen)

    def decode(self, patches: Tensor, code_states: Tensor) -> PerceiverOutput:
        """Second perceiver pass: masks and classes of ``code_states`` (B, n, H) on ``patches`` (B, h, w, D)."""
        queries = self.text_to_image(code_states.to(patches.dtype))
        if self.config.decode_jointly or queries.shape[1] == 1:
            return self.perceiver(patches, queries)
        parts = [self.perceiver(patches, queries[:, i : i + 1]) for i in range(queries.shape[1])]
        return PerceiverOutput(
            torch.cat([part.queries for part in parts], dim=1),
            parts[0].pyramid,
            [torch.cat(scale, dim=1) for scale in zip(*(part.scale_masks for part in parts))],
            [torch.cat(scale, dim=1) for scale in zip(*(part.scale_classes for part in parts))],
        )


def _tower(config: VisionConfig) -> CLIPVisionModel | ConvolutionalTower:
    if isinstance(config, ConvolutionalTowerConfig):
        return ConvolutionalTower(config)
    return CLIPVisionModel(config)


AutoModel.register(MedSightConfig, MedSightModel)
