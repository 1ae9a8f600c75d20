"""Names and shapes are judged one by one, and nothing slips through."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from official_checkpoints import OVERRIDES, write_official

from medsight_core.errors import ModelError
from medsight_core.model.official.checkpoints import Checkpoint
from medsight_core.model.official.conversion import Conversion, Part
from medsight_core.model.official.origins import Copy, Third
from medsight_core.model.official.sources import Sources, prepare


def checkpoint(**tensors):
    return Checkpoint.of_tensors(Path("x.pt"), tensors)


def test_every_single_tensor_is_needed(tmp_path):
    official = write_official(tmp_path)
    ready = prepare(Sources(official.llm, official.perceiver, official.vision, official.codebook), overrides=OVERRIDES)
    parts, shapes = ready.conversion.parts, ready.conversion.shapes
    assert len(ready.conversion.mapped) > 200
    for lost in ready.conversion.mapped:
        without = [replace(part, checkpoint=lacking(part.checkpoint, lost.key)) for part in parts]
        faults = Conversion(without, shapes).faults
        assert [(fault.kind, fault.key) for fault in faults] == [("missing", lost.key)]


def lacking(checkpoint, key):
    return replace(checkpoint, shapes={name: shape for name, shape in checkpoint.shapes.items() if name != key})


def test_faults_come_in_the_order_of_what_may_have_caused_them():
    part = Part(
        checkpoint(bent=torch.ones(3), extra=torch.ones(1), spare=torch.ones(1)),
        {"a": Copy("bent"), "b": Copy("gone")},
        {"sp.*": "nobody needs it"},
    )
    conversion = Conversion([part], {"a": (2,), "b": (1,)})
    assert [(fault.kind, fault.key) for fault in conversion.faults] == [
        ("missing", "gone"),
        ("unexpected", "extra"),
        ("wrong shape", "bent"),
    ]
    assert [(one.key, one.reason) for one in conversion.dropped] == [("spare", "nobody needs it")]
    with pytest.raises(ModelError) as caught:
        conversion.check()
    assert str(caught.value) == (
        "x.pt lacks 'gone' (the nearest name is 'extra'): use the authors' complete file. (3 tensors are wrong; "
        "--dry-run lists them all.)"
    )


def test_one_official_tensor_may_serve_several_of_ours():
    part = Part(checkpoint(packed=torch.arange(6.0)), {name: Third("packed", at) for at, name in enumerate("qkv")})
    conversion = Conversion([part], {"q": (2,), "k": (2,), "v": (2,)})
    assert [one.ours for one in conversion.mapped] == [("q", "k", "v")]
    assert conversion.make("k", torch.float32).tolist() == [2.0, 3.0]
    conversion.check()


def test_a_place_without_a_recipe_is_our_own_mistake():
    with pytest.raises(ValueError, match="No origin, or no place, for b"):
        Conversion([Part(checkpoint(a=torch.ones(1)), {"a": Copy("a")})], {"a": (1,), "b": (1,)})
