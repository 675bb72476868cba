"""The workbench changes nothing: a plan made with what earlier passes left equals one made without, whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from springtide.api.settings import Mode, ScaleDownSettings, ScaleUpSettings
from springtide.cluster.records import DisruptionBudget, NodeRecord, PodPhase, PodRecord, Taint, TaintEffect
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import BlockReason, Plan
from springtide.planning.planner import plan
from springtide.planning.workbench import Workbench
from tests.unit.planning.world import (
    DAEMON_SET,
    GIB,
    NOW,
    REPLICA_SET,
    group,
    node,
    pending,
    pod,
    policy,
    pool,
    shape,
    snapshot,
)

SHAPES = (
    shape(300),
    shape(900, 2 * GIB, labels={"app": "web"}),
    shape(200, namespace="kube-system"),
    shape(400, priority=-20),
    shape(1500),
)
OWNERS = (REPLICA_SET, None, DAEMON_SET)
NAMES = tuple(f"{zone}{n}" for zone in "ab" for n in range(4))


class Cluster:
    """Two pools, one of which may be in DryRun. Like the informers' pictures its snapshots share what did not change."""

    def __init__(self) -> None:
        self.now = NOW
        self.nodes: dict[str, NodeRecord] = {name: node(name) for name in NAMES}
        self.pods: dict[str, tuple[PodRecord, ...]] = {
            name: (pod(SHAPES[n % 2], node_name=name, phase=PodPhase.RUNNING),)
            for n, name in enumerate(NAMES)
        }
        self.waiting: tuple[PodRecord, ...] = ()
        self.workloads = {each.uid: each for each in (REPLICA_SET, DAEMON_SET)}
        self.budgets: tuple[DisruptionBudget, ...] = ()
        self.down = ScaleDownSettings(unneeded_time=timedelta(minutes=2), max_parallel=2)
        self.up = ScaleUpSettings()
        self.mode = Mode.ACTIVE
        self.since: Mapping[str, datetime] = {}

    def seen(self) -> Snapshot:
        groups = {
            zone: group(f"asg-{zone}", nodes=[name for name in NAMES if name[0] == zone]) for zone in "ab"
        }
        made = snapshot(
            pool("one", groups["a"], down=self.down, up=self.up),
            pool("two", groups["b"], down=self.down, mode=self.mode),
            nodes=tuple(self.nodes.values()),
            pods=self.pods,
            waiting=self.waiting,
            budgets=self.budgets,
            policies=[policy()],
            now=self.now,
            unneeded_since=self.since,
        )
        return replace(
            made,
            picture=replace(
                made.picture,
                pods_by_node=dict(self.pods),
                workloads=self.workloads,
                disruption_budgets=self.budgets,
            ),
        )

    # --- what happens

    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def pod_comes(self, on: str, of: int, owner: int, *, system_age: int = 0) -> None:
        fields: dict[str, Any] = {"created_at": self.now - timedelta(minutes=system_age)}
        came = pod(SHAPES[of], owner=OWNERS[owner], node_name=on, phase=PodPhase.RUNNING, **fields)
        self.pods = {**self.pods, on: (*self.pods.get(on, ()), came)}

    def pods_go(self, on: str) -> None:
        self.pods = {**self.pods, on: ()}

    def pod_terminates(self, on: str) -> None:
        there = self.pods.get(on, ())
        ending = [replace(each, deletion_timestamp=self.now) for each in there[:1]]
        self.pods = {**self.pods, on: (*ending, *there[1:])}

    def pod_is_renamed(self, on: str) -> None:
        there = self.pods.get(on, ())
        marked = [replace(each, own_labels={"pod": "x"}) for each in there[:1]]
        self.pods = {**self.pods, on: (*marked, *there[1:])}

    def node_beats(self, name: str) -> None:
        self.nodes[name] = replace(self.nodes[name])

    def node_is_unready(self, name: str) -> None:
        self.nodes[name] = replace(self.nodes[name], ready=False, ready_changed_at=self.now)

    def node_is_tainted(self, name: str) -> None:
        self.nodes[name] = replace(
            self.nodes[name], taints=(Taint("team", "x", TaintEffect.NO_SCHEDULE),), labels={"x": "y"}
        )

    def node_goes(self, name: str) -> None:
        if len(self.nodes) > 1:
            self.nodes.pop(name, None)
            self.pods = {on: there for on, there in self.pods.items() if on != name}

    def node_comes(self, name: str) -> None:
        self.nodes.setdefault(name, node(name, created_at=self.now))
        self.nodes = dict(sorted(self.nodes.items()))

    def pods_wait(self, of: int) -> None:
        self.waiting = tuple(pending(2, SHAPES[of], unschedulable_since=self.now))

    def controller_shrinks(self) -> None:
        fewer = replace(REPLICA_SET, replicas=self.workloads[REPLICA_SET.uid].replicas // 2)
        self.workloads = {**self.workloads, REPLICA_SET.uid: fewer}

    def controller_goes(self) -> None:
        self.workloads = {DAEMON_SET.uid: DAEMON_SET, REPLICA_SET.uid + "x": REPLICA_SET}
        self.workloads.update({REPLICA_SET.uid: REPLICA_SET} if self.now.second % 2 else {})

    def budget_is(self, key: str, value: str, allowed: int) -> None:
        selector = LabelSelector((LabelRequirement(key, SelectorOperator.IN, (value,)),))
        self.budgets = (DisruptionBudget("default", "web", selector, allowed),)

    def settings_change(self, percent: int, cutoff: int) -> None:
        self.down = replace(self.down, utilization_threshold_percent=percent)
        self.up = replace(self.up, expendable_pods_priority_cutoff=cutoff)

    def mode_changes(self, mode: Mode) -> None:
        self.mode = mode


def happens(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Callable[[Cluster], None]]:
    def event(given_: tuple[Any, ...]) -> Callable[[Cluster], None]:
        return lambda cluster: getattr(cluster, name)(*given_)

    return st.tuples(*arguments).map(event)


names, shapes = st.sampled_from(NAMES), st.integers(0, len(SHAPES) - 1)
events = st.one_of(
    happens("time_passes", st.sampled_from([1, 29, 61, 3700, -30, -3700])),
    happens("pod_comes", names, shapes, st.integers(0, 2)),
    happens("pods_go", names),
    happens("pod_terminates", names),
    happens("pod_is_renamed", names),
    happens("node_beats", names),
    happens("node_is_unready", names),
    happens("node_is_tainted", names),
    happens("node_goes", names),
    happens("node_comes", names),
    happens("pods_wait", shapes),
    happens("controller_shrinks"),
    happens("controller_goes"),
    happens("budget_is", st.sampled_from(["app", "pod"]), st.sampled_from(["web", "x"]), st.integers(0, 2)),
    happens("settings_change", st.sampled_from([20, 50, 90]), st.sampled_from([-10, -30])),
    happens("mode_changes", st.sampled_from([Mode.ACTIVE, Mode.DRY_RUN, Mode.PAUSED])),
)


def carried_out(cluster: Cluster, event: Callable[[Cluster], None]) -> None:
    """Events of nodes that are not there do not happen."""
    try:
        event(cluster)
    except KeyError:
        return


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(events, max_size=3), min_size=2, max_size=7))
def test_whatever_happens_a_plan_does_not_tell_whether_there_were_others_before(
    passes: list[list[Callable[[Cluster], None]]],
) -> None:
    cluster, bench = Cluster(), Workbench()
    for happening in passes:
        for event in happening:
            carried_out(cluster, event)
        seen = cluster.seen()
        warm, cold = plan(seen, bench=bench), plan(seen)
        assert warm == cold
        cluster.since = {name: v.unneeded_since for name, v in cold.nodes.items() if v.unneeded_since}


