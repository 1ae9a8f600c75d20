"""The line in rounds: who comes when, what each is told, and what happens when somebody leaves."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import anyio
import pytest

from medsight_core.server.turns import Turns


def served(asked: str, again: dict[str, int] | None = None) -> tuple[str, dict[str, list[int]]]:
    """Who was served in which order, when they asked at once, a letter a client; and what each question was told.

    again: how often a client asks once more as soon as it was served.
    """
    order, told = [], defaultdict(list)
    left = dict(again or {})

    async def ask(turns: Turns, who: str, number: int) -> None:
        async with turns.turn(told[f"{who}{number}"].append, who):
            await anyio.sleep(0.001)
            order.append(who)
        if left.get(who, 0) > 0:
            left[who] -= 1
            await ask(turns, who, number + 100)

    async def main() -> None:
        turns = Turns()
        await asyncio.gather(*(ask(turns, who, asked[:place].count(who)) for place, who in enumerate(asked)))

    anyio.run(main)
    return "".join(order), told


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        ("abcd", "abcd"),
        ("aaaab", "abaaa"),
        ("aaaabbc", "abcabaa"),
        ("aaa", "aaa"),
        ("baaacab", "bacbaaa"),
    ],
)
def test_everybody_gets_a_turn_before_anybody_gets_another(asked, order):
    assert served(asked)[0] == order


def test_who_always_asks_again_starves_nobody():
    order, _ = served("bbbac", again={"a": 30, "c": 30})
    assert max(place for place, who in enumerate(order) if who == "b") <= 8
    assert len(order) == 65


def test_who_asks_again_after_each_answer_takes_turns_with_who_asked_all_at_once():
    order, _ = served("abbb", again={"a": 2})
    assert order == "ababab"


def test_each_hears_how_many_are_ahead_and_when_somebody_comes_between():
    _, told = served("aaab")
    assert told["a0"] == [0]
    assert told["b0"] == [1, 0]
    assert told["a1"] == [1, 2, 1, 0]
    assert told["a2"] == [2, 3, 2, 1, 0]


def test_the_line_survives_who_fails_in_it():
    async def main():
        turns, places = Turns(), []

        async def stand(error):
            async with turns.turn(places.append):
                await anyio.sleep(0.01)
                if error:
                    raise error

        results = await asyncio.gather(*(stand(e) for e in (ValueError("x"), None, None)), return_exceptions=True)
        return places, results

    places, results = anyio.run(main)
    assert places == [0, 1, 2, 0, 1, 0]
    assert isinstance(results[0], ValueError)
    assert results[1:] == [None, None]


def test_who_cancels_what_waits_is_not_held_back_for_it():
    order = []

    async def ask(turns: Turns, who: str) -> None:
        async with turns.turn(lambda _: None, who):
            await anyio.sleep(0.01)
            order.append(who)

    async def main() -> None:
        turns = Turns()
        tasks = [asyncio.ensure_future(ask(turns, who)) for who in "abbaaaa"]
        await anyio.sleep(0)
        for task in tasks[3:]:
            task.cancel()
        await anyio.sleep(0)
        await asyncio.gather(ask(turns, "a"), *tasks[:3])

    anyio.run(main)
    assert "".join(order) == "abab"
