"""The benchmarks' second opinion finds the errors that a plan could have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.check import verify
from benchmarks.manifests import GIB
from benchmarks.manifests import node as node_manifest
from benchmarks.manifests import pod as pod_manifest
from benchmarks.planning import after
from benchmarks.scene import Pool, Scene, build, group
from benchmarks.workloads import _apart as apart
from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import Plan
from springtide.planning.planner import plan

RESOURCES = {"cpu": 4000, "memory": 16 * GIB, "pods": 110}


def scene(*, lonely: bool = False) -> Snapshot:
    """Ten pods of one cpu, four to a node; `lonely`: each wants a node for itself."""
    affinity = {"affinity": apart("web")} if lonely else {}
    pods = [
        pod_manifest(f"web-{n}", {"cpu": 1000, "memory": GIB}, labels={"app": "web"}, **affinity)
        for n in range(10)
    ]
    pools = (Pool(name="p", groups=(group("g", RESOURCES, max_size=20),)),)
    return build(Scene(pools=pools, pods=lambda: iter(pods))).snapshot


def test_a_right_plan_has_no_complaints_and_is_counted_from_scratch() -> None:
    seen = scene()
    found = verify(seen, [plan(seen)])
    assert (found.nodes, found.vcpu, found.unplaced) == (3, 12, 0)
    assert found.hourly_cost == pytest.approx(3 * (4 * 0.04 + 16 * 0.005))
    assert found.complaints == found.unproven == ()


def fewer_nodes(made: Plan) -> Plan:
    (purchase,) = made.purchases
    return replace(made, purchases=(replace(purchase, to_target=purchase.to_target - 1),))


def one_pod_twice(made: Plan) -> Plan:
    (purchase,) = made.purchases
    return replace(made, purchases=(replace(purchase, pods=(*purchase.pods, purchase.pods[0])),))


def beyond_the_maximum(made: Plan) -> Plan:
    (purchase,) = made.purchases
    return replace(made, purchases=(replace(purchase, to_target=21),))


@pytest.mark.parametrize(
    ("spoil", "lonely", "complaint"),
    [
        pytest.param(fewer_nodes, False, "more cpu than 2 nodes have", id="too few nodes"),
        pytest.param(fewer_nodes, True, "10 pods that want nodes of their own on 9 nodes", id="crowded"),
        pytest.param(one_pod_twice, False, "1 pods are bought for twice", id="bought twice"),
        pytest.param(beyond_the_maximum, False, "more than its maximum", id="above the maximum"),
    ],
)
def test_a_wrong_plan_is_found_out(spoil: Callable[[Plan], Plan], lonely: bool, complaint: str) -> None:
    seen = scene(lonely=lonely)
    assert verify(seen, [plan(seen)]).complaints == ()
    assert complaint in " ".join(verify(seen, [spoil(plan(seen))]).complaints)


def half_empty() -> Snapshot:
    """Three nodes with one pod each; two may go."""
    names = [f"node-{n}" for n in range(3)]
    safe = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    pods = [
        pod_manifest(f"web-{n}", {"cpu": 1300}, node=name, annotations=safe) for n, name in enumerate(names)
    ]
    eager = {"scaleDown": {"unneededTime": "0s", "delayAfterAdd": "0s", "maxParallelDrain": 10}}
    return build(
        Scene(
            pools=(Pool(name="p", groups=(group("g", RESOURCES, max_size=20, nodes=names),)),),
            nodes=lambda: (node_manifest(name, RESOURCES) for name in names),
            pods=lambda: iter(pods),
            policy=eager,
        )
    ).snapshot


def test_removals_are_checked_pod_by_pod() -> None:
    seen = half_empty()
    made = plan(seen)
    assert verify(seen, [made]).removed == 2
    assert verify(seen, [made]).complaints == ()
    lost = replace(made, removals=tuple(replace(each, destinations={}) for each in made.removals))
    assert verify(seen, [lost]).complaints == ("2 evicted pods have no place to go",)


def test_evicted_pods_must_not_overcommit_their_new_node() -> None:
    seen = half_empty()
    made = plan(seen)
    (stays,) = {f"node-{n}" for n in range(3)} - {each.node for each in made.removals}
    moved = made.removals[0].pods_to_evict[0]
    larger = replace(moved, shape=replace(moved.shape, requests={"cpu": 3000}))
    heavy = replace(made.removals[0], pods_to_evict=(larger,), destinations={larger.uid: stays})
    spoiled = replace(made, removals=(heavy,))
    assert verify(seen, [spoiled]).complaints == ("1 nodes would be overcommitted",)


def test_the_next_pass_finds_everything_on_its_way() -> None:
    seen = scene()
    made = plan(seen)
    assert plan(after(seen, made)).purchases == ()
