"""Soak: an hour of churn, in which all comes and goes again under ever new names, leaves nothing behind in the process."""

from __future__ import annotations

import asyncio
import logging
import sys
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.faults.amount import LONG, report
from tests.faults.virtual.census import Census, take
from tests.scenarios.world import World, group, minutes

pytestmark = [pytest.mark.faults, pytest.mark.looptime(noop_cycles=1), pytest.mark.timeout(1800)]

ROUND_MINUTES = 10
WARM_UP = 7
ROUNDS = 36 if LONG else 6
"""After the warm-up (vanished Nodes are remembered for an hour, terminated instances for half of one): an hour, or six."""
POLICY = {"scaleDown": {"unneededTime": "30s", "delayAfterAdd": "10s", "delayAfterFailure": "30s"}}

CACHES = {"recorder._written": 4096, "roll._numbers": 1024}
"""What may fill up, to a bound, by the end of its path: events that were told lately, shapes that were seen."""


@pytest.fixture(autouse=True)
def traced(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.CRITICAL, logger="springtide")
    tracemalloc.start()
    yield
    tracemalloc.stop()


def seconds() -> float:
    """Of virtual time."""
    return asyncio.get_running_loop().time()


async def churn(world: World, number: int) -> None:
    """Pods of shapes never seen before come, nodes are bought for them; they go in steps, nodes are drained and removed."""
    began = seconds()
    names = [f"app-{number}-{letter}" for letter in "abc"]
    for position, name in enumerate(names):
        world.deploy(name, 8 + position, cpu=f"{700 + 10 * number + position}m")
        world.budget(name, min_available=2)
    await world.until(lambda: all(len(world.running(name)) >= 8 for name in names), within=minutes(3))
    for name in names:
        world.deploy(name, 3)
    await world.after(minutes(3))
    for name in names:
        world.undeploy(name)
        world.server.delete("PodDisruptionBudget", ("default", name))
    await world.until(lambda: len(world.nodes) == 1, within=minutes(4))
    await world.after(ROUND_MINUTES * 60 - (seconds() - began))


def forget(world: World) -> None:
    """What the test itself keeps is not the operator's."""
    for kept in (world.outcomes, world.events, world.status_writes, world.raises, world.evictions):
        kept.clear()
    world.terminations.clear()


async def test_an_hour_of_churn_leaves_nothing_behind() -> None:
    pool = {"groups": [group("a", maxSize=20), group("b", zone="zone-b", maxSize=20)], "minSize": 1}
    world = await World(pools={"general": pool}, policies={"default": POLICY}).started()
    census: list[Census] = []
    bought = removed = evicted = 0
    for number in range(WARM_UP + ROUNDS):
        await churn(world, number)
        bought += sum(each.after - each.before for each in world.raises)
        removed += len(world.terminated)
        evicted += len(world.evictions)
        forget(world)
        census.append(take(world.operator))
    tell(table(census, bought=bought, removed=removed, evicted=evicted))
    assert removed >= 5 * (WARM_UP + ROUNDS)
    assert not grown(census[WARM_UP - 1], census[-1])


def tell(text: str) -> None:
    """On the terminal, and in a report."""
    sys.stdout.write(f"\n{text}")
    report("soak", text)


def grown(before: Census, after: Census) -> list[str]:
    """What there is more of than can be chance: a hundredth of the memory, a handful of entries."""
    found = [
        f"{path}: {before.containers.get(path, 0)} -> {size}"
        for path, size in after.containers.items()
        if size > max(before.containers.get(path, 0) + 5, _bound(path))
    ]
    if after.tasks > before.tasks:
        found.append(f"tasks: {before.tasks} -> {after.tasks}")
    if after.series > before.series:
        found.append(f"series of metrics: {before.series} -> {after.series}")
    per_round = (after.allocated_kib - before.allocated_kib) / ROUNDS
    if per_round > KIB_A_ROUND:
        found.append(f"allocated: {per_round:.1f} KiB more each round")
    return found


def _bound(path: str) -> int:
    return max((bound for end, bound in CACHES.items() if path.endswith(end)), default=0)


KIB_A_ROUND = 60.0
"""The caches fill up: some hundred bytes for each entry, with its text."""


def table(census: list[Census], *, bought: int, removed: int, evicted: int) -> str:
    lines = [
        f"{len(census)} rounds of {ROUND_MINUTES} minutes: {bought} nodes bought, {removed} removed, {evicted} pods evicted",
        f"{'minute':>6} {'tasks':>6} {'entries':>8} {'series':>7} {'allocated KiB':>14} {'resident MiB':>13}",
    ]
    lines += [
        f"{number * ROUND_MINUTES:6d} {each.tasks:6d} {each.entries:8d} {each.series:7d} "
        f"{each.allocated_kib:14.0f} {each.resident_mib:13.1f}"
        for number, each in enumerate(census, start=1)
    ]
    return "\n".join(lines) + "\n"
