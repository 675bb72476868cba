"""The removal of a node, from taint to gone, and every way back."""

from __future__ import annotations

import asyncio
import copy
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from springtide.actuation.outcome import (
    EvictionBlocked,
    NodeDeleted,
    PodEvicted,
    RemovalDone,
    RemovalFailed,
    RemovalRolledBack,
    RemovalSuspended,
    RemovalTainted,
    RollbackReason,
)
from springtide.cluster.api_errors import ApiError
from springtide.cluster.records import PodPhase, PodRecord
from springtide.providers.base import CredentialsError
from springtide.providers.simulated.failures import AnswerLost, Call, CallFails
from tests.unit.actuation.world import EPOCH, HARD, World, blocked_by_budget, budget, clock, pod

pytestmark = pytest.mark.looptime


def as_before(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Equal but for the resource version and what others touched."""
    return _bare(now) == _bare(before)


def _bare(node: dict[str, Any]) -> dict[str, Any]:
    bare = copy.deepcopy(node)
    for volatile in ("resourceVersion", "labels"):
        bare["metadata"].pop(volatile, None)
    if not bare["metadata"].get("annotations"):
        bare["metadata"].pop("annotations", None)
    return bare


async def test_an_idle_node_is_tainted_drained_terminated_and_gone() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"))
    await world.remove()
    assert world.story() == [
        "RemovalStarted",
        "RemovalTainted",
        "RemovalDraining",
        "PodEvicted",
        "RemovalTerminating",
        "RemovalDone",
    ]
    assert world.node() not in world.nodes.objects
    assert world.group.target == 2
    assert world.provider.terminations == [world.node()]


async def test_taint_cordon_and_annotation_are_one_patch() -> None:
    world = await World().booted()
    started = clock()
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    [patch] = world.nodes.patches
    record = json.loads(world.object()["metadata"]["annotations"]["springtide.dev/removal"])
    assert world.object()["spec"]["unschedulable"] is True
    assert world.object()["spec"]["taints"][1] == {
        "key": HARD,
        "value": str(int(started.timestamp())),
        "effect": "NoSchedule",
    }
    assert record["phase"] == "Tainted"
    assert record["cordonedByUs"] is True
    assert {"planID", "pool", "group", "instance", "owner", "since", "deadline", "nodeUID"} <= set(record)
    assert patch["metadata"]["resourceVersion"] == "0"


async def test_pods_are_looked_at_only_after_the_scheduler_had_time_to_see_the_taint() -> None:
    world = await World().booted()
    begun = clock()
    await world.remove()
    drained = next(o for o in world.outcomes if type(o).__name__ == "RemovalDraining")
    assert drained.at - begun >= timedelta(seconds=world.settings.delay_after_taint)


@pytest.mark.parametrize(
    ("others", "gone"),
    [
        pytest.param(pod(kind="DaemonSet"), True, id="a DaemonSet's pod"),
        pytest.param(pod(annotations={"kubernetes.io/config.mirror": "x"}, kind=""), True, id="a mirror pod"),
        pytest.param(pod(phase=PodPhase.SUCCEEDED, restart_policy="Never"), True, id="a finished pod"),
        pytest.param(pod(priority=-20), True, id="an expendable pod"),
        pytest.param(
            pod(deletion_timestamp=EPOCH - timedelta(minutes=5)), True, id="a pod whose kubelet is gone"
        ),
        pytest.param(pod(), False, id="but an ordinary pod that the plan did not know"),
    ],
)
async def test_what_may_be_on_the_node_beyond_the_plan(others: PodRecord, gone: bool) -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.with_pods(others)
    await world.remove(pods=())
    if gone:
        assert world.of(RemovalDone)
    else:
        [rolled_back] = world.of(RemovalRolledBack)
        assert rolled_back.reason is RollbackReason.NEW_POD
        assert rolled_back.pod.uid == others.uid
        assert as_before(world.object(), before)
        assert world.provider.terminations == []


async def test_a_drain_rule_that_forbids_now_what_it_allowed_then_rolls_back() -> None:
    world = await World().booted()
    web = pod("web-1")
    world.with_pods(replace(web, annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}))
    await world.remove(pods=(web,))
    [rolled_back] = world.of(RemovalRolledBack)
    assert rolled_back.reason is RollbackReason.POD_BLOCKS
    assert "NotSafeToEvictAnnotation" in rolled_back.message
    assert world.nodes.evictions == []


async def test_a_budget_without_room_rolls_back_before_any_pod_is_touched() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"), pod("web-2"))
    world.budgets = [budget(0)]
    await world.remove()
    [rolled_back] = world.of(RemovalRolledBack)
    assert rolled_back.reason is RollbackReason.POD_BLOCKS
    assert "NotEnoughPdb" in rolled_back.message
    assert world.nodes.evictions == []


async def test_a_pod_that_must_run_to_its_end_keeps_the_node() -> None:
    world = await World().booted()
    world.with_pods(pod(annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "on-completion"}))
    await world.remove()
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.POD_BLOCKS


async def test_an_eviction_refused_until_the_end_rolls_back_and_names_pod_and_budget() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.with_pods(pod("web-1"))
    world.nodes.fail("evict", blocked_by_budget(), times=1000)
    begun = clock()
    await world.remove()
    [blocked] = world.of(EvictionBlocked)
    [rolled_back] = world.of(RemovalRolledBack)
    assert "web-pdb" in blocked.message
    assert rolled_back.reason is RollbackReason.EVICTION_REFUSED
    assert rolled_back.pod.name == "web-1"
    assert timedelta(minutes=1, seconds=45) < rolled_back.at - begun < timedelta(minutes=2, seconds=15)
    assert as_before(world.object(), before)
    assert world.provider.terminations == []


async def test_a_pod_that_does_not_end_rolls_back_after_its_grace_and_30_seconds() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1", termination_grace_seconds=60))
    world.nodes.stubborn.add("web-1")
    begun = clock()
    await world.remove()
    [rolled_back] = world.of(RemovalRolledBack)
    assert rolled_back.reason is RollbackReason.PODS_REMAIN
    assert timedelta(seconds=90) <= rolled_back.at - begun <= timedelta(seconds=105)


async def test_a_cordon_that_a_human_set_outlives_the_rollback() -> None:
    world = await World().booted()
    world.nodes.edit(world.node(), {"spec": {"unschedulable": True}})
    before = copy.deepcopy(world.object())
    world.with_pods(pod())
    await world.remove(pods=())
    assert world.of(RemovalTainted)[0].cordoned is False
    assert world.object()["spec"]["unschedulable"] is True
    assert as_before(world.object(), before)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"spec": {"taints": None}}, id="the hard taint was taken off"),
        pytest.param(
            {"metadata": {"annotations": {"springtide.dev/removal": None}}}, id="our annotation was"
        ),
        pytest.param(
            {"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}}},
            id="scale-down-disabled was set",
        ),
    ],
)
async def test_a_user_can_stop_a_removal_on_the_node_itself(edit: dict[str, Any]) -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"))
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    world.nodes.edit(world.node(), edit)
    await world.quiet()
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.WITHDRAWN
    assert world.nodes.evictions == []
    assert world.provider.terminations == []
    assert "springtide.dev/removal" not in world.object()["metadata"]["annotations"]


async def test_a_node_that_another_autoscaler_removes_is_left_to_it() -> None:
    world = await World().booted()
    foreign = {"key": HARD, "value": "1700000000", "effect": "NoSchedule"}
    world.nodes.edit(world.node(), {"spec": {"taints": [foreign]}})
    before = copy.deepcopy(world.object())
    await world.remove()
    assert world.object() == before
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.WITHDRAWN


async def test_another_node_of_the_same_name_is_not_touched() -> None:
    world = await World().booted()
    world.nodes.edit(world.node(), {"metadata": {"uid": "uid-of-its-successor"}})
    before = copy.deepcopy(world.object())
    await world.remove()
    assert world.object() == before


async def test_termination_waits_for_delay_deletion_annotations_but_not_forever() -> None:
    world = await World().booted()
    key = "delay-deletion.cluster-autoscaler.kubernetes.io/disk"
    world.nodes.edit(world.node(), {"metadata": {"annotations": {key: "true"}}})
    begun = clock()
    await world.remove()
    assert world.of(RemovalDone)
    assert timedelta(minutes=2) < clock() - begun < timedelta(minutes=3)


async def test_termination_goes_on_when_the_delay_is_lifted() -> None:
    world = await World().booted()
    key = "delay-deletion.cluster-autoscaler.kubernetes.io/disk"
    world.nodes.edit(world.node(), {"metadata": {"annotations": {key: "true"}}})
    begun = clock()
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(20)
    world.nodes.edit(world.node(), {"metadata": {"annotations": {key: None}}})
    await world.quiet()
    assert clock() - begun < timedelta(seconds=45)


async def test_a_pod_that_lands_right_before_the_termination_rolls_back() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.apply(removals=(world.removal(),))
    await world.until(lambda: world.phase() == "Terminating", step=0.005)
    world.with_pods(pod("late"))
    await world.quiet()
    [rolled_back] = world.of(RemovalRolledBack)
    assert rolled_back.reason is RollbackReason.NEW_POD
    assert rolled_back.pod.name == "late"
    assert world.provider.terminations == []
    assert as_before(world.object(), before)


async def test_a_termination_the_cloud_refuses_rolls_back_with_its_reason() -> None:
    world = await World(size=1).booted()
    before = copy.deepcopy(world.object())
    world.group.min_size = 1
    raised = {"simulated": {"groups": [{"name": "a", "minSize": 1, "maxSize": 10, "capacity": {"cpu": 4}}]}}
    spec = world.pool.resource.model_dump(by_alias=True, mode="json", exclude_none=True)
    spec["spec"]["provider"] = raised
    world.pool = replace(world.pool, resource=type(world.pool.resource).model_validate(spec))
    await world.remove()
    [rolled_back] = world.of(RemovalRolledBack)
    assert rolled_back.reason is RollbackReason.TERMINATE_REFUSED
    assert "minimum of 1" in rolled_back.message
    assert as_before(world.object(), before)


async def test_a_termination_whose_answer_is_lost_is_not_repeated_when_it_took_effect() -> None:
    world = await World().booted()
    world.cloud.set_failure(AnswerLost(call=Call.TERMINATE, times=1))
    await world.remove()
    assert world.of(RemovalDone)
    assert world.provider.terminations == [world.node()]
    assert world.group.target == 2


async def test_denied_credentials_roll_back_at_once_since_nothing_was_terminated() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.cloud.set_failure(CallFails(call=Call.TERMINATE, error=CredentialsError("access denied")))
    begun = clock()
    await world.remove()
    [rolled_back] = world.of(RemovalRolledBack)
    assert rolled_back.at - begun < timedelta(seconds=30)
    assert rolled_back.message == "access denied"
    assert as_before(world.object(), before)


async def test_with_the_answer_lost_and_the_cloud_unreadable_the_node_keeps_its_marks() -> None:
    world = await World().booted()
    world.cloud.set_failure(AnswerLost(call=Call.TERMINATE, times=1))
    unreadable = CallFails(call=Call.LIFECYCLES, error=CredentialsError("access denied"))
    world.cloud.set_failure(unreadable)
    world.cloud._termination_s = 10_000  # The instance takes its time.
    await world.remove()
    [failed] = world.of(RemovalFailed)
    assert failed.phase == "Terminating"
    assert failed.failures == 1
    assert any(taint["key"] == HARD for taint in world.object()["spec"]["taints"])
    assert world.provider.terminations == [world.node()]


# --- instances that somebody else terminates ---------------------------------------------------------------------


async def test_an_instance_that_dies_during_the_drain_is_not_given_back_to_the_scheduler() -> None:
    world = await World().booted()
    world.cloud.on_instance_gone = lambda instance: None
    world.with_pods(pod("web-1"))
    world.nodes.stubborn.add("web-1")
    world.apply(removals=(world.removal(),))
    await world.until(lambda: world.nodes.evictions)
    world.cloud.lose(world.group.instances[world.node()])
    await world.until(lambda: world.of(NodeDeleted))
    await world.quiet()
    assert not world.of(RemovalRolledBack)
    assert world.provider.terminations == []
    assert world.node() not in world.nodes.objects


async def test_a_cloud_that_cannot_be_asked_does_not_hold_up_a_rollback() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"))
    world.nodes.stubborn.add("web-1")
    world.cloud.set_failure(CallFails(call=Call.LIFECYCLES, error=CredentialsError("access denied")))
    await world.remove()
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.PODS_REMAIN
    assert world.phase() == ""


# --- clocks that are set -----------------------------------------------------------------------------------------


async def resumed_after_a_jump(jump: timedelta) -> World:
    """A removal that is interrupted in this process, and resumed by it after somebody set the clock."""
    world = await World().booted()
    world.with_pods(pod("web-1"))
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    world.gate.close("the lease is lost")
    await world.quiet()
    world.clock_error = jump
    world.gate.open_until(float("inf"))
    await asyncio.sleep(31)
    world.resume()
    await world.quiet()
    return world


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_clock_that_jumps_neither_undoes_a_removal_nor_puts_it_off(jump: timedelta) -> None:
    world = await resumed_after_a_jump(jump)
    assert world.of(RemovalDone)


async def test_a_clock_that_was_set_back_lengthens_no_removal() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"))
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    world.gate.close("the lease is lost")
    await world.quiet()
    world.clock_error = timedelta(hours=-2)
    await asyncio.sleep(1800)
    world.gate.open_until(float("inf"))
    world.resume()
    await world.quiet()
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.DEADLINE


async def test_without_leave_to_act_nothing_is_changed() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.gate.close("the lease is lost")
    await world.remove()
    [suspended] = world.of(RemovalSuspended)
    assert suspended.message == "the lease is lost"
    assert world.object() == before


async def test_when_leave_to_act_ends_in_the_middle_the_marks_stay_for_the_next_leader() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"))
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    world.gate.close("the lease is lost")
    await world.quiet()
    assert world.of(RemovalSuspended)
    assert world.nodes.evictions == []
    assert any(taint["key"] == HARD for taint in world.object()["spec"]["taints"])


@pytest.mark.parametrize(
    ("settings", "annotations", "with_workload", "evicted"),
    [
        pytest.param({}, {}, True, True, id="evicted from an occupied node"),
        pytest.param({}, {}, False, False, id="not from an empty one"),
        pytest.param({"daemonSetEvictionForOccupiedNodes": False}, {}, True, False, id="unless switched off"),
        pytest.param({"daemonSetEvictionForEmptyNodes": True}, {}, False, True, id="or switched on"),
        pytest.param({}, {"enable-ds-eviction": "false"}, True, False, id="its annotation forbids it"),
        pytest.param({}, {"enable-ds-eviction": "true"}, False, True, id="its annotation asks for it"),
    ],
)
async def test_daemon_pods_are(
    settings: dict[str, bool], annotations: dict[str, str], with_workload: bool, evicted: bool
) -> None:
    world = await World(scale_down=settings).booted()
    keyed = {f"cluster-autoscaler.kubernetes.io/{key}": value for key, value in annotations.items()}
    daemon = pod("log-agent", kind="DaemonSet", annotations=keyed)
    world.with_pods(daemon, *([pod("web-1")] if with_workload else []))
    await world.remove()
    assert world.of(RemovalDone)
    assert ("log-agent" in [name for name, _ in world.nodes.evictions]) is evicted


async def test_a_daemon_pod_that_cannot_be_evicted_stops_nothing() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"), pod("log-agent", kind="DaemonSet"))
    world.apply(removals=(world.removal(),))
    await world.until(lambda: world.of(PodEvicted))
    world.nodes.fail("evict", blocked_by_budget(), times=1000)
    await world.quiet()
    assert world.of(RemovalDone)


async def test_a_failing_step_before_the_termination_is_undone() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.nodes.fail("pods_on", ApiError(status=403, reason="Forbidden", message="pods is forbidden"))
    await world.remove()
    [rolled_back] = world.of(RemovalRolledBack)
    assert rolled_back.reason is RollbackReason.FAILED
    assert "forbidden" in rolled_back.message
    assert as_before(world.object(), before)