def test_a_system_pod_that_keeps_a_node_does_so_until_it_is_old_enough() -> None:
    cluster, bench = Cluster(), Workbench()
    cluster.pod_comes("a0", 2, 0)
    assert plan(cluster.seen(), bench=bench).nodes["a0"].block is BlockReason.BLOCKED_BY_POD
    cluster.time_passes(int(cluster.down.system_pod_block_timeout.total_seconds()))
    assert plan(cluster.seen(), bench=bench).nodes["a0"].block is BlockReason.BLOCKED_BY_POD
    cluster.time_passes(1)
    assert plan(cluster.seen(), bench=bench).nodes["a0"].block is BlockReason.NOT_UNNEEDED_LONG_ENOUGH


def verdict_on_web(made: Plan) -> BlockReason | None:
    return made.nodes["a1"].block


@pytest.mark.parametrize(
    "key", [pytest.param("app", id="a label of the shape"), pytest.param("pod", id="its own")]
)
def test_a_budget_that_is_used_up_keeps_the_nodes_of_its_pods(key: str) -> None:
    cluster, bench = Cluster(), Workbench()
    cluster.pod_is_renamed("a1")
    assert verdict_on_web(plan(cluster.seen(), bench=bench)) is BlockReason.NOT_UNNEEDED_LONG_ENOUGH
    cluster.budget_is(key, {"app": "web", "pod": "x"}[key], 0)
    assert verdict_on_web(plan(cluster.seen(), bench=bench)) is BlockReason.BLOCKED_BY_POD
    cluster.budget_is(key, {"app": "web", "pod": "x"}[key], 1)
    assert verdict_on_web(plan(cluster.seen(), bench=bench)) is BlockReason.NOT_UNNEEDED_LONG_ENOUGH


def test_what_is_gone_is_forgotten() -> None:
    cluster, bench = Cluster(), Workbench()
    plan(cluster.seen(), bench=bench)
    for name in NAMES[1:]:
        cluster.node_goes(name)
    plan(cluster.seen(), bench=bench)
    plan(cluster.seen(), bench=bench)
    assert bench.remembered_nodes == frozenset(NAMES[:1])
