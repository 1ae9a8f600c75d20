"""Every size and switch of a MedSIGHT model, from a one-million-parameter test model to the official 8B one.

Fields named "switch" follow model-spec section 12; their defaults are ours, and the official-compatible value stands
beside each. This module knows nothing of tensors.
"""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, CLIPVisionConfig, PreTrainedConfig

from medsight_core.errors import ModelError

CODE_STATES = ("own", "previous")
PRESENCE = ("class", "mask", "detected")
FRAMES = ("volume", "body")


class ConvolutionalTowerConfig(PreTrainedConfig):
    """Sizes of the convolutional vision tower of small models (`model.convolutional`).

    hidden_size: width of the patches that it gives. image_size: pixels along one side of the image.
    widths: channels at a half, a quarter, an eighth ... of the image's size; each a multiple of 8.
    patch_size: pixels along one side of a patch, a power of two that one of these scales has.
    blocks: residual blocks of each scale from the patch grid on down.
    """

    model_type = "medsight_convolutional_tower"

    def __init__(
        self,
        hidden_size: int = 96,
        image_size: int = 192,
        widths: tuple[int, ...] = (32, 64, 128, 192, 256),
        patch_size: int = 4,
        blocks: int = 2,
        **kwargs: Any,
    ) -> None:
        scales = [2 ** (scale + 1) for scale in range(len(widths))]
        if patch_size not in scales or image_size % scales[-1]:
            raise ModelError(
                f"config.json has a convolutional tower with patch_size {patch_size} and image_size {image_size}: "
                f"use a patch_size of {', '.join(map(str, scales))}, and an image_size that {scales[-1]} divides."
            )
        if any(width % 8 for width in widths):
            raise ModelError(
                f"config.json has a convolutional tower with widths {', '.join(map(str, widths))}: "
                "make each a multiple of 8."
            )
        self.hidden_size = hidden_size
        self.image_size = image_size
        self.widths = tuple(widths)
        self.patch_size = patch_size
        self.blocks = blocks
        super().__init__(**kwargs)

    @property
    def finest(self) -> int:
        """Which of ``widths`` is the patch grid's."""
        return self.patch_size.bit_length() - 2


class PerceiverConfig(PreTrainedConfig):
    """Sizes of the Region Perceiver (model-spec section 2). The width is the vision tower's hidden size.

    num_classes: object classes, without the extra "no object" class that the head always has.
    ffn_ratio: hidden width of the feed-forward blocks as a multiple of the width.
    class_queries: hold a query for each class, which states of codes are taught to be like (official: false).
    """

    model_type = "medsight_perceiver"

    def __init__(
        self,
        num_queries: int = 20,
        num_stages: int = 3,
        num_heads: int = 8,
        head_dim: int = 64,
        ffn_ratio: int = 4,
        num_classes: int = 17,
        class_queries: bool = False,
        **kwargs: Any,
    ) -> None:
        self.num_queries = num_queries
        self.num_stages = num_stages
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.ffn_ratio = ffn_ratio
        self.num_classes = num_classes
        self.class_queries = class_queries
        super().__init__(**kwargs)


VisionConfig = CLIPVisionConfig | ConvolutionalTowerConfig


class CodebookConfig(PreTrainedConfig):
    """Sizes of the modality-aware codebook (model-spec section 3): ``num_modalities`` tables of ``num_codes`` codes."""

    model_type = "medsight_codebook"

    def __init__(self, num_modalities: int = 18, num_codes: int = 32, code_dim: int = 64, **kwargs: Any) -> None:
        self.num_modalities = num_modalities
        self.num_codes = num_codes
        self.code_dim = code_dim
        super().__init__(**kwargs)

    @property
    def code_tokens(self) -> list[str]:
        """The region code tokens in vocabulary order: "[M{modality}_{code}]", both zero-based, modality-major."""
        return [f"[M{k}_{j}]" for k in range(self.num_modalities) for j in range(self.num_codes)]


