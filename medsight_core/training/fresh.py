"""A model to begin with where none was pretrained: random weights and a tokenizer that knows the texts it will meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from medsight_core.model.config import CodebookConfig, MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import END, MedSightProcessor

_CODE = re.compile(r" ?\[M\d+_\d+\]")


def small_tokenizer(texts: Iterable[str], code_tokens: Sequence[str], words: int = 1500) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer trained on ``texts``; the code tokens come last, in order.

    words: largest size before control and code tokens. Any text can be written; unknown words take more tokens.
    """
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    # Codes are words of their own: the tokenizer must not learn pieces of them.
    backend.train_from_iterator((_CODE.sub("", text) for text in texts), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.add_tokens(list(code_tokens))
    return tokenizer


def fresh_model(
    config: Callable[[int, int], MedSightConfig], texts: Iterable[str], seed: int = 0, words: int = 1500
) -> tuple[MedSightModel, MedSightProcessor]:
    """A model with random weights, and a tokenizer for the texts that it will read.

    config: from the size of the vocabulary and the first code token to the configuration. words: of `small_tokenizer`.
    """
    torch.manual_seed(seed)
    tokenizer = small_tokenizer(texts, CodebookConfig().code_tokens, words)
    first_code = tokenizer.convert_tokens_to_ids("[M0_0]")
    assert isinstance(first_code, int)  # noqa: S101 - one token was asked for
    built = config(len(tokenizer), first_code)
    return MedSightModel(built), MedSightProcessor(built, tokenizer)
