"""Scale-down: which nodes go, in whose company, and what keeps each of the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from springtide.api.budgets import RemovalReason
from springtide.api.settings import Mode, ScaleDownSettings
from springtide.cluster.records import DisruptionBudget, NodeRecord, PodRecord, Taint, TaintEffect
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import Unmodelled
from springtide.cluster.snapshot import PoolView, RemovalInFlight, Snapshot
from springtide.planning.plan import BlockReason, Plan, PodBlock
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    DAEMON_SET,
    GIB,
    NOW,
    REPLICA_SET,
    ago,
    group,
    node,
    pending,
    policy,
    pool,
    resources,
    running,
    shape,
    snapshot,
)

SMALL = shape(500, GIB)
SOFT = Taint("DeletionCandidateOfClusterAutoscaler", "1", TaintEffect.PREFER_NO_SCHEDULE)
HARD = Taint("ToBeDeletedByClusterAutoscaler", "1", TaintEffect.NO_SCHEDULE)


def world(
    pods: dict[str, list[PodRecord]] | None = None,
    *,
    nodes: list[NodeRecord] | None = None,
    made_pool: PoolView | None = None,
    hours_unneeded: float = 1,
    **fields: object,
) -> Snapshot:
    """One pool with nodes a and b (or those given), unneeded for an hour if they are."""
    there = nodes if nodes is not None else [node("a"), node("b")]
    names = [each.name for each in there]
    return snapshot(
        made_pool or pool("p", group(nodes=names)),
        nodes=there,
        pods=pods or {},
        **{"unneeded_since": {name: ago(hours=hours_unneeded) for name in names}, **fields},  # type: ignore[arg-type]
    )


def removed(made: Plan) -> list[str]:
    return sorted(removal.node for removal in made.removals)


def block(made: Plan, name: str = "a") -> BlockReason | None:
    return made.nodes[name].block


BUSY = running(3)
"""3 of 4 cpu: over the threshold."""


def test_an_idle_node_goes_and_its_pods_have_a_place() -> None:
    moving = running(1, SMALL)
    made = plan(world({"a": moving, "b": BUSY}))
    assert removed(made) == ["a"]
    assert made.removals[0].destinations == {moving[0].uid: "b"}
    assert made.removals[0].reason is RemovalReason.UNDERUTILIZED
    assert made.removals[0].instance == "i-a"
    assert block(made, "b") is BlockReason.NOT_UNDERUTILIZED
    assert made.nodes["b"].detail == "cpu utilization 0.75 > 0.50"


def test_a_node_with_only_daemon_pods_is_empty() -> None:
    made = plan(world({"a": running(1, SMALL, owner=DAEMON_SET), "b": BUSY}))
    assert made.removals[0].reason is RemovalReason.EMPTY
    assert len(made.removals[0].daemon_pods) == 1


def test_two_half_empty_nodes_are_not_both_removed() -> None:
    made = plan(world({"a": running(2, SMALL), "b": running(2, SMALL)}))
    assert len(removed(made)) == 1


def test_a_set_of_removals_is_feasible_together() -> None:
    """Each of three nodes' pods would fit the fourth, but not those of all three."""
    nodes = [node(name) for name in "abcd"]
    pods = {"a": running(1, shape(900)), "b": running(1, shape(900)), "c": running(1, shape(900)), "d": BUSY}
    made = plan(world(pods, nodes=nodes))
    assert len(removed(made)) == 2


def test_zones_give_back_in_turn() -> None:
    names = [f"{zone}{number}" for zone in "ab" for number in range(4)]
    zones = [group(zone, nodes=[name for name in names if name[0] == zone]) for zone in "ab"]
    limited = pool("p", *zones, min_size=4)
    made = plan(world(nodes=[node(name) for name in names], made_pool=limited))
    assert [name[0] for name in removed(made)] == ["a", "a", "b", "b"]


# --- what keeps a node -----------------------------------------------------------------------------------------

PROTECTED = {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}
NEVER = ScaleDownSettings(enabled=False)


