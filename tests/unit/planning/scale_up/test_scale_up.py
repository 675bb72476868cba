"""Scale-up: which groups are bought from, in which numbers, and why the others are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from springtide.api.settings import Mode, ScaleUpSettings
from springtide.cluster.groups import FailureClass, PoolProblem
from springtide.cluster.records import DaemonSetRecord, Taint, TaintEffect
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, Unmodelled
from springtide.cluster.snapshot import Backoff, GroupMemory, PoolView, Snapshot
from springtide.planning.plan import GroupRefusal, PendingOutcome, Plan, PurchaseReason
from springtide.planning.planner import plan
from springtide.scheduling.verdict import Plugin
from tests.unit.planning.world import (
    DAEMON_SET,
    GIB,
    LONG_AGO,
    NOW,
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
    template,
)


def bought(made: Plan) -> dict[str, int]:
    return {purchase.group: purchase.count for purchase in made.purchases}


def why_not(made: Plan, group_id: str = "asg-a") -> tuple[GroupRefusal | None, str]:
    """The refusal of a group for the pods that nothing helps."""
    verdict = next(v for v in made.pending if v.outcome is PendingOutcome.NO_GROUP)
    on_group = next(g for g in verdict.groups if g.group == group_id)
    return on_group.refusal, on_group.detail


# --- how many, and where ---------------------------------------------------------------------------------------


def test_one_pass_buys_from_as_many_groups_as_the_pods_need() -> None:
    gpu = shape(1000, GIB, extended={"nvidia.com/gpu": 1})
    made = plan(
        snapshot(
            pool("general", group("cpu")),
            pool("gpu", group("gpu", made_of=template(cpu=2000, extended={"nvidia.com/gpu": 2}))),
            waiting=[*pending(4, shape(3000)), *pending(4, gpu)],
        )
    )
    assert bought(made) == {"cpu": 4, "gpu": 2}
    assert sum(len(purchase.pods) for purchase in made.purchases) == 8


def test_daemon_pods_take_their_share_of_every_new_node() -> None:
    agent = DaemonSetRecord(workload=DAEMON_SET, shape=shape(1000, GIB, namespace="kube-system"))
    made = plan(snapshot(pool("general", group()), waiting=pending(8), daemon_sets=[agent]))
    assert bought(made) == {"asg-a": 3}


def test_groups_of_one_pool_even_out_their_targets() -> None:
    zones = [group("a", nodes=["a1", "a2"]), group("b"), group("c", max_size=1)]
    full = {name: running(4) for name in ("a1", "a2")}
    made = plan(
        snapshot(pool("general", *zones), nodes=[node("a1"), node("a2")], pods=full, waiting=pending(12))
    )
    assert bought(made) == {"b": 2, "c": 1}


def test_a_balanced_set_offers_the_room_of_all_its_groups() -> None:
    zones = [group(name, max_size=2) for name in "abc"]
    assert bought(plan(snapshot(pool("general", *zones), waiting=pending(24)))) == {"a": 2, "b": 2, "c": 2}


def test_groups_of_different_size_are_not_balanced_but_compete() -> None:
    made = plan(
        snapshot(
            pool("general", group("small"), group("large", made_of=template(cpu=16000, memory=64 * GIB))),
            waiting=pending(4, shape(1000, 4 * GIB)),
        )
    )
    assert bought(made) == {"small": 1}
    assert made.purchases[0].chosen_by == "least-waste 0.00 (of 2 options)"


def test_what_does_not_fit_the_best_group_goes_on_to_the_next() -> None:
    made = plan(
        snapshot(
            pool("general", group("small", max_size=1)),
            pool("spare", group("large", made_of=template(cpu=16000, memory=64 * GIB))),
            waiting=pending(8, shape(1000, 4 * GIB)),
        )
    )
    assert bought(made) == {"small": 1, "large": 1}


def test_startup_taints_do_not_keep_pods_from_being_planned() -> None:
    cilium = Taint("node.cilium.io/agent-not-ready", "true", TaintEffect.NO_EXECUTE)
    made_of = template(taints=(cilium,), startup_taints=(cilium,))
    assert bought(plan(snapshot(pool("general", group(made_of=made_of)), waiting=pending(1)))) == {"asg-a": 1}


# --- why not ---------------------------------------------------------------------------------------------------

BACKOFF = Backoff(
    until=NOW + timedelta(minutes=5),
    reason=FailureClass.OUT_OF_CAPACITY,
    failures=1,
    last_failure=ago(minutes=1),
)
BROKEN = PoolProblem(reason="GroupNotFound", field="spec", message="asg-b does not exist")


@pytest.mark.parametrize(
    ("made_pool", "fields", "refusal", "detail"),
    [
        pytest.param(
            pool("p", group(max_size=0)), {}, GroupRefusal.MAX_REACHED, "max 0", id="the group is full"
        ),
        pytest.param(
            pool("p", group(), max_size=0), {}, GroupRefusal.MAX_REACHED, "max 0 of pool p", id="its pool is"
        ),
        pytest.param(
            pool("p", group(), memory={"asg-a": GroupMemory(backoff=BACKOFF)}),
            {},
            GroupRefusal.BACKOFF,
            "until 12:05:00 UTC: OutOfCapacity",
            id="it backs off",
        ),
        pytest.param(
            pool("p", group(), mode=Mode.DRY_RUN), {}, GroupRefusal.DRY_RUN, "mode DryRun", id="dry"
        ),
        pytest.param(
            pool("p", group(), problems=(BROKEN,)), {}, GroupRefusal.LEFT_ALONE, BROKEN.message, id="broken"
        ),
        pytest.param(
            pool("p", group()),
            {"cluster_autoscaler": "ca-0"},
            GroupRefusal.FORBIDDEN,
            "Cluster Autoscaler is active (ca-0)",
            id="Cluster Autoscaler is there",
        ),
        pytest.param(
            pool("p", group()),
            {"purchases_forbidden": "the picture is 5m old"},
            GroupRefusal.FORBIDDEN,
            "the picture is 5m old",
            id="too old a picture",
        ),
        pytest.param(
            pool("p", group(made_of=None)),
            {},
            GroupRefusal.NO_TEMPLATE,
            "it is unknown what its nodes look like: set spec.template",
            id="no template",
        ),
        pytest.param(
            pool("p", group(), up=ScaleUpSettings(from_zero=False)),
            {},
            GroupRefusal.FROM_ZERO_OFF,
            "it has no node, and scaleUp.fromZero is false",
            id="from zero is off",
        ),
        pytest.param(
            pool("p", group()),
            {"policies": [policy(limits={"max": {"nodes": 0}})]},
            GroupRefusal.LIMIT,
            "limit nodes 0 of policy default",
            id="a policy limit",
        ),
        pytest.param(
            pool("p", group()),
            {"policies": [policy(limits={"max": {"cpu": "3"}})]},
            GroupRefusal.LIMIT,
            "limit cpu 3 of policy default",
            id="a limit that a whole node exceeds",
        ),
        pytest.param(
            pool("p", group(made_of=template(price=None))),
            {"policies": [policy(limits={"max": {"hourlyCost": "10"}})]},
            GroupRefusal.LIMIT,
            "limit hourlyCost 10 of policy default: the price is unknown, set spec.hourlyPrice",
            id="a cost limit without a price",
        ),
    ],
)
def test_a_group_that_must_not_be_bought_from_says_why(
    made_pool: PoolView, fields: dict[str, object], refusal: GroupRefusal, detail: str
) -> None:
    made = plan(snapshot(made_pool, waiting=pending(1), **fields))  # type: ignore[arg-type]
    assert made.purchases == ()
    assert why_not(made) == (refusal, detail)


def test_a_paused_pool_says_so_and_the_pods_stay() -> None:
    made = plan(snapshot(pool("p", group(), mode=Mode.PAUSED, min_size=2), waiting=pending(1)))
    assert (bought(made), why_not(made)[0]) == ({}, GroupRefusal.PAUSED)


def test_a_pod_that_fits_no_template_is_told_what_is_missing() -> None:
    made = plan(snapshot(pool("p", group()), waiting=pending(1, shape(6000))))
    misfit = made.pending[0].groups[0].misfit
    assert made.purchases == ()
    assert misfit is not None
    assert (misfit.plugin, misfit.subject, misfit.requested, misfit.free) == (
        Plugin.NODE_RESOURCES_FIT,
        "cpu",
        6000,
        4000,
    )


def test_a_pod_with_constraints_that_are_not_modelled_never_causes_a_purchase() -> None:
    odd = shape(100, GIB, unmodelled=(Unmodelled.RESOURCE_CLAIMS,))
    made = plan(snapshot(pool("p", group()), waiting=pending(1, odd)))
    assert made.purchases == ()
    assert made.pending[0].groups[0].misfit is not None
    assert made.pending[0].groups[0].misfit.plugin is Plugin.NOT_MODELLED


def test_limits_are_counted_over_the_whole_plan() -> None:
    made = plan(
        snapshot(
            pool("one", group("a", max_size=2)),
            pool("two", group("b")),
            waiting=pending(40),
            policies=[policy(limits={"max": {"nodes": 5}})],
        )
    )
    assert sum(bought(made).values()) == 5


def test_a_pass_buys_no_more_than_it_may_for_a_pool() -> None:
    made = plan(snapshot(pool("p", group(), up=ScaleUpSettings(max_nodes_per_pass=2)), waiting=pending(40)))
    assert bought(made) == {"asg-a": 2}
    assert why_not(made) == (GroupRefusal.LIMIT, "2 nodes in one pass; the rest follows in the next")


# --- minimum sizes ---------------------------------------------------------------------------------------------


def test_a_pool_below_its_minimum_is_filled_up_evenly() -> None:
    made = plan(snapshot(pool("p", group("a"), group("b"), min_size=3)))
    assert bought(made) == {"a": 2, "b": 1}
    assert {purchase.reason for purchase in made.purchases} == {PurchaseReason.BELOW_MINIMUM}


def test_pending_pods_use_the_nodes_bought_for_the_minimum() -> None:
    made = plan(snapshot(pool("p", group(), min_size=2), waiting=pending(8)))
    assert bought(made) == {"asg-a": 2}
    assert [verdict.outcome for verdict in made.pending] == [PendingOutcome.FITS_UPCOMING]


def test_a_minimum_above_the_maximum_is_cut_off() -> None:
    made = plan(snapshot(pool("p", group(max_size=2), min_size=5)))
    assert bought(made) == {"asg-a": 2}


# --- several policies, DryRun ----------------------------------------------------------------------------------


def two_policies() -> Snapshot:
    return snapshot(
        pool("new", group("new"), policy="new"),
        pool("old", group("old", max_size=1), policy="old"),
        waiting=pending(8),
        policies=[policy("new"), policy("old", created_at=LONG_AGO - timedelta(days=1))],
    )


def test_the_oldest_policy_serves_first_and_the_next_what_it_cannot() -> None:
    assert [(p.group, p.count) for p in plan(two_policies()).purchases] == [("old", 1), ("new", 1)]


def test_a_dry_run_pool_says_what_it_would_buy_and_takes_nothing_away() -> None:
    made = plan(
        snapshot(
            pool("active", group("active", max_size=1)),
            pool("dry", group("dry"), mode=Mode.DRY_RUN),
            waiting=pending(8),
        )
    )
    assert bought(made) == {"active": 1}
    assert [(p.group, p.count) for p in made.dry_run_purchases] == [("dry", 1)]
    assert sum(len(v.pods) for v in made.pending if v.outcome is PendingOutcome.NO_GROUP) == 4


# --- pods that need no node ------------------------------------------------------------------------------------


def test_a_nominated_pod_counts_where_the_scheduler_makes_room_for_it() -> None:
    preemptor = pod(shape(3500, priority=100), nominated_node_name="n1", unschedulable_since=ago(seconds=1))
    world = snapshot(
        pool("p", group(nodes=["n1"])), nodes=[node("n1")], pods={"n1": running(4)}, waiting=[preemptor]
    )
    assert plan(world).purchases == ()
    elsewhere = replace(preemptor, nominated_node_name="gone")
    assert bought(plan(replace(world, picture=replace(world.picture, pending_pods=(elsewhere,))))) == {
        "asg-a": 1
    }


# --- templates that promise too much ---------------------------------------------------------------------------


def test_a_template_that_promises_more_than_real_nodes_have_is_not_believed_twice() -> None:
    """The first node teaches: what does not fit it is bought for no more."""
    promising = group(nodes=["real"], made_of=template(cpu=8000))
    made = plan(snapshot(pool("p", promising), nodes=[node("real")], waiting=pending(1, shape(cpu=6000))))
    assert bought(made) == {}
    (verdict,) = made.pending
    assert verdict.outcome is PendingOutcome.NO_GROUP
    assert verdict.groups[0].misfit is not None
    assert (verdict.groups[0].misfit.requested, verdict.groups[0].misfit.free) == (6000, 4000)


def test_a_device_that_no_node_shows_yet_is_still_believed() -> None:
    gpu = {"nvidia.com/gpu": 1}
    own = group(nodes=["starting"], made_of=template(extended=gpu))
    made = plan(snapshot(pool("p", own), nodes=[node("starting")], waiting=pending(1, shape(extended=gpu))))
    assert bought(made) == {"asg-a": 1}


# --- rules between pods ----------------------------------------------------------------------------------------


def test_pods_of_an_unready_node_still_keep_others_out_of_their_zone() -> None:
    """The scheduler counts them as long as they are bound."""
    app = LabelSelector((LabelRequirement("app", SelectorOperator.IN, ("db",)),))
    alone = replace(
        shape(labels={"app": "db"}),
        pod_anti_affinity=(PodAffinityTerm("zone", app, ("default",)),),
    )
    zone = {"zone": "a"}

    def world(ready: bool) -> Snapshot:
        return snapshot(
            pool("p", group(nodes=["n1", "n2"])),
            nodes=[node("n1", labels=zone), node("n2", labels=zone, ready=ready)],
            pods={"n2": running(1, alone)},
            waiting=pending(1, alone),
        )

    for ready in (True, False):
        (verdict,) = plan(world(ready)).pending
        assert verdict.outcome is not PendingOutcome.FITS_EXISTING
