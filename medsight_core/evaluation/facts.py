"""What must be known to read an evaluation's numbers, in sentences for every kind of report."""

from __future__ import annotations

from medsight_core.evaluation.paper import NOTES
from medsight_core.evaluation.run import Evaluation


def facts(evaluation: Evaluation) -> list[str]:
    """What must be known to read the numbers, one sentence each."""
    model = evaluation.about["model"]
    lines = [
        f"{len(evaluation.scored)} cases; {len(evaluation.bad)} records were left out because they cannot be used.",
        f"Model {model['version'] or 'without a version'} ({model['fingerprint']}), vision layer "
        f"{model['vision_layer']}, code state {model['code_state']}, licence: {model['licence']}.",
        "'authors' is the authors' scorer with its faults, 'paper' what they print, 'ours' our scorer; see "
        "docs/evaluation.md.",
        "Values are per cent with 95 % bootstrap intervals; 'mean' is the mean of the columns before it.",
    ]
    return [*lines, *NOTES.get(evaluation.name, ())]
