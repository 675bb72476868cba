"""Budgets and drains, as whole passes in virtual time: windows that open and close, pods in the order of their priorities,
nodes that share a PodDisruptionBudget, pods that end by themselves, pods that will not go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from springtide.actuation.outcome import EvictionBlocked, RemovalDone, RemovalRolledBack, RemovalStarted
from tests.scenarios.virtual_time import now
from tests.scenarios.world import HARD, World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

QUICK = {"unneededTime": "1m", "delayAfterAdd": "0s", "delayAfterFailure": "1m"}
# The scenarios' clock begins on Thursday, 1 January 2026, at 12:00 UTC: 13:00 in Berlin.


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 1, hour, minute, tzinfo=UTC)


async def idle(*budgets: dict[str, Any], nodes: int = 3, pools: int = 1, **down: Any) -> World:
    """A world whose nodes have just become empty."""
    names = ["general", "batch"][:pools]
    world = await World(
        pools={name: {"groups": [group(name[0])]} for name in names},
        policies={"default": {"scaleDown": {**QUICK, **down}, "budgets": list(budgets)}},
    ).started()
    world.deploy("web", 4 * nodes)
    await world.until(lambda: len(world.running("web")) == 4 * nodes, within=180)
    world.undeploy("web")
    return world


def budgets(world: World) -> list[dict[str, Any]]:
    policy = world.server.get("AutoscalerPolicy", "default")
    assert policy is not None
    return list(policy["status"]["budgets"])


async def test_nothing_goes_before_a_deny_window_closes_and_then_it_goes_at_once() -> None:
    lunch = {
        "name": "lunch",
        "nodes": 0,
        "schedule": "30 12 * * *",
        "duration": "1h",
        "timeZone": "Europe/Berlin",
    }
    world = await idle(lunch)
    await world.until(lambda: now() >= at(12, 29), within=minutes(30))
    assert world.of(RemovalStarted) == []
    assert budgets(world) == [
        {"name": "lunch", "open": True, "allowed": 0, "inUse": 0, "until": "2026-01-01T12:30:00Z"}
    ]
    (candidate, *_) = world.status()["scaleDown"]["candidates"]
    assert "budget lunch allows no removal until 2026-01-01 12:30 UTC" in candidate["blockedBy"]
    await world.until(lambda: world.of(RemovalStarted), within=minutes(2))
    assert now() < at(12, 30).replace(second=15)
    await world.until(lambda: not world.nodes, within=minutes(3))


async def test_nothing_goes_before_an_allow_window_opens() -> None:
    world = await idle({"name": "siesta", "action": "Allow", "schedule": "0 13 * * *", "duration": "2h"})
    await world.until(lambda: world.of(RemovalStarted), within=minutes(61))
    assert at(13) <= now() < at(13).replace(second=15)


async def test_what_has_begun_is_finished_when_a_deny_window_opens() -> None:
    world = await idle(
        {"name": "dinner", "nodes": 0, "schedule": "10 12 * * *", "duration": "1h"}, unneededTime="9m30s"
    )
    await world.until(lambda: now() >= at(12, 9).replace(second=53), within=minutes(10))
    world.edit_policy(scaleDown={**QUICK, "unneededTime": "10s"})
    await world.until(lambda: world.marked(HARD), within=5)
    await world.until(lambda: world.of(RemovalDone), within=minutes(5))
    assert now() > at(12, 10)
    assert world.of(RemovalRolledBack) == []


async def test_a_budget_bounds_the_nodes_out_of_service_of_all_pools_together() -> None:
    world = await idle({"name": "few", "nodes": 2}, nodes=5, pools=2)
    world.deploy("web", 0)
    most = 0

    def gone() -> bool:
        nonlocal most
        most = max(most, len(world.marked(HARD)))
        return not world.nodes

    await world.until(gone, within=minutes(20))
    assert most == 2


async def test_an_edit_takes_effect_with_the_next_pass() -> None:
    world = await idle({"name": "never", "nodes": 0})
    await world.after(minutes(10))
    assert world.of(RemovalStarted) == []
    world.edit_policy(budgets=[])
    await world.until(lambda: world.of(RemovalStarted), within=15)


# --- drains ------------------------------------------------------------------------------------------------------


async def half_empty(pods: int, *, min_available: int, **down: Any) -> World:
    """Nodes of which a third would do for the pods; a PodDisruptionBudget over all of these."""
    world = await World(policies={"default": {"scaleDown": {**QUICK, **down}}}).started()
    world.deploy("web", pods)
    await world.until(lambda: len(world.running("web")) == pods, within=120)
    world.budget("web", min_available=min_available)
    world.deploy("web", 4)
    await world.until(lambda: world.of(RemovalStarted), within=minutes(5))
    return world


async def test_two_drains_whose_budget_becomes_short_both_come_to_an_end() -> None:
    world = await half_empty(12, min_available=0)
    assert len(world.marked(HARD)) == 2
    world.budget("web", min_available=3)
    await world.until(lambda: len(world.nodes) == 1 and not world.marked(HARD), within=minutes(30))
    assert world.of(RemovalRolledBack) == []
    assert len(world.running("web")) == 4


async def test_a_pod_that_will_not_go_is_named_wherever_one_looks() -> None:
    world = await half_empty(8, min_available=1, maxPodEvictionTime="1m", delayAfterFailure="10m")
    world.budget("web", min_available=3)
    await world.until(lambda: world.of(EvictionBlocked), within=minutes(5))
    world.budget("web", min_available=5)
    await world.until(lambda: world.of(RemovalRolledBack), within=minutes(3))
    (undone, *_) = world.of(RemovalRolledBack)
    assert undone.pod is not None
    messages = [event["message"] for event in world.events if event["reason"] == "ScaleDownFailed"]
    assert any(undone.pod.key in message and undone.node in message for message in messages)
    await world.after(15)
    assert not world.marked(HARD, "cordon")
    scale_down = world.status()["scaleDown"]
    told = [each["blockedBy"] for each in (*scale_down.get("candidates", ()), *scale_down.get("held", ()))]
    assert any(undone.pod.key in reason for reason in told)
    labels = {"pool": "general", "group": "a", "reason": "EvictionRefused"}
    assert world.metric("springtide_removal_failures_total", **labels) == 1


async def test_a_node_waits_for_a_pod_that_must_run_to_its_end() -> None:
    world = await World(policies={"default": {"scaleDown": QUICK}}).started()
    for name in ("one", "two"):
        world.deploy(name, 1, cpu="3")
    ends_itself = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "on-completion"}
    world.deploy("job", 1, cpu="500m", annotations=ends_itself)
    await world.until(lambda: len(world.running()) == 3, within=120)
    (job,) = world.running("job")
    (beside,) = [
        pod.labels["app"] for pod in world.running() if pod.node_name == job.node_name and pod is not job
    ]
    world.undeploy(beside)
    await world.after(minutes(20))
    assert world.evictions == []
    (candidate,) = world.status()["scaleDown"]["candidates"]
    assert candidate["node"] == job.node_name
    assert "waits until a pod completes" in candidate["blockedBy"]
    world.undeploy("job")
    await world.until(lambda: len(world.nodes) == 1, within=minutes(5))
    assert world.evictions == []
