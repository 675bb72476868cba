"""Degraded modes, whole operator, virtual time: what is left undone, what goes on, what is said, and that it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from springtide.actuation.outcome import CancellationDone, RemovalRolledBack, RollbackReason
from springtide.api.conditions import Reason
from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.api_errors import ApiUnreachable
from springtide.cluster.degradation import DegradedMode
from springtide.providers.base import CredentialsError, ProviderError, ThrottledError
from springtide.providers.simulated.failures import Call, CallFails, SlowBoot, SlowCall, no_capacity
from tests.scenarios.door import Change, Door
from tests.scenarios.virtual_time import now
from tests.scenarios.world import HARD, SOFT, World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

QUICK: dict[str, Any] = {"scaleDown": {"unneededTime": "2m", "delayAfterAdd": "0s"}}


async def unneeded(**spec: Any) -> World:
    """A world with two idle nodes, marked as such, that would go two minutes later."""
    world = await World(policies={"default": {**QUICK, **spec}}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.undeploy("web")
    await world.until(lambda: world.marked(SOFT), within=30)
    return world


def modes(world: World) -> set[str]:
    """The modes whose metric is 1; every mode has one."""
    shown = {mode: world.metric("springtide_degraded", mode=mode) for mode in DegradedMode}
    assert None not in shown.values()
    return {mode.value for mode, value in shown.items() if value}


# --- what keeps nodes but buys them ----------------------------------------------------------------------------


def _silent(*kinds: str) -> Callable[[World], None]:
    return lambda world: world.silent_kinds.update(dict.fromkeys(kinds, minutes(4)))


def _calls(**counts: Any) -> Callable[[World], None]:
    return lambda world: setattr(world, "api_calls", ApiCalls(**counts))


def _mended(world: World) -> None:
    world.silent_kinds.clear()
    world.api_calls = ApiCalls()


KEEPING = {
    "budgets are not heard of": (_silent("poddisruptionbudgets"), Reason.STALE_PICTURE),
    "pods are not heard of": (_silent("pods"), Reason.STALE_PICTURE),
    "no call is answered": (
        _calls(failed=9, failed_in_a_row=9, failing_seconds=30, last_error="refused"),
        Reason.API_SERVER_UNREACHABLE,
    ),
    "calls are answered late": (_calls(quick_calls=9, median_seconds=3), Reason.API_SERVER_SLOW),
    "calls are turned away": (_calls(answered=5, throttled=9), Reason.API_SERVER_THROTTLING),
}


@pytest.mark.parametrize("case", KEEPING, ids=str)
async def test_while_the_api_server_fails_no_node_goes_and_pods_still_get_theirs(case: str) -> None:
    happens, reason = KEEPING[case]
    world = await unneeded()
    happens(world)
    await world.after(minutes(5))
    assert world.terminations == []
    assert not world.marked(HARD, "cordon")
    world.deploy("big", 12)
    await world.until(lambda: len(world.running("big")) == 12, within=90)
    for kind, name in (("NodePool", "general"), ("AutoscalerPolicy", "default")):
        told = world.condition_of("Degraded", kind=kind, name=name)
        assert (told["status"], told["reason"]) == ("True", reason)
        assert world.condition_of("Ready", kind=kind, name=name)["status"] == "True"
    assert modes(world) == {reason.value}
    assert reason in world.event_reasons()


@pytest.mark.parametrize("case", KEEPING, ids=str)
async def test_when_the_api_server_is_well_again_nodes_go_and_it_is_said(case: str) -> None:
    happens, _ = KEEPING[case]
    world = await unneeded()
    happens(world)
    await world.after(minutes(5))
    _mended(world)
    await world.until(lambda: not world.nodes, within=minutes(4))
    assert world.condition("Degraded")["status"] == "False"
    assert modes(world) == set()


async def test_a_mode_that_lasts_is_written_once() -> None:
    world = await World().started()
    _silent("pods")(world)
    await world.after(minutes(1))
    before = len(world.status_writes)
    for _ in range(10):
        world.silent_kinds["pods"] += 30
        await world.after(30)
    heartbeats = 2 * 6
    assert len(world.status_writes) - before <= heartbeats


# --- clouds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ThrottledError("slow down"), Reason.PROVIDER_THROTTLED),
        (CredentialsError("access denied"), Reason.CREDENTIALS_DENIED),
        (ProviderError("cannot connect"), Reason.PROVIDER_ERROR),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
async def test_no_node_is_drained_for_a_cloud_that_could_not_take_it(
    error: ProviderError, reason: Reason
) -> None:
    world = await unneeded()
    rule = world.cloud.set_failure(CallFails(call=Call.LIST_GROUPS, error=error))
    await world.after(minutes(3))
    assert not world.marked(HARD, "cordon")
    assert modes(world) == {reason.value}
    told = world.condition("ProviderReachable")
    assert (told["status"], told["reason"]) == ("False", reason)
    world.cloud.clear_failure(rule)
    await world.until(lambda: not world.nodes, within=minutes(5))
    assert modes(world) == set()


async def test_a_cloud_that_fails_once_stops_no_purchase() -> None:
    world = await World().started()
    world.cloud.set_failure(CallFails(call=Call.LIST_GROUPS, error=ThrottledError("slow down")))
    await world.after(minutes(1))
    world.deploy("web", 4)
    await world.until(lambda: world.raises, within=5)


async def test_a_slow_cloud_is_told_of_and_scales() -> None:
    world = await World().started()
    world.cloud.set_failure(SlowCall(call=Call.LIST_GROUPS, seconds=20))
    await world.after(60)
    told = world.condition("Degraded")
    assert (told["status"], told["reason"]) == ("True", Reason.PROVIDER_SLOW)
    assert modes(world) == {Reason.PROVIDER_SLOW.value}
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=120)


# --- zones -----------------------------------------------------------------------------------------------------


async def two_zones() -> World:
    groups = [group("a", zone="zone-a", max=10), group("b", zone="zone-b", max=10)]
    world = await World(pools={"general": {"groups": groups}}, policies={"default": QUICK}).started()
    world.deploy("web", 32)
    await world.until(lambda: len(world.running("web")) == 32, within=120)
    assert world.targets == {"general/a": 4, "general/b": 4}
    # A node that stops within two minutes of its birth counts as one that never came up.
    await world.after(minutes(3))
    return world


def in_zone(world: World, zone: str) -> list[str]:
    return [node.name for node in world.nodes if node.labels["topology.kubernetes.io/zone"] == zone]


async def test_when_half_of_the_nodes_fail_with_their_zone_pods_move_to_the_other_and_no_node_goes() -> None:
    world = await two_zones()
    for name in in_zone(world, "zone-a"):
        world.control_plane.silence(name)
    await world.until(lambda: len(world.running("web")) == 32 and world.targets["general/b"] == 8, within=600)
    await world.after(minutes(30))
    assert world.targets == {"general/a": 4, "general/b": 8}
    assert world.terminations == []
    assert not world.marked(HARD)
    told = world.condition("Degraded")
    assert (told["status"], told["reason"]) == ("True", Reason.ZONE_OUTAGE)
    assert world.condition("Ready")["status"] == "True"
    assert modes(world) == {DegradedMode.ZONE_OUTAGE.value}


async def test_drains_under_way_are_undone_when_a_zone_fails() -> None:
    world = await two_zones()
    world.edit_policy(scaleDown={**QUICK["scaleDown"], "maxParallel": 1})
    world.deploy("web", 8)
    world.cloud.set_failure(CallFails(call=Call.TERMINATE, error=ThrottledError("slow down")))
    await world.until(lambda: world.marked(HARD), within=minutes(6))
    draining = world.marked(HARD)
    for name in in_zone(world, "zone-a"):
        world.control_plane.silence(name)
    await world.until(lambda: world.condition("Degraded").get("reason") == Reason.ZONE_OUTAGE, within=90)
    await world.until(lambda: not world.marked(HARD, "cordon"), within=15)
    assert world.terminations == []
    undone = [each for each in world.of(RemovalRolledBack) if each.node in draining]
    assert {each.reason for each in undone} == {RollbackReason.CIRCUMSTANCES}
    assert "zone zone-a" in undone[0].message


async def test_when_the_zone_is_back_timers_begin_anew() -> None:
    world = await two_zones()
    struck = in_zone(world, "zone-a")
    for name in struck:
        world.control_plane.silence(name)
    await world.until(lambda: world.targets["general/b"] == 8, within=600)
    await world.after(minutes(10))
    for name in struck:
        world.control_plane.recover(name)
    await world.after(100)
    assert world.terminations == []
    assert world.condition("Degraded")["status"] == "False"
    await world.until(
        lambda: world.targets["general/a"] + world.targets["general/b"] == 8, within=minutes(10)
    )
    assert len(world.running("web")) == 32


# --- the clock -------------------------------------------------------------------------------------------------


async def _jumps(world: World, hours: float) -> None:
    world.clock_error += timedelta(hours=hours)
    await world.after(15)


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_jump_of_the_clock_makes_no_node_unneeded_for_long(hours: float) -> None:
    world = await unneeded(scaleDown={"unneededTime": "10m", "delayAfterAdd": "0s"})
    begun = now()
    await _jumps(world, hours)
    assert world.condition("Degraded")["reason"] == Reason.CLOCK_JUMPED
    assert modes(world) == {DegradedMode.CLOCK_JUMPED.value}
    await world.until(lambda: world.marked(HARD), within=minutes(15))
    assert timedelta(minutes=9) < now() - begun < timedelta(minutes=12)
    await world.until(lambda: not world.nodes, within=minutes(3))
    assert world.condition("Degraded")["status"] == "False"


@pytest.mark.parametrize("hours", [2, -2])
async def test_nor_for_the_process_after_this_one(hours: float) -> None:
    world = await unneeded(scaleDown={"unneededTime": "10m", "delayAfterAdd": "0s"})
    begun = now()
    await _jumps(world, hours)
    await world.after(30)
    await world.restart_operator()
    await world.until(lambda: world.marked(HARD), within=minutes(16))
    assert timedelta(minutes=9) < now() - begun < timedelta(minutes=13)


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_jump_skips_no_cool_down_and_lengthens_none(hours: float) -> None:
    world = await unneeded(scaleDown={"unneededTime": "1m", "delayAfterAdd": "10m"})
    begun = now()
    await _jumps(world, hours)
    await world.until(lambda: world.marked(HARD), within=minutes(12))
    assert timedelta(minutes=7) < now() - begun < timedelta(minutes=11)


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_jump_gives_up_no_purchase(hours: float) -> None:
    world = await World().started()
    world.cloud.set_failure(SlowBoot(seconds=minutes(5)))
    world.deploy("web", 4)
    await world.until(lambda: world.raises, within=10)
    await _jumps(world, hours)
    await world.after(minutes(4))
    assert world.of(CancellationDone) == []
    assert len(world.raises) == 1
    assert world.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_backoff_is_as_long_as_ever(hours: float) -> None:
    world = await World().started()
    world.cloud.set_failure(no_capacity())
    world.deploy("web", 1)
    await world.until(lambda: world.of(CancellationDone), within=minutes(2))
    begun = now()
    await _jumps(world, hours)
    bought = len(world.raises)
    await world.until(lambda: len(world.raises) > bought, within=minutes(6))
    assert timedelta(minutes=4) < now() - begun < timedelta(minutes=6)


async def test_after_a_jump_back_the_heartbeat_goes_on() -> None:
    world = await World().started()
    await _jumps(world, -2)
    await world.after(minutes(2))
    before = len(world.status_writes)
    await world.after(minutes(3))
    assert len(world.status_writes) - before >= 4


# --- after an outage -------------------------------------------------------------------------------------------


class Outage:
    """A doorkeeper that lets nothing through to the API server while it is down, and counts who tries."""

    def __init__(self) -> None:
        self.down = False
        self.tries: list[datetime] = []

    async def before(self, change: Change, door: Door) -> None:
        if not change.to_cloud:
            self.tries.append(now())
            if self.down:
                raise ApiUnreachable("connection refused")

    async def after(self, change: Change, door: Door) -> None:
        pass

    def since(self, moment: datetime, *, seconds: float) -> int:
        return sum(moment <= at < moment + timedelta(seconds=seconds) for at in self.tries)


async def test_no_storm_of_writes_follows_an_outage() -> None:
    pools = {f"pool-{number}": {"groups": [group()]} for number in range(20)}
    world = World(pools=pools, policies={"default": QUICK})
    world.doorkeeper = outage = Outage()
    await world.started()
    world.deploy("web", 40)
    await world.until(lambda: len(world.running("web")) == 40, within=120)
    outage.down = True
    world.undeploy("web")
    begun = now()
    await world.after(600)
    resources, nodes = len(pools) + 1, len(world.nodes)
    passes = 600 / 10
    assert outage.since(begun, seconds=600) <= passes * (resources + 4 * nodes)
    outage.down = False
    back = now()
    await world.after(60)
    assert outage.since(back, seconds=1) <= resources + nodes
    assert outage.since(back, seconds=11) <= 2 * (resources + nodes)
    await world.until(lambda: not world.nodes, within=minutes(15))


async def test_what_is_gone_is_forgotten() -> None:
    world = await World().started()
    for number in range(12):
        world.add_pool(f"passing-{number}", groups=[group()])
        await world.after(15)
        world.delete_pool(f"passing-{number}")
        await world.after(15)
    await world.after(15)
    assert set(world.operator.memories.by_pool) == set(world.operator.clouds.listings) == {"general"}
    assert len(world.operator.writer) == 2, "one NodePool and one AutoscalerPolicy"


# --- load ------------------------------------------------------------------------------------------------------


async def test_an_overloaded_operator_says_so_and_goes_on_scaling_both_ways() -> None:
    world = await unneeded()
    world.pass_seconds = 6.0
    await world.after(minutes(1))
    told = world.condition("Degraded")
    assert (told["status"], told["reason"]) == ("True", Reason.OVERLOADED)
    assert modes(world) == {DegradedMode.OVERLOADED.value}
    world.deploy("web", 12)
    await world.until(lambda: len(world.running("web")) == 12, within=120)
    world.undeploy("web")
    await world.until(lambda: not world.nodes, within=minutes(8))
    world.pass_seconds = 0.0
    await world.after(minutes(2))
    assert modes(world) == set()