@pytest.mark.parametrize(
    ("made_world", "reason", "detail"),
    [
        pytest.param(
            world(nodes=[node("a", annotations=PROTECTED), node("b")], pods={"b": BUSY}),
            BlockReason.SCALE_DOWN_DISABLED_ANNOTATION,
            "annotation cluster-autoscaler.kubernetes.io/scale-down-disabled=true",
            id="its annotation",
        ),
        pytest.param(
            world(nodes=[node("a", provider_id="other:///x"), node("b")], pods={"b": BUSY}),
            BlockReason.NOT_AUTOSCALED,
            "",
            id="no pool's",
        ),
        pytest.param(
            world(made_pool=pool("p", group(nodes=["a", "b"]), mode=Mode.PAUSED)),
            BlockReason.PAUSED,
            "",
            id="paused",
        ),
        pytest.param(
            world(made_pool=pool("p", group(nodes=["a", "b"]), down=NEVER)),
            BlockReason.SCALE_DOWN_DISABLED,
            "scaleDown.enabled is false",
            id="switched off",
        ),
        pytest.param(
            world({"b": BUSY}, hours_unneeded=0.05),
            BlockReason.NOT_UNNEEDED_LONG_ENOUGH,
            "since 11:57:00 UTC, for 10m",
            id="not for long enough",
        ),
        pytest.param(
            world({"b": BUSY}, made_pool=pool("p", group(nodes=["a", "b"], min_size=2))),
            BlockReason.MIN_SIZE_REACHED,
            "min 2 of group asg-a",
            id="the group's minimum",
        ),
        pytest.param(
            world({"b": BUSY}, made_pool=pool("p", group(nodes=["a", "b"]), min_size=2)),
            BlockReason.MIN_SIZE_REACHED,
            "min 2 of pool p",
            id="the pool's minimum",
        ),
        pytest.param(
            world({"b": BUSY}, policies=[policy(limits={"min": {"cpu": "5"}})]),
            BlockReason.MINIMAL_LIMIT_EXCEEDED,
            "limit min cpu 5 of policy default",
            id="the policy's minimum",
        ),
        pytest.param(
            world({"b": BUSY}, made_pool=pool("p", group(nodes=["a", "b"]), last_scale_up=ago(minutes=4))),
            BlockReason.COOL_DOWN,
            "delayAfterAdd 10m since 11:56:00 UTC",
            id="just grown",
        ),
        pytest.param(
            world({"b": BUSY}, cluster_autoscaler="ca-0"),
            BlockReason.FORBIDDEN,
            "Cluster Autoscaler is active (ca-0)",
            id="Cluster Autoscaler is there",
        ),
        pytest.param(
            world({"a": running(1, shape(1500)), "b": running(3)}),
            BlockReason.NO_PLACE_TO_MOVE_PODS,
            "needs 1.5 cpu, largest free 1",
            id="no place",
        ),
        pytest.param(
            world({"a": running(1, shape(10, unmodelled=(Unmodelled.RESOURCE_CLAIMS,))), "b": []}),
            BlockReason.NOT_MODELLED,
            "where it could go is not simulated: DynamicResources",
            id="constraints that are not modelled",
        ),
        pytest.param(
            world(nodes=[node("a", taints=(HARD,)), node("b")], pods={"b": BUSY}),
            BlockReason.CURRENTLY_BEING_DELETED,
            "",
            id="on its way out",
        ),
        pytest.param(
            world(
                nodes=[node("a", ready=False, created_at=ago(minutes=1), ready_changed_at=None), node("b")]
            ),
            BlockReason.NOT_STARTED,
            "",
            id="still starting",
        ),
    ],
)
def test_a_node_that_stays_says_why(made_world: Snapshot, reason: BlockReason, detail: str) -> None:
    made = plan(made_world)
    assert "a" not in removed(made)
    assert (block(made), made.nodes["a"].detail) == (reason, detail)


def test_a_pod_that_blocks_is_named() -> None:
    bare = running(1, SMALL, owner=None)
    verdict = plan(world({"a": bare, "b": BUSY})).nodes["a"]
    assert (verdict.block, verdict.pod, verdict.pod_block) == (
        BlockReason.BLOCKED_BY_POD,
        bare[0].key,
        PodBlock.NOT_REPLICATED,
    )


