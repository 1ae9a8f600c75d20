"""Muon: what it makes of a matrix, what it leaves to AdamW, and that it resumes and learns."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_model import tiny_model
from torch import nn

from medsight_core.training.conversation_task import ConversationTask
from medsight_core.training.optimizer import Muon, build_optimizer, orthogonal
from medsight_core.training.region_tasks import TowerTask

BETAS = (0.9, 0.99)


@pytest.mark.parametrize(("bf16", "accuracy"), [(True, 0.1), (False, 1e-4)])
@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_singular_values_become_one_and_vectors_stay(monkeypatch, shape, bf16, accuracy):
    """In the precision that the machine has."""
    monkeypatch.setattr("medsight_core.training.optimizer.computes_bf16", lambda: bf16)
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    turned = orthogonal(matrix)
    assert turned.shape == matrix.shape
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ turned @ right.T
    assert torch.allclose(inside, torch.diag(inside.diag()), atol=accuracy), "the same singular vectors"
    clear = values > 0.1 * values[0]  # five rounds lift the least ones only in part
    assert ((inside.diag()[clear] > 0.6) & (inside.diag()[clear] < 1.3)).all()


def test_matrices_and_kernels_are_turned_and_rows_that_stand_apart_are_not():
    task = TowerTask(tiny_model()[0])
    groups = build_optimizer("muon", task.named_parameters(), 1e-3, 1e-4, BETAS).param_groups
    place = {id(p): (group["orthogonal"], group["lr"]) for group in groups for p in group["params"]}
    found = {name: place[id(p)] for name, p in task.named_parameters()}
    assert found["head.weight"] == (False, 1e-3)
    assert found["model.perceiver.stem.attn.q.weight"] == (True, 1e-3)
    assert found["model.perceiver.stages.0.upsample_conv.weight"] == (True, 1e-3)
    assert found["model.perceiver.head.mask_embed.weight"] == (True, 1e-3)
    assert found["model.vision.encoder.layers.0.mlp.fc1.weight"] == (True, 1e-4)
    assert found["model.vision.encoder.layers.0.mlp.fc1.bias"] == (False, 1e-4)
    for name in (
        "perceiver.queries", "perceiver.head.classes.weight", "codebook.tables", "language.lm_head.weight",
        "language.model.embed_tokens.weight",
    ):  # fmt: skip
        assert found[f"model.{name}"] == (False, 1e-3), name
    for name in ("patch_embedding", "position_embedding"):
        assert found[f"model.vision.embeddings.{name}.weight"] == (False, 1e-4), name


def test_rows_of_codes_stand_apart_too():
    task = ConversationTask(tiny_model()[0], ("text_to_image.",), True, code_rows=True, code_outputs=True)
    groups = build_optimizer("muon", task.named_parameters(), 1e-3, 1e-4, BETAS).param_groups
    turned = {id(p) for group in groups if group["orthogonal"] for p in group["params"]}
    assert id(task.model.text_to_image[0].weight) in turned
    assert not turned & {id(parameter) for parameter in task.rows.parameters()}


def test_what_does_not_learn_is_left_out_and_adamw_is_torchs():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    made = build_optimizer("adamw", layer.named_parameters(), 1e-3, 1e-4, BETAS)
    assert type(made) is torch.optim.AdamW
    assert [p for group in made.param_groups for p in group["params"]] == [layer.weight]


def test_what_is_not_turned_moves_as_with_adamw():
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2))
    other = copy.deepcopy(one)
    optimizers = [build_optimizer(kind, m.named_parameters(), 1e-2, 0, BETAS) for kind, m in zip(("adamw", "muon"), (one, other))]  # fmt: skip # noqa: E501
    for model, optimizer in zip((one, other), optimizers):
        model(torch.ones(4, 6)).square().sum().backward()
        optimizer.step()
    assert torch.equal(one[1].bias, other[1].bias)
    assert not torch.equal(one[1].weight, other[1].weight)
    assert other[1].weight.grad is None


def test_it_goes_on_from_its_state_to_the_same_weights():
    def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.eye(6)).square().sum().backward()
            optimizer.step()

    torch.manual_seed(0)
    whole = nn.Sequential(nn.Conv1d(6, 4, 1), nn.Linear(6, 3))
    stopped = copy.deepcopy(whole)
    steps(whole, build_optimizer("muon", whole.named_parameters(), 1e-2, 0, BETAS), 5)
    first = build_optimizer("muon", stopped.named_parameters(), 1e-2, 0, BETAS)
    steps(stopped, first, 2)
    second = build_optimizer("muon", stopped.named_parameters(), 1e-2, 0, BETAS)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert isinstance(second, Muon)
    steps(stopped, second, 3)
    for one, other in zip(whole.parameters(), stopped.parameters()):
        assert torch.equal(one, other)


def test_it_learns_rare_directions_sooner_than_adamw():
    """A map that has to learn directions whose gradients differ a thousandfold in size."""
    torch.manual_seed(0)
    wanted = torch.linalg.qr(torch.randn(16, 16))[0]
    weights = torch.logspace(0, -1.5, 16)
    left = {}
    for kind in ("adamw", "muon"):
        layer = nn.Linear(16, 16, bias=False)
        nn.init.zeros_(layer.weight)
        optimizer = build_optimizer(kind, layer.named_parameters(), 2e-2, 0, BETAS)
        for step in range(60):
            for group in optimizer.param_groups:
                group["lr"] = 2e-2 * (1 - step / 60)
            optimizer.zero_grad()
            mixed = torch.randn(8, 16) * weights @ wanted
            ((mixed @ (layer.weight.T - torch.eye(16))) ** 2).sum().backward()
            optimizer.step()
        left[kind] = (layer.weight.T - torch.eye(16)).norm().item()
    assert left["muon"] < 0.8 * left["adamw"]
