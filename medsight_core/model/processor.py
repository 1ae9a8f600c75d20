"""Between the world and the model's tensors: images to pixel values, conversations to ids, ids back to text.

It knows the chat format of model-spec section 4 byte for byte, and nothing of volumes or of the network's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer

from medsight_core.answer import CodeSpan
from medsight_core.errors import ModelError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import IMAGE_SENTINEL

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
USER = "<|im_start|>user\n"
ASSISTANT = "<|im_start|>assistant\n"
END = "<|im_end|>"


class MedSightProcessor:
    """Tokenizer and image preprocessing of one model folder."""

    def __init__(self, config: MedSightConfig, tokenizer: Any) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.eos_token = tokenizer.convert_tokens_to_ids(END)
        first, tokens = config.first_code_token, config.codebook_config.code_tokens
        found = tokenizer.convert_tokens_to_ids([tokens[0], tokens[-1]])
        if found != [first, first + len(tokens) - 1]:
            raise ModelError(
                f"The tokenizer has {tokens[0]} and {tokens[-1]} at {found}, config.json says {first} and "
                f"{first + len(tokens) - 1}: use the tokenizer that was saved with this model."
            )

    @classmethod
    def from_pretrained(cls, folder: str | Path, config: MedSightConfig) -> MedSightProcessor:
        """The processor of a saved model. Raises ModelError when the tokenizer is missing or does not fit."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # whatever the tokenizers' parsers raise on a damaged file
            raise ModelError(f"No usable tokenizer in the model folder {folder}: save it there again.") from error
        return cls(config, tokenizer)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer beside the model's weights."""
        self.tokenizer.save_pretrained(str(folder))

    def pixel_values(self, image: Image.Image) -> Tensor:
        """(3, S, S) normalised tensor of an image that is S by S already (`imaging.plane.VisibleBox.apply`)."""
        size = self.config.vision_config.image_size
        if image.size != (size, size):
            raise ValueError(f"The image is {image.size[0]} x {image.size[1]} pixels, the model needs {size} x {size}.")
        values = np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0  # (S, S, 3)
        mean = np.asarray(self.config.image_mean, dtype=np.float32)
        std = np.asarray(self.config.image_std, dtype=np.float32)
        return torch.from_numpy(((values - mean) / std).transpose(2, 0, 1).copy())

    def prompt_ids(
        self, prompt: str, history: Sequence[tuple[str, str]] = (), num_images: int = 1, context: str = ""
    ) -> list[int]:
        """Ids of a conversation up to where the assistant's next reply begins, one sentinel per image first.

        context: what stands before the first question.

        The official prompt ends before the assistant header and lets the model write it; feeding the header gives the
        same continuation three steps sooner (model-spec section 12).
        """
        ids = self.prompt_start()
        for turn, (question, answer) in enumerate((*history, (prompt, None))):
            ids += self.question_ids(question if turn else context + question, 0 if turn else num_images)
            ids += self._encode(ASSISTANT) if answer is None else self.answer_ids(self.plain(answer))
        return ids

    def prompt_start(self) -> list[int]:
        """Ids of the system turn, which opens every conversation."""
        return self._encode(SYSTEM)

    def question_ids(self, question: str, num_images: int = 0) -> list[int]:
        """Ids of one user turn; each image is its sentinel and a newline before the text."""
        # The text is cut at the images and nowhere else: a tokenizer may join a newline with what follows it.
        pieces = [USER, *["\n"] * (num_images - 1), "\n"] if num_images else [USER]
        pieces[-1] += f"{self.plain(question)}{END}\n"
        ids = self._encode(pieces[0])
        for piece in pieces[1:]:
            ids += [IMAGE_SENTINEL, *self._encode(piece)]
        return ids

    def answer_ids(self, answer: str) -> list[int]:
        """Ids of one complete assistant turn, header and end token included."""
        return self._encode(f"{ASSISTANT}{answer}{END}\n")

    def text_ids(self, text: str) -> list[int]:
        """Ids of a piece of a reply; codes in brackets are one each."""
        return self._encode(text)

    def room(self, ids: Sequence[int], num_images: int = 1) -> int:
        """How many tokens the reply to a prompt with so many images may have."""
        taken = len(ids) + self.config.num_image_tokens * num_images
        return int(self.config.text_config.max_position_embeddings - taken)

    def plain(self, text: str) -> str:
        """``text`` without anything that the tokenizer would read as a control token: a user cannot forge a turn."""
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(token, " ")
        return text.replace("<image>", "")

    def text_and_codes(self, ids: Sequence[int]) -> tuple[str, list[CodeSpan]]:
        """A reply's text, codes included, and the span of each code in it, in order."""
        text, spans, pending = "", [], []  # type: ignore[var-annotated]
        first = self.config.first_code_token
        for token in ids:
            if first <= token < first + self.config.num_code_tokens:
                text += self._decode(pending)
                pending = []
                word = str(self.tokenizer.convert_ids_to_tokens(token))
                spans.append(CodeSpan(word.strip("[]"), len(text), len(text) + len(word)))
                text += word
            else:
                pending.append(token)
        return text + self._decode(pending), spans

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