def test_expendable_pods_keep_no_node_and_need_no_place() -> None:
    filler = running(3, shape(1000, priority=-20), owner=None)
    made = plan(world({"a": filler, "b": BUSY}))
    assert removed(made) == ["a"]
    assert made.removals[0].pods_to_evict == tuple(filler)


def test_a_node_on_which_pending_pods_will_run_stays() -> None:
    made = plan(world({"b": running(4)}, waiting=pending(1)))
    assert (block(made), made.nodes["a"].detail) == (
        BlockReason.NOT_UNDERUTILIZED,
        "pending pods are about to run here",
    )


def test_a_pool_that_grows_in_this_plan_gives_nothing_back() -> None:
    made = plan(world({"a": [], "b": BUSY}, waiting=pending(2, shape(3500)), hours_unneeded=1))
    assert made.purchases
    assert removed(made) == []


def test_unready_nodes_wait_longer() -> None:
    def made(minutes: float) -> Plan:
        sick = node("a", ready=False, ready_changed_at=ago(hours=2))
        return plan(world({"b": BUSY}, nodes=[sick, node("b")], hours_unneeded=minutes / 60))

    assert block(made(15)) is BlockReason.NOT_UNREADY_LONG_ENOUGH
    assert made(20).removals[0].reason is RemovalReason.UNREADY


def test_so_many_unready_nodes_that_nothing_is_removed() -> None:
    nodes = [node(f"n{i}", ready=i >= 4, ready_changed_at=ago(hours=2)) for i in range(8)]
    made = plan(world(nodes=nodes, waiting=pending(1, shape(4000))))
    assert not made.cluster_healthy
    assert (removed(made), made.purchases) == ([], ())


# --- how many at once ------------------------------------------------------------------------------------------


def test_no_more_removals_than_may_be_under_way() -> None:
    names = [f"n{number}" for number in range(6)]
    down = ScaleDownSettings(max_parallel=3)
    in_flight = RemovalInFlight(node="n0", pool="p", group="asg-a", phase="Draining", since=ago(minutes=1))
    made = plan(
        world(
            nodes=[node(name) for name in names],
            made_pool=pool("p", group(nodes=names), down=down),
            removals=[in_flight],
        )
    )
    assert len(removed(made)) == 2
    assert BlockReason.PARALLELISM in {verdict.block for verdict in made.nodes.values()}


def test_removals_in_flight_count_against_the_minimum() -> None:
    in_flight = RemovalInFlight(node="a", pool="p", group="asg-a", phase="Draining", since=ago(minutes=1))
    made = plan(
        world(
            nodes=[node(name) for name in "abc"],
            made_pool=pool("p", group(nodes=list("abc"), min_size=2)),
            removals=[in_flight],
        )
    )
    assert removed(made) == []


def test_drains_at_the_same_time_fit_the_disruption_budget_together() -> None:
    web = shape(500, GIB, labels={"app": "web"})
    budget = DisruptionBudget("default", "web", LabelSelector(), disruptions_allowed=1)
    nodes = [node(name) for name in "abc"]
    made = plan(world({"a": running(1, web), "b": running(1, web), "c": BUSY}, nodes=nodes, budgets=[budget]))
    assert len(removed(made)) == 1
    kept = next(verdict for verdict in made.nodes.values() if verdict.pod_block)
    assert kept.pod_block is PodBlock.NOT_ENOUGH_PDB
    assert kept.detail == "PodDisruptionBudget default/web is used up by other removals"


def under(*apps: str, allowed: int = 1) -> list[DisruptionBudget]:
    """A budget for each of these apps."""

    def selecting(app: str) -> LabelSelector:
        return LabelSelector((LabelRequirement("app", SelectorOperator.IN, (app,)),))

    return [DisruptionBudget("default", app, selecting(app), disruptions_allowed=allowed) for app in apps]