class MedSightConfig(PreTrainedConfig):
    """Configuration of `MedSightModel`.

    vision_config, perceiver_config, codebook_config: parts, as objects or dicts. The vision tower is CLIP's, or with
        "medsight_convolutional_tower" as its ``model_type`` the one of small models.
    text_config: any causal language model's configuration (with ``model_type``); its vocabulary holds the code tokens.
    first_code_token: vocabulary id of "[M0_0]"; the other code tokens follow in order.
    vision_layer (switch): index into the tower's hidden states; -2 for medsight_full_instruct, -1 for its perceiver.
    code_state (switch): "own" reads the hidden state at the code's own position (as trained), "previous" the one that
        predicted it (as the official inference does).
    decode_jointly (switch): decode all codes of a reply in one perceiver pass (official), or one by one.
    image_mean, image_std: channel normalisation after scaling to 0..1 (CLIP's).
    presence: "class" trusts the class head's "no object" (a model trained with it), "mask" asks only for a non-empty
        mask (official checkpoints, whose head never learned to reject), "detected" asks whether any learned query
        finds the class that has the region's name.
    presence_threshold: least presence at which a region counts as seen.
    class_names: canonical name of each class of the perceiver's head, "" where it has none.
    calibration: (slope, offset) by name that make a class's logit a probability; (1, 0) for others.
    show_detections (switch): tell the language model in words which classes were detected (official: false).
    correct_words (switch): put known names for their synonyms and misspellings in questions (official: false).
    mask_threshold: least probability at which a point belongs to a region (official: 0.5).
    pool_patches: side of the squares of patches that the language model sees as one, their mean (official: 1).
    square_planes: sample planes as squares, so that the centre crop loses nothing (official: false).
    frame: what planes show: the whole "volume" (official), or the "body" in it at one size whatever surrounds it.
    orientations: plane orientations that the model was trained on; others are refused with a sentence.
    names_of_codes: canonical name of each region code whose meaning is known, for example {"M0_16": "liver"}.
    modality_names: the names a model knows by image modality ("CT", "MR"); shown to users as what may be asked.
    ct_window: name of the CT window preset that the model was trained with.
    max_new_tokens: longest reply.
    licence, version: shown with each answer.
    base_language: name of the language model that the folder stands on and does not hold (`model.base_language`); ""
        where the folder holds all weights.
    adapter_config: of the LoRA adapter on the base (`model.adapter` has its fields).
    """

    model_type = "medsight"
    sub_configs = {  # noqa: RUF012 - transformers reads this class attribute
        "vision_config": AutoConfig,
        "perceiver_config": PerceiverConfig,
        "codebook_config": CodebookConfig,
        "text_config": AutoConfig,
    }

    def __init__(
        self,
        vision_config: VisionConfig | dict[str, Any] | None = None,
        perceiver_config: PerceiverConfig | dict[str, Any] | None = None,
        codebook_config: CodebookConfig | dict[str, Any] | None = None,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        first_code_token: int = 151669,
        vision_layer: int = -2,
        code_state: str = "own",
        decode_jointly: bool = True,
        image_mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073),
        image_std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711),
        presence: str = "mask",
        presence_threshold: float = 0.5,
        class_names: tuple[str, ...] = (),
        calibration: dict[str, tuple[float, float]] | None = None,
        show_detections: bool = False,
        correct_words: bool = False,
        mask_threshold: float = 0.5,
        pool_patches: int = 1,
        square_planes: bool = False,
        frame: str = "volume",
        orientations: tuple[str, ...] = ("axial", "sagittal", "coronal"),
        names_of_codes: dict[str, str] | None = None,
        modality_names: dict[str, list[str]] | None = None,
        ct_window: str = "abdomen",
        max_new_tokens: int = 512,
        licence: str = "not stated by the authors",
        version: str = "",
        base_language: str = "",
        adapter_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if code_state not in CODE_STATES:
            raise ModelError(f"config.json has code_state {code_state!r}: use one of {', '.join(CODE_STATES)}.")
        if presence not in PRESENCE:
            raise ModelError(f"config.json has presence {presence!r}: use one of {', '.join(PRESENCE)}.")
        if frame not in FRAMES:
            raise ModelError(f"config.json has frame {frame!r}: use one of {', '.join(FRAMES)}.")
        self.vision_config = _tower(vision_config)
        self.perceiver_config = _build(perceiver_config, PerceiverConfig, {})
        self.codebook_config = _build(codebook_config, CodebookConfig, {})
        if isinstance(text_config, PreTrainedConfig):
            self.text_config = text_config
        else:
            text = dict(text_config or _OFFICIAL_TEXT)
            self.text_config = AutoConfig.for_model(text.pop("model_type"), **text)
        self.first_code_token = first_code_token
        self.vision_layer = vision_layer
        self.code_state = code_state
        self.decode_jointly = decode_jointly
        self.image_mean = tuple(image_mean)
        self.image_std = tuple(image_std)
        self.presence = presence
        self.presence_threshold = presence_threshold
        self.class_names = tuple(class_names)
        self.calibration = {name: tuple(line) for name, line in (calibration or {}).items()}
        self.show_detections = show_detections
        self.correct_words = correct_words
        self.mask_threshold = mask_threshold
        self.pool_patches = pool_patches
        self.square_planes = square_planes
        self.frame = frame
        self.orientations = tuple(orientations)
        self.names_of_codes = names_of_codes or {}
        self.modality_names = modality_names or {}
        self.ct_window = ct_window
        self.max_new_tokens = max_new_tokens
        self.licence = licence
        self.version = version
        self.base_language = base_language
        self.adapter_config = adapter_config
        if pool_patches < 1 or self.grid % pool_patches:
            raise ModelError(
                f"config.json has pool_patches {pool_patches} and {self.grid} patches a side: use a whole divisor."
            )
        if (presence == "detected" or show_detections) and len(self.class_names) != self.perceiver_config.num_classes:
            raise ModelError(
                f"config.json has {len(self.class_names)} class_names for {self.perceiver_config.num_classes} classes: "
                "name each of them, to detect by name."
            )
        kwargs.setdefault("tie_word_embeddings", getattr(self.text_config, "tie_word_embeddings", False))
        super().__init__(**kwargs)

    @property
    def grid(self) -> int:
        """Patches along one side of the image (24 in the official model)."""
        return self.vision_config.image_size // self.vision_config.patch_size

    @property
    def mask_size(self) -> int:
        """Cells along one side of a mask (192 in the official model)."""
        return self.grid * 2**self.perceiver_config.num_stages

    @property
    def num_image_tokens(self) -> int:
        """Language-model positions that one image fills: patches, then region queries (596 officially)."""
        return (self.grid // self.pool_patches) ** 2 + self.perceiver_config.num_queries

    @property
    def num_code_tokens(self) -> int:
        """How many region code tokens the vocabulary holds (576 officially)."""
        return self.codebook_config.num_modalities * self.codebook_config.num_codes


_OFFICIAL_VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "projection_dim": 768,
}

_OFFICIAL_TEXT = {
    "model_type": "qwen3",
    "vocab_size": 152245,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": False,
}


def _tower(value: VisionConfig | dict[str, Any] | None) -> Any:
    """The vision tower's config: CLIP's unless ``value`` says that it is convolutional."""
    convolutional = isinstance(value, dict) and value.get("model_type") == ConvolutionalTowerConfig.model_type
    if convolutional or isinstance(value, ConvolutionalTowerConfig):
        return _build(value, ConvolutionalTowerConfig, {})
    return _build(value, CLIPVisionConfig, _OFFICIAL_VISION)


def _build(value: Any, kind: type[PreTrainedConfig], default: dict[str, Any]) -> Any:
    """``value`` as a config of ``kind``: kept when it is one already, built from a dict otherwise."""
    if isinstance(value, kind):
        return value
    return kind(**(default if value is None else value))


AutoConfig.register(MedSightConfig.model_type, MedSightConfig)
