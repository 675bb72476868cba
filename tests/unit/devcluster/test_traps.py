"""Catching one request on its way."""

from __future__ import annotations

import asyncio

import pytest

from devcluster.traps import Moment, Traps


async def test_only_the_nth_match_at_the_moment_is_held() -> None:
    traps: Traps[str] = Traps()
    trap = traps.set(lambda request: request.startswith("a"), moment=Moment.AFTER, nth=2)
    for request in ("a1", "b1"):
        assert await traps.pass_by(Moment.BEFORE, request)
        assert await traps.pass_by(Moment.AFTER, request)
    held = asyncio.create_task(traps.pass_by(Moment.AFTER, "a2"))
    assert await trap.caught(timeout=1) == "a2"
    assert await traps.pass_by(Moment.AFTER, "a3")
    assert not held.done()
    trap.drop()
    assert await held is False


async def test_nothing_caught_is_an_error_after_the_timeout() -> None:
    trap = Traps[str]().set(lambda _: True)
    with pytest.raises(TimeoutError):
        await trap.caught(timeout=0.01)


async def test_clearing_lets_go_what_is_held_and_holds_no_more() -> None:
    traps: Traps[str] = Traps()
    trap = traps.set(lambda _: True)
    held = asyncio.create_task(traps.pass_by(Moment.BEFORE, "a"))
    await trap.caught(timeout=1)
    traps.clear()
    assert await held is True
    assert await traps.pass_by(Moment.BEFORE, "b")


async def test_an_onlooker_sees_each_request_before_the_traps_for_as_long_as_it_looks() -> None:
    traps: Traps[str] = Traps()
    seen: list[str] = []

    async def look(request: str) -> None:
        seen.append(request)

    with traps.seen_by(look):
        trap = traps.set(lambda _: seen == ["a"])
        held = asyncio.create_task(traps.pass_by(Moment.BEFORE, "a"))
        await trap.caught(timeout=1)
        trap.let_go()
        await held
        await traps.pass_by(Moment.AFTER, "a")
    await traps.pass_by(Moment.BEFORE, "b")
    assert seen == ["a"]
