"""A reply while it is being written: its progress, and the words that a person may already read.

It sits between the language model, which tells token ids, and whoever watches. It knows nothing of masks: what is
outlined, and so what the answer finally says, is decided later.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from medsight_core.engine.wording import readable
from medsight_core.model.processor import MedSightProcessor

Progress = Callable[[str, float], None]
Say = Callable[[str], None]


def listener(processor: MedSightProcessor, limit: int, progress: Progress, say: Say | None) -> Callable[[Tensor], None]:
    """A function that takes the ids so far, (B, t), after each token of at most ``limit``.

    It tells ``progress`` of phase "generate", and ``say`` each piece of the first reply's text that has become certain.
    """
    said = ""

    def hear(ids: Tensor) -> None:
        nonlocal said
        progress("generate", ids.shape[1] / limit)
        if say is None:
            return
        first = ids[0].tolist()
        if processor.eos_token in first:
            first = first[: first.index(processor.eos_token)]
        text = readable(processor.text_and_codes(first)[0], processor.config.names_of_codes)
        if len(text) > len(said) and text.startswith(said):
            said, piece = text, text[len(said) :]
            say(piece)

    return hear
