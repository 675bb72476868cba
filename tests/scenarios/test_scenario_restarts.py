"""Operators that are killed at any moment, and successors that know only what the cluster holds."""

from __future__ import annotations

import pytest

from springtide.actuation.outcome import RemovalResumed, RemovalStarted
from springtide.providers.simulated.failures import NeverRegisters, SlowBoot, no_capacity
from tests.scenarios.virtual_time import now
from tests.scenarios.world import HARD, SOFT, World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

QUICK = {"scaleDown": {"unneededTime": "1m", "delayAfterAdd": "0s"}}

MOMENTS = [0.0, 0.1, 0.22, 0.24, 0.25, 0.26, 0.27, 0.28, 0.29, 0.3, 0.35, 0.5, 1.0, 3.0, 20.0, 31.0]
"""Seconds after the pods were created: before, during and after the purchase, and while the node boots."""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("away", [0.0, 4.0])
async def test_killed_around_a_purchase_it_buys_nothing_twice(moment: float, away: float) -> None:
    world = await World().started()
    world.deploy("web", 8)
    await world.after(moment)
    await world.restart_operator(away=away)
    await world.until(lambda: len(world.running("web")) == 8, within=120)
    await world.after(minutes(2))
    assert world.targets == {"general/a": 2}


async def test_killed_again_and_again_it_buys_nothing_twice() -> None:
    world = await World().started()
    world.deploy("web", 20)
    for _ in range(12):
        await world.after(1.3)
        await world.restart_operator(away=0.7)
    await world.until(lambda: len(world.running("web")) == 20, within=120)
    assert world.targets == {"general/a": 5}


async def test_a_successor_waits_for_slow_nodes_as_its_predecessor_would() -> None:
    world = await World().started()
    world.cloud.set_failure(SlowBoot(seconds=minutes(8)))
    world.deploy("web", 8)
    await world.after(minutes(3))
    await world.restart_operator()
    await world.until(lambda: len(world.running("web")) == 8, within=minutes(6))
    assert len(world.raises) == 1


async def test_a_successor_gives_unregistered_instances_back_in_time() -> None:
    world = await World().started()
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    rule = world.cloud.set_failure(NeverRegisters())
    world.deploy("web", 8)
    await world.until(lambda: len(world.raises) == 2, within=10)
    world.cloud.clear_failure(rule)
    begun = now()
    await world.after(minutes(10))
    await world.restart_operator()
    await world.until(lambda: world.terminated, within=minutes(10))
    assert minutes(15) <= (now() - begun).total_seconds() <= minutes(16)


async def test_a_successor_knows_of_the_backoff() -> None:
    world = await World(
        pools={"general": {"groups": [group("a"), group("b", zone="zone-b", available=1)]}}
    ).started()
    world.cloud.set_failure(no_capacity(group="a"))
    world.deploy("web", 2)
    await world.until(lambda: len(world.running("web")) == 2, within=90)
    failed = sum(each.group == "a" for each in world.raises)
    await world.restart_operator()
    world.deploy("web", 8)
    await world.after(minutes(2))
    assert sum(each.group == "a" for each in world.raises) == failed


# --- removals ----------------------------------------------------------------------------------------------------

REMOVAL_MOMENTS = [0.0, 0.02, 0.05, 1.0, 4.9, 5.05, 5.1, 5.15, 6.0, 7.0, 9.0, 11.0, 14.0, 20.0]
"""Seconds after the removal began: between all of its steps."""


@pytest.mark.parametrize("moment", REMOVAL_MOMENTS)
async def test_killed_during_a_removal_it_is_finished_or_undone(moment: float) -> None:
    world = await World(policies={"default": QUICK}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.deploy("web", 4)
    await world.until(lambda: world.of(RemovalStarted), within=minutes(3))
    await world.after(moment)
    await world.restart_operator(away=3)
    await world.until(lambda: len(world.nodes) == 1, within=minutes(6))
    await world.after(minutes(3))
    assert len(world.running("web")) == 4
    assert not world.marked(HARD, "cordon")
    assert len(world.terminated) <= 1


async def test_killed_and_gone_for_long_the_late_removal_is_undone() -> None:
    world = await World(policies={"default": QUICK}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.deploy("web", 4)
    await world.until(lambda: world.marked(HARD), within=minutes(3))
    await world.restart_operator(away=minutes(60))
    await world.until(lambda: world.of(RemovalResumed), within=30)
    await world.until(lambda: not world.marked(HARD), within=30)
    assert world.terminations == []


async def test_nothing_is_forgotten_when_it_is_stopped_in_the_middle() -> None:
    world = await World(policies={"default": QUICK}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.deploy("web", 4)
    await world.until(lambda: world.marked(HARD), within=minutes(3))
    await world.operator.stop()
    world.start_operator()
    await world.until(lambda: len(world.nodes) == 1, within=minutes(5))
    assert not world.marked(HARD, "cordon")


# --- timers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("away", "starts_anew"),
    [
        pytest.param(5, False, id="restarted at once"),
        pytest.param(100, False, id="away for less than three minutes"),
        pytest.param(minutes(5), True, id="away for more than three minutes"),
        pytest.param(minutes(120), True, id="away for two hours"),
    ],
)
async def test_timers_go_on_only_if_somebody_kept_watching(away: float, starts_anew: bool) -> None:
    world = await World(policies={"default": {"scaleDown": {"delayAfterAdd": "0s"}}}).started()
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    world.undeploy("web")
    await world.until(lambda: world.marked(SOFT), within=30)
    since = now()
    await world.after(minutes(6))
    await world.kill_operator()
    await world.after(away)
    back = now()
    world.start_operator()
    await world.until(lambda: world.marked(HARD), within=minutes(12))
    waited = (now() - (back if starts_anew else since)).total_seconds()
    assert minutes(10) - 1 <= waited <= minutes(11)


async def test_a_cool_down_outlives_the_process() -> None:
    world = await World(
        policies={"default": {"scaleDown": {"unneededTime": "1m", "delayAfterAdd": "15m"}}}
    ).started()
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    bought = world.raises[-1].at
    world.undeploy("web")
    await world.after(minutes(5))
    await world.restart_operator()
    await world.until(lambda: world.marked(HARD), within=minutes(15))
    assert minutes(15) <= (now() - bought).total_seconds() <= minutes(16)


async def test_a_lost_status_is_rebuilt_from_the_cloud() -> None:
    world = await World().started()
    world.cloud.set_failure(SlowBoot(seconds=minutes(5)))
    world.deploy("web", 8)
    await world.after(minutes(1))
    await world.kill_operator()
    pool = world.server.get("NodePool", "general")
    assert pool is not None
    world.server.put("NodePool", {key: value for key, value in pool.items() if key != "status"})
    world.start_operator()
    await world.until(lambda: len(world.running("web")) == 8, within=minutes(6))
    assert world.targets == {"general/a": 2}
    assert len(world.raises) == 1


async def test_the_status_tells_of_each_removal_how_far_it_is() -> None:
    world = await World(policies={"default": QUICK}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.deploy("web", 4)
    phases: list[str] = []

    def told() -> bool:
        for each in world.status()["scaleDown"].get("removals", ()):
            assert each["since"] < each["deadline"]
            assert each["reason"] in ("Empty", "Underutilized")
            if each["phase"] not in phases:
                phases.append(each["phase"])
        return len(world.nodes) == 1

    await world.until(told, within=minutes(5))
    assert phases[-1] == "Terminating"
    await world.until(lambda: not world.status()["scaleDown"].get("removals"), within=30)
