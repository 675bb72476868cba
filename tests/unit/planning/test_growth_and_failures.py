"""What is on its way, what has failed, and what never came: readiness, upcoming nodes, failures, unregistered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from springtide.api.settings import HealthSettings
from springtide.cluster.groups import (
    FailureClass,
    Instance,
    InstanceState,
    LaunchFailure,
    NodeGroup,
)
from springtide.cluster.records import NodeRecord, Taint, TaintEffect
from springtide.cluster.snapshot import Backoff, GroupMemory, OutstandingPurchase, PoolView, Snapshot
from springtide.planning.groups.readiness import NodeState, healthy, node_state
from springtide.planning.groups.upcoming import remembered
from springtide.planning.plan import GroupPlan, NodeCounts, PendingOutcome, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    GIB,
    NOW,
    ago,
    group,
    instance_of,
    node,
    pending,
    policy,
    pool,
    running,
    shape,
    snapshot,
    template,
)


def purchase(
    *, since: datetime, before: int = 0, to: int = 1, plan_id: str = "plan-0"
) -> OutstandingPurchase:
    return OutstandingPurchase(
        since=since, from_target=before, to_target=to, plan_id=plan_id, registered=before
    )


def grown(
    own: NodeGroup, outstanding: OutstandingPurchase | None, *others: NodeGroup, matched: bool = True
) -> PoolView:
    memory = {own.id: GroupMemory(purchase=outstanding, ever_matched=matched)}
    return pool("p", own, *others, memory=memory)


def building(name: str = "new") -> Instance:
    return instance_of(name, state=InstanceState.PENDING)


def of_group(made: Plan, name: str = "asg-a") -> GroupPlan:
    return next(each for each in made.pools["p"].groups if each.group == name)


def bought(made: Plan) -> dict[str, int]:
    return {each.group: each.count for each in made.purchases}


# --- readiness -------------------------------------------------------------------------------------------------

STARTUP = Taint("startup-taint.cluster-autoscaler.kubernetes.io/cni", "", TaintEffect.NO_SCHEDULE)
GPU = template(extended={"nvidia.com/gpu": 4})


@pytest.mark.parametrize(
    ("given", "state"),
    [
        pytest.param(node("n"), NodeState.READY, id="ready"),
        pytest.param(
            node("n", ready=False, ready_changed_at=ago(minutes=3)), NodeState.UNREADY, id="was ready, is not"
        ),
        pytest.param(
            node("n", ready=False, created_at=ago(minutes=5), ready_changed_at=ago(minutes=5)),
            NodeState.NOT_STARTED,
            id="young, never ready",
        ),
        pytest.param(
            node("n", ready=False, created_at=ago(minutes=5), ready_changed_at=ago(minutes=1)),
            NodeState.UNREADY,
            id="young, but was ready",
        ),
        pytest.param(
            node("n", ready=False, created_at=ago(minutes=16), ready_changed_at=None),
            NodeState.LONG_NOT_STARTED,
            id="old, never ready",
        ),
        pytest.param(
            node("n", created_at=ago(minutes=5), taints=(STARTUP,)), NodeState.NOT_STARTED, id="startup taint"
        ),
        pytest.param(
            node("n", taints=(STARTUP,)), NodeState.LONG_NOT_STARTED, id="startup taint for too long"
        ),
    ],
)
def test_node_states(given: NodeRecord, state: NodeState) -> None:
    found = node_state(given, template=template(), now=NOW, startup_time=timedelta(minutes=15))
    assert found is state


def test_a_young_node_without_its_devices_is_still_starting() -> None:
    young = node("n", created_at=ago(minutes=1))
    assert (
        node_state(young, template=GPU, now=NOW, startup_time=timedelta(minutes=15)) is NodeState.NOT_STARTED
    )
    old = node("n")
    assert node_state(old, template=GPU, now=NOW, startup_time=timedelta(minutes=15)) is NodeState.READY


def test_pods_wait_for_devices_of_a_starting_node_instead_of_buying_a_second() -> None:
    gpu_pod = shape(1000, GIB, extended={"nvidia.com/gpu": 4})
    made = plan(
        snapshot(
            pool("p", group(nodes=["g1"], made_of=GPU)),
            nodes=[node("g1", created_at=ago(minutes=1))],
            waiting=pending(1, gpu_pod),
        )
    )
    assert bought(made) == {}
    assert made.pending[0].outcome is PendingOutcome.FITS_UPCOMING


@pytest.mark.parametrize(
    ("unready", "of", "expected"),
    [(3, 3, True), (4, 8, False), (4, 9, True), (9, 20, True), (10, 20, False)],
)
def test_health_needs_both_the_number_and_the_share_to_be_exceeded(
    unready: int, of: int, expected: bool
) -> None:
    assert healthy(unready, of=of, settings=HealthSettings()) is expected


def test_instances_and_nodes_are_counted_into_buckets() -> None:
    own = group(nodes=["a", "b"], instances=[building("c"), building("d")], target=5)
    made = plan(
        snapshot(
            grown(own, purchase(since=ago(minutes=1), before=2, to=5)),
            nodes=[node("a"), node("b", ready=False, ready_changed_at=ago(minutes=3)), node("stranger")],
        )
    )
    assert of_group(made).counts == NodeCounts(ready=1, unready=1, registered=2, unregistered=2)
    assert (of_group(made).unfulfilled, of_group(made).upcoming) == (1, 3)


# --- upcoming --------------------------------------------------------------------------------------------------


def waiting_for(pool_view: PoolView, *, nodes: list[NodeRecord] | None = None) -> Plan:
    return plan(snapshot(pool_view, nodes=nodes or [], waiting=pending(4)))


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(group(target=1), id="asked for"),
        pytest.param(group(instances=[building()]), id="being built"),
        pytest.param(group(instances=[instance_of("new")]), id="running, not registered"),
    ],
)
def test_what_was_bought_is_waited_for(own: NodeGroup) -> None:
    made = waiting_for(grown(own, purchase(since=ago(minutes=1))))
    assert bought(made) == {}
    assert of_group(made).outstanding == purchase(since=ago(minutes=1))
    assert made.wake_at == NOW + timedelta(minutes=14)


def test_a_read_older_than_the_purchase_does_not_make_it_forgotten() -> None:
    stale = group(target=0, read_at=ago(seconds=20))
    assert bought(waiting_for(grown(stale, purchase(since=ago(seconds=10))))) == {}


def test_growth_that_nobody_remembers_is_waited_for_from_now_on() -> None:
    made = waiting_for(pool("p", group(target=1)))
    assert bought(made) == {}
    assert of_group(made).outstanding == purchase(since=NOW, plan_id="")


def test_an_instance_that_lost_its_node_is_not_waited_for() -> None:
    own = group(nodes=["a"], instances=[instance_of("zombie")])
    made = plan(snapshot(pool("p", own), nodes=[node("a")], pods={"a": running(4)}, waiting=pending(4)))
    assert bought(made) == {"asg-a": 1}


def test_nor_does_it_pass_for_the_node_that_has_come() -> None:
    own = group(nodes=["old", "new"], instances=[instance_of("zombie")])
    nodes = [node("old"), node("new", created_at=ago(seconds=30))]
    # Of the two instances there were, only one was a Node.
    bought = replace(purchase(since=ago(minutes=1), before=2, to=3), registered=1)
    made = plan(snapshot(grown(own, bought), nodes=nodes))
    assert of_group(made).purchase_done
    assert of_group(made).outstanding is None


def test_a_new_purchase_goes_on_waiting_for_what_the_earlier_one_lacks() -> None:
    merged = remembered(since=NOW, before=3, to=5, plan_id="plan-1", missing_before=2, registered=1)
    assert merged == purchase(since=NOW, before=1, to=5, plan_id="plan-1")


@pytest.mark.parametrize(
    ("missing_before", "whose"),
    [
        pytest.param(2, "", id="nobody can tell its instances from the others"),
        pytest.param(0, "plan-1", id="nothing of the others is waited for"),
    ],
)
def test_a_purchase_on_top_of_growth_that_was_not_ours(missing_before: int, whose: str) -> None:
    """Else instances that others brought would be given back as ours that never registered."""
    theirs = replace(purchase(since=ago(minutes=1), before=1, to=3), plan_id="")
    merged = remembered(
        since=NOW,
        before=3,
        to=5,
        plan_id="plan-1",
        missing_before=missing_before,
        registered=1,
        earlier=theirs,
    )
    assert merged.plan_id == whose


def test_a_purchase_on_top_of_another_is_done_when_the_target_is_reached() -> None:
    """The record then keeps the older starting point, and the nodes of both have come."""
    names = ["first", "second", "third"]
    nodes = [
        node("first", created_at=ago(minutes=9)),
        *(node(each, created_at=ago(seconds=9)) for each in names[1:]),
    ]
    merged = purchase(since=ago(minutes=1), before=0, to=3)
    made = plan(snapshot(grown(group(nodes=names), merged), nodes=nodes))
    assert of_group(made).purchase_done


def test_a_cancelled_purchase_is_forgotten_but_not_finished() -> None:
    made = plan(
        snapshot(grown(group(nodes=["a"]), purchase(since=ago(minutes=1), before=1, to=3)), nodes=[node("a")])
    )
    assert (of_group(made).outstanding, of_group(made).purchase_done) == (None, False)


# --- failures --------------------------------------------------------------------------------------------------

NO_CAPACITY = LaunchFailure("activity-1", ago(seconds=20), FailureClass.OUT_OF_CAPACITY, "no m5 in a")


def test_the_pass_that_sees_a_failure_cancels_backs_off_and_buys_elsewhere() -> None:
    failed = group("asg-a", target=2, failures=[NO_CAPACITY])
    view = grown(failed, purchase(since=ago(minutes=1), to=2), group("asg-b"))
    made = plan(snapshot(view, waiting=pending(8)))
    assert [(c.group, c.from_target, c.to_target, c.failure) for c in made.cancellations] == [
        ("asg-a", 2, 0, FailureClass.OUT_OF_CAPACITY)
    ]
    assert bought(made) == {"asg-b": 2}
    after = of_group(made)
    assert after.backoff == Backoff(
        until=NOW + timedelta(minutes=5),
        reason=FailureClass.OUT_OF_CAPACITY,
        failures=1,
        last_failure=NOW,
        message="no m5 in a",
    )
    assert (after.failures_seen_until, after.target) == (NO_CAPACITY.time, 0)
    assert made.pools["p"].findings[0].reason == "GroupsBackingOff"


def test_what_did_come_of_a_failed_purchase_is_still_waited_for() -> None:
    failed = group("asg-a", target=2, instances=[building()], failures=[NO_CAPACITY])
    view = grown(failed, purchase(since=ago(minutes=1), to=2), group("asg-b"))
    made = plan(snapshot(view, waiting=pending(8)))
    assert (made.cancellations[0].to_target, bought(made)) == (1, {"asg-b": 1})


@pytest.mark.parametrize(
    ("failure_time", "seen_until", "target"),
    [
        pytest.param(ago(seconds=20), ago(seconds=20), 2, id="acted on already"),
        pytest.param(ago(minutes=3), None, 2, id="older than the purchase"),
        pytest.param(ago(seconds=20), None, 0, id="everything came after all"),
    ],
)
def test_a_failure_that_is_no_news_changes_nothing(
    failure_time: datetime, seen_until: datetime | None, target: int
) -> None:
    own = group(target=target, failures=[replace(NO_CAPACITY, time=failure_time)])
    memory = GroupMemory(purchase=purchase(since=ago(minutes=1), to=2), failures_seen_until=seen_until)
    made = plan(snapshot(pool("p", own, memory={"asg-a": memory})))
    assert made.cancellations == ()
    assert of_group(made).backoff is None


def test_the_minimum_of_a_group_is_not_cancelled() -> None:
    own = group(target=3, min_size=1, failures=[NO_CAPACITY])
    made = plan(snapshot(grown(own, purchase(since=ago(minutes=1), to=3))))
    assert made.cancellations[0].to_target == 1


def test_a_purchase_that_takes_too_long_has_failed_once() -> None:
    own, late = group(target=1), purchase(since=ago(minutes=15))
    first = plan(snapshot(grown(own, late, group("asg-b")), waiting=pending(4)))
    assert first.cancellations[0].failure is FailureClass.TIMEOUT
    assert bought(first) == {"asg-b": 1}
    memory = GroupMemory(purchase=late, backoff=of_group(first).backoff)
    later = snapshot(pool("p", own, memory={"asg-a": memory}), now=NOW + timedelta(seconds=10))
    assert of_group(plan(later)).failure_message == ""


# --- unregistered instances ------------------------------------------------------------------------------------


def overdue_world(
    count: int = 1, *, matched: bool = True, plan_id: str = "plan-0", **fields: object
) -> Snapshot:
    """One node that is there, and `count` bought a quarter of an hour ago that never came."""
    own = group(
        nodes=["a"], instances=[instance_of(f"lost-{number}") for number in range(count)], max_size=50
    )
    late = purchase(since=ago(minutes=15), before=1, to=1 + count, plan_id=plan_id)
    return snapshot(grown(own, late, matched=matched), nodes=[node("a")], **fields)  # type: ignore[arg-type]


def test_an_instance_that_never_became_a_node_is_terminated() -> None:
    made = plan(overdue_world())
    assert [each.instances for each in made.unregistered] == [("i-lost-0",)]
    assert of_group(made).counts.long_unregistered == 1


def test_only_a_few_at_a_time() -> None:
    assert [len(each.instances) for each in plan(overdue_world(29)).unregistered] == [3]


def test_one_that_was_a_node_for_a_while_is_no_such_instance() -> None:
    """Two were bought; one of them came, and somebody deleted its Node: its pods may run on."""
    world = overdue_world(2)
    [pool_view] = world.pools
    [own] = pool_view.groups
    came = replace(own, instances=tuple(replace(i, lost_node=i.id == "i-lost-0") for i in own.instances))
    made = plan(replace(world, pools=(replace(pool_view, groups=(came,)),)))
    assert [each.instances for each in made.unregistered] == [("i-lost-1",)]


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(overdue_world(plan_id=""), id="not our purchase"),
        pytest.param(overdue_world(cluster_autoscaler="ca-0"), id="Cluster Autoscaler is there"),
        pytest.param(
            replace(overdue_world(), pools=tuple(replace(p, memory={}) for p in overdue_world().pools)),
            id="nothing remembered",
        ),
    ],
)
def test_what_is_not_ours_for_certain_is_left_alone(world: Snapshot) -> None:
    assert plan(world).unregistered == ()


def ready_reasons(made: Plan) -> list[str]:
    return [each.reason for each in made.pools["p"].findings if each.condition == "Ready"]


def test_a_group_of_which_no_instance_ever_became_a_node_is_reported_instead() -> None:
    own = group(instances=[instance_of("lost")])
    made = plan(snapshot(grown(own, purchase(since=ago(minutes=15)), matched=False)))
    assert (made.unregistered, ready_reasons(made)) == ((), ["NodesUnmatched"])


def test_nodes_that_lost_their_provider_ids_cost_no_instance() -> None:
    world = snapshot(
        pool("p", group(nodes=["a", "b"])), nodes=[node("a", provider_id=""), node("b", provider_id="")]
    )
    made = plan(world)
    assert (made.unregistered, made.removals, ready_reasons(made)) == ((), (), ["NoProviderIDs"])


def test_nor_do_nodes_whose_objects_were_deleted() -> None:
    made = plan(snapshot(pool("p", group(nodes=["a", "b"]))))
    assert (made.unregistered, made.cancellations, ready_reasons(made)) == ((), (), ["NodesUnmatched"])


def test_a_policy_too_sick_to_act_cancels_nothing() -> None:
    sick = [node(f"n{number}", ready=False, ready_changed_at=ago(hours=1)) for number in range(5)]
    view = grown(group(target=1), purchase(since=ago(minutes=15)))
    assert plan(snapshot(view, nodes=sick, policies=[policy()])).cancellations == ()
