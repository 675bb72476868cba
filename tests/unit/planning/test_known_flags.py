"""Settings that Cluster Autoscaler's users know as flags decide as they do there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from springtide.api.budgets import RemovalReason
from springtide.api.policy import Limits
from springtide.api.settings import HealthSettings, ScaleDownSettings, ScaleUpSettings
from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import BlockReason, GroupRefusal, NodeVerdict, PendingOutcome
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    GIB,
    ago,
    group,
    node,
    pending,
    pod,
    policy,
    pool,
    running,
    shape,
    snapshot,
)

AT_ONCE = ScaleDownSettings(unneeded_time=timedelta(0), unready_time=timedelta(0))

# --- allowed-scheduler-names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "bought"),
    [((), 1), (("default-scheduler",), 0), (("default-scheduler", "batch"), 1)],
)
def test_pods_of_other_schedulers_than_the_allowed_ask_for_nothing(
    allowed: tuple[str, ...], bought: int
) -> None:
    settings = ScaleUpSettings(allowed_schedulers=allowed, bypassed_schedulers=("batch",))
    waiting = pending(1, scheduler_name="batch")
    made = plan(snapshot(pool("general", group(), up=settings), waiting=waiting))
    assert len(made.purchases) == bought
    if not bought:
        assert made.pending[0].outcome is PendingOutcome.IGNORED
        assert made.pending[0].detail == "scheduler batch is not among scaleUp.allowedSchedulers"


# --- ignore-mirror-pods-utilization -----------------------------------------------------------------------------


@pytest.mark.parametrize(("ignored", "busy"), [(False, True), (True, False)])
def test_mirror_pods_count_unless_they_are_ignored(ignored: bool, busy: bool) -> None:
    settings = replace(AT_ONCE, ignore_mirror_pods_utilization=ignored)
    view = pool("general", group(nodes=["n1"]), down=settings)
    static = pod(shape(3000), owner=None, annotations={"kubernetes.io/config.mirror": "x"})
    made = plan(snapshot(view, nodes=[node("n1")], pods={"n1": [static]}))
    assert (made.nodes["n1"].block is BlockReason.NOT_UNDERUTILIZED) == busy
    assert len(made.removals) == (not busy)


# --- scale-down-unready-enabled ---------------------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [True, False])
def test_unready_nodes_go_unless_their_removal_is_disabled(enabled: bool) -> None:
    view = pool("general", group(nodes=["n1"]), down=replace(AT_ONCE, unready_enabled=enabled))
    broken = node("n1", ready=False, ready_changed_at=ago(hours=1))
    made = plan(snapshot(view, nodes=[broken]))
    if enabled:
        assert [removal.reason for removal in made.removals] == [RemovalReason.UNREADY]
    else:
        assert made.removals == ()
        assert made.nodes["n1"].block is BlockReason.SCALE_DOWN_UNREADY_DISABLED


# --- ok-total-unready-count, max-total-unready-percentage: of each group ----------------------------------------


def sick(unready: int, of: int, *, healthy_elsewhere: int = 20) -> Snapshot:
    names = [f"n{number}" for number in range(of)]
    others = [f"m{number}" for number in range(healthy_elsewhere)]
    nodes = [
        node(name, ready=number >= unready, ready_changed_at=ago(hours=1))
        for number, name in enumerate(names)
    ]
    full = {name: running(4) for name in (*names, *others)}
    return snapshot(
        pool("sick", group("sick", nodes=names, max_size=50)),
        pool("well", group("well", nodes=others, max_size=50), max_size=20),
        nodes=[*nodes, *(node(name) for name in others)],
        pods=full,
        waiting=pending(1),
        policies=[policy(health=HealthSettings())],
    )


@pytest.mark.parametrize(
    ("unready", "of", "grows"),
    [
        pytest.param(3, 3, True, id="three are always fine"),
        pytest.param(4, 9, True, id="four of nine are 44 %"),
        pytest.param(4, 8, False, id="four of eight are too many"),
    ],
)
def test_a_group_with_too_many_unready_nodes_is_not_bought_from(unready: int, of: int, grows: bool) -> None:
    made = plan(sick(unready, of))
    assert len(made.purchases) == grows
    if not grows:
        (verdict,) = [each for each in made.pending if each.outcome is PendingOutcome.NO_GROUP]
        refusals = {each.group: each.refusal for each in verdict.groups}
        assert refusals == {"sick": GroupRefusal.NOT_HEALTHY, "well": GroupRefusal.MAX_REACHED}


# --- scale-down-unneeded-time, scale-down-delay-after-…: of each pool -------------------------------------------


def kept(settings: ScaleDownSettings, **facts: object) -> NodeVerdict:
    slow = pool("slow", group("slow", nodes=["s1"]), down=settings, **facts)
    fast = pool("fast", group("fast", nodes=["f1"]), down=AT_ONCE)
    made = plan(snapshot(slow, fast, nodes=[node("s1"), node("f1")], unneeded_since={"s1": ago(minutes=5)}))
    assert [removal.node for removal in made.removals] == ["f1"]
    return made.nodes["s1"]


@pytest.mark.parametrize(
    ("settings", "facts", "block"),
    [
        (ScaleDownSettings(), {}, BlockReason.NOT_UNNEEDED_LONG_ENOUGH),
        (AT_ONCE, {"last_scale_up": ago(minutes=9)}, BlockReason.COOL_DOWN),
        (AT_ONCE, {"last_scale_down_failure": ago(minutes=2)}, BlockReason.COOL_DOWN),
        (
            replace(AT_ONCE, delay_after_delete=timedelta(minutes=1)),
            {"last_scale_down": ago(seconds=30)},
            BlockReason.COOL_DOWN,
        ),
    ],
)
def test_timers_and_delays_hold_their_own_pool_only(
    settings: ScaleDownSettings, facts: dict[str, object], block: BlockReason
) -> None:
    assert kept(settings, **facts).block is block


# --- cores-total and the like: their lower ends -----------------------------------------------------------------


def test_the_lower_end_of_a_limit_keeps_nodes() -> None:
    view = pool("general", group(nodes=["n1", "n2"]), down=AT_ONCE)
    spec = policy(limits=Limits(min={"cpu": "4"}, max={"cpu": "100"}))
    made = plan(snapshot(view, nodes=[node("n1"), node("n2")], policies=[spec]))
    assert len(made.removals) == 1
    assert [each.block for each in made.nodes.values() if not each.removable] == [
        BlockReason.MINIMAL_LIMIT_EXCEEDED
    ]


# --- priorities of pods -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("priority", "bought"), [(-10, 1), (-11, 0)])
def test_overprovisioning_pods_at_the_cutoff_still_buy(priority: int, bought: int) -> None:
    waiting = pending(1, shape(1000, GIB, priority=priority))
    assert len(plan(snapshot(pool("general", group()), waiting=waiting)).purchases) == bought
