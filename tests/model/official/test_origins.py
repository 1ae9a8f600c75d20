"""Each origin asks for the right shapes and makes the right tensor."""

import pytest
import torch

from medsight_core.model.official.origins import Copy, Override, Positions, Stack, Third


def make(origin, shape, dtype=torch.float32, **tensors):
    found = tuple(tuple(tensors[source].shape) for source in origin.sources)
    assert origin.needs(shape, found) == found
    made = origin.make(tensors.__getitem__, shape, dtype)
    assert (tuple(made.shape), made.dtype, made.is_contiguous()) == (shape, dtype, True)
    return made


def test_a_copy_is_rounded_once():
    a = torch.randn(3, 5)
    assert torch.equal(make(Copy("a"), (3, 5), a=a), a)
    assert torch.equal(make(Copy("a"), (3, 5), torch.bfloat16, a=a), a.bfloat16())


def test_the_thirds_are_query_key_and_value_in_this_order():
    packed = torch.randn(12, 5)
    thirds = [make(Third("a", part), (4, 5), a=packed) for part in range(3)]
    assert torch.equal(torch.cat(thirds), packed)
    assert all(third.untyped_storage().nbytes() == third.nbytes for third in thirds), "no third drags the others along"
    assert Third("a", 0).needs((4,), ((12,),)) == ((12,),)


def test_a_stack_keeps_the_order():
    tables = {f"t{index}": torch.full((2, 3), float(index)) for index in range(12)}
    assert make(Stack(tuple(tables)), (12, 2, 3), **tables)[:, 0, 0].tolist() == list(range(12))


def test_an_override_leaves_the_other_rows_and_the_file_alone():
    base, rows = torch.zeros(6, 2), torch.ones(3, 2)
    assert make(Override("a", "b", 2, 3), (6, 2), a=base, b=rows)[:, 0].tolist() == [0, 0, 1, 1, 1, 0]
    assert base.sum() == 0


def test_positions_of_the_same_grid_are_kept():
    table = torch.randn(17, 3)
    assert torch.equal(make(Positions("a"), (17, 3), a=table), table)


@pytest.mark.parametrize("grid", [2, 8])
def test_positions_of_another_grid_are_resized_and_the_class_is_not(grid):
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    table = torch.cat([torch.tensor([[9.0, 9.0]]), torch.stack([y, x], dim=-1).flatten(0, 1)])
    resized = make(Positions("a"), (1 + grid * grid, 2), a=table)
    assert resized[0].tolist() == [9.0, 9.0]
    rows = resized[1:].unflatten(0, (grid, grid))
    torch.testing.assert_close(rows[:, :, 0], rows[:, :1, 0].expand(grid, grid), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(rows[:, :, 1], rows[:1, :, 1].expand(grid, grid), atol=1e-5, rtol=0.0)
    assert (rows[1:, 0, 0] > rows[:-1, 0, 0]).all()
    assert rows[:, :, 0].mean().item() == pytest.approx(1.5, abs=1e-4)


def test_positions_that_are_no_square_are_refused():
    assert Positions("a").needs((17, 3), ((12, 3),)) == ((17, 3),)
