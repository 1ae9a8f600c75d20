"""The code of a thing whose name is given: the sentence is written up to the code, and the model says which one.

For what was asked for and is seen but that no reply speaks of: a small language model loses its place in a list, or
takes an image for one of another kind. It decides neither what was asked for nor whether the thing is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from medsight_core.engine.regions import Candidate
from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor


def given_name(
    model: MedSightModel,
    processor: MedSightProcessor,
    name: str,
    ids: Sequence[int],
    memory: Tensor,
    keys: Sequence[int],
    tell: Callable[[Tensor], None],
) -> list[Candidate]:
    """A candidate of that name for each of the B planes ``keys``, by a code that means it, or else nothing else.

    ids: of the prompt. memory: `MedSightModel.read` of the planes. tell: called with the ids so far after each token;
    what it raises comes out here.
    """
    choices = _codes_for(name, processor.config)
    *opening, _ = processor.text_ids(f"The {name} {processor.config.codebook_config.code_tokens[0]}")
    written = [*([token] for token in opening), choices, [processor.eos_token]]  # a code's state takes one step more
    generations = model.generate(
        ids,
        None,
        processor.eos_token,
        memory=memory,
        max_new_tokens=len(written),
        on_token=tell,
        prefix_allowed_tokens_fn=lambda _, so_far: written[len(so_far)],
    )
    candidates = []
    for plane, generation in zip(keys, generations):
        (code,) = processor.text_and_codes(generation.ids)[1]
        candidates.append(Candidate(name, code.code, plane, generation.code_states[0]))
    return candidates


def _codes_for(name: str, config: MedSightConfig) -> list[int]:
    """Token ids of the codes that mean a name; of those that mean nothing, of all, where there is none."""
    meant = config.names_of_codes
    tokens = {
        word.strip("[]"): config.first_code_token + n for n, word in enumerate(config.codebook_config.code_tokens)
    }
    named = [token for code, token in tokens.items() if meant.get(code) == name]
    return named or [token for code, token in tokens.items() if code not in meant] or list(tokens.values())