def app_pods(*apps: str) -> list[PodRecord]:
    return [pod for app in apps for pod in running(1, shape(300, GIB, labels={"app": app}))]


@pytest.mark.parametrize(
    ("pods", "budgets", "go"),
    [
        pytest.param(
            {"a": ["x", "y"], "b": ["x"], "c": ["y"]}, under("x", "y"), ["b", "c"], id="two instead of one"
        ),
        pytest.param(
            {"a": ["x", "x", "x"], "b": ["x"], "c": ["x"]},
            under("x", allowed=2),
            ["b", "c"],
            id="one that needs much keeps none back",
        ),
        pytest.param(
            {"a": ["x"], "b": ["x"], "c": ["z"]},
            under("x"),
            ["a", "c"],
            id="one that is kept keeps none back",
        ),
        pytest.param(
            {"a": ["x", "x"], "b": ["y"], "c": ["x"]},
            under("x", "y", allowed=3),
            ["a", "b", "c"],
            id="budgets for all: all",
        ),
    ],
)
def test_as_many_drains_go_at_the_same_time_as_their_budgets_allow(
    pods: dict[str, list[str]], budgets: list[DisruptionBudget], go: list[str]
) -> None:
    large = resources(16_000, 64 * GIB)
    nodes = [*(node(name) for name in "abc"), node("d", capacity=large, allocatable=large)]
    there = {name: app_pods(*apps) for name, apps in pods.items()} | {"d": running(1, shape(9000, GIB))}
    # Fuller than the first, which so comes first but for its budgets.
    for name in "bc":
        there[name] += running(1, shape(700, GIB))
    made = plan(world(there, nodes=nodes, budgets=budgets))
    assert removed(made) == go


# --- soft taints -----------------------------------------------------------------------------------------------


def taints(made: Plan) -> list[tuple[str, bool]]:
    return [(change.node, change.present) for change in made.soft_taints]


def test_an_unneeded_node_is_marked_and_a_needed_one_unmarked() -> None:
    nodes = [node("a"), node("b", taints=(SOFT,)), node("c")]
    made = plan(world({"a": [], "b": BUSY, "c": BUSY}, nodes=nodes, unneeded_since={}))
    assert taints(made) == [("b", False), ("a", True)]
    assert made.soft_taints[1].since == NOW
    assert made.wake_at == NOW + timedelta(minutes=10)


def test_a_mark_that_is_trusted_is_left_as_it_is_and_one_that_is_not_is_written_anew() -> None:
    written = Taint(SOFT.key, str(int(ago(hours=0.1).timestamp())), SOFT.effect)
    marked = [node("a", taints=(written,)), node("b")]
    trusted = world({"b": BUSY}, nodes=marked, hours_unneeded=0.1)
    assert taints(plan(trusted)) == []
    assert taints(plan(replace(trusted, unneeded_since={}))) == [("a", True)]


def test_a_mark_that_was_written_before_the_clock_was_set_is_written_anew() -> None:
    two_hours_off = Taint(SOFT.key, str(int(ago(hours=2.1).timestamp())), SOFT.effect)
    seen = world({"b": BUSY}, nodes=[node("a", taints=(two_hours_off,)), node("b")], hours_unneeded=0.1)
    assert taints(plan(seen)) == [("a", True)]


def test_nothing_is_marked_where_nothing_may_be_changed() -> None:
    dry = pool("p", group(nodes=["a", "b"]), mode=Mode.DRY_RUN)
    made = plan(world(made_pool=dry))
    assert (taints(made), removed(made)) == ([], [])
    assert {removal.node for removal in made.dry_run_removals} == {"a", "b"}
    assert block(made) is BlockReason.DRY_RUN


def test_marks_are_set_a_few_at_a_time() -> None:
    nodes = [node(f"n{number:02}") for number in range(15)]
    assert len(plan(world(nodes=nodes, unneeded_since={})).soft_taints) == 10


def test_the_replica_set_of_these_tests_exists() -> None:
    """Or every pod would block by ControllerNotFound, and half of the tests above would pass for that."""
    assert REPLICA_SET.uid in world().picture.workloads
