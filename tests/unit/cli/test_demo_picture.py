"""What the demo makes of the events of the cluster, and what it counts up in the end."""

from __future__ import annotations

import pytest

from springtide.cli.demo.picture import HARD_TAINT, SOFT_TAINT, Decision
from springtide.cli.demo.summary import Summary, percentile
from tests.unit.cli.demo_objects import GIB, event, node, node_pool, picture, pod


def test_a_pods_wait_ends_when_it_first_runs() -> None:
    seen, clock = picture()
    seen.pod("ADDED", pod("a"))
    assert [each.name for each in seen.waiting()] == ["a"]
    clock.now = 4.0
    seen.pod("MODIFIED", pod("a", node="n1", phase="Running"))
    clock.now = 9.0
    seen.pod("MODIFIED", pod("a", node="n1", phase="Running"))
    assert (seen.running(), seen.waiting(), seen.waits) == (1, [], [4.0])


def test_a_deleted_pod_is_gone() -> None:
    seen, _ = picture()
    seen.pod("ADDED", pod("a"))
    seen.pod("DELETED", pod("a"))
    assert seen.pods == {}


def test_what_pods_request_is_added_up_by_node() -> None:
    seen, _ = picture()
    seen.node("ADDED", node("n1"))
    seen.pod("ADDED", pod("a", cpu="1500m", memory="1Gi", node="n1"))
    seen.pod("ADDED", pod("b", cpu="2", memory="2Gi", gpus=1, node="n1"))
    seen.pod("ADDED", pod("c"))
    assert seen.used() == {"n1": {"cpu": 3500, "memory": 3 * GIB, "nvidia.com/gpu": 1}}


@pytest.mark.parametrize(
    ("taints", "candidate", "removing"),
    [((), False, False), ((SOFT_TAINT,), True, False), ((SOFT_TAINT, HARD_TAINT), True, True)],
)
def test_taints_tell_what_becomes_of_a_node(taints: tuple[str, ...], candidate: bool, removing: bool) -> None:
    seen, _ = picture()
    seen.node("ADDED", node("n1"))
    seen.node("MODIFIED", node("n1", taints=taints))
    assert (seen.nodes["n1"].candidate, seen.nodes["n1"].removing) == (candidate, removing)


def test_only_what_springtide_says_first_is_a_decision() -> None:
    seen, clock = picture()
    heard: list[object] = []
    seen.listeners.append(heard.append)
    clock.now = 2.5
    seen.event("ADDED", event("scale-up: general/a 0->5"))
    seen.event("MODIFIED", event("scale-up: general/a 0->5"))
    seen.event("ADDED", event("something else", component="scheduler"))
    assert heard == [Decision(2.5, "ScaledUpGroup", "scale-up: general/a 0->5", False)]


def test_it_is_quiet_when_nothing_is_under_way() -> None:
    seen, _ = picture()
    seen.node("ADDED", node("n1"))
    seen.pool("ADDED", node_pool("general", ready=1, target=1))
    assert seen.is_quiet()
    seen.pool("MODIFIED", node_pool("general", ready=1, target=2))
    assert not seen.is_quiet()
    seen.pool("MODIFIED", node_pool("general", ready=1, target=1))
    seen.node("MODIFIED", node("n1", taints=(SOFT_TAINT,)))
    assert not seen.is_quiet()


def test_the_summary_counts_lifetimes_times_prices() -> None:
    seen, clock = picture()
    # Two machines at $4.608 an hour, one for an hour, one for half of it.
    seen.node("ADDED", node("n1"))
    seen.node("ADDED", node("n2"))
    for name in ("a", "b", "c"):
        seen.pod("ADDED", pod(name))
    clock.now = 6.0
    for name in ("a", "b", "c"):
        seen.pod("MODIFIED", pod(name, node="n1", phase="Running"))
    clock.now = 1800.0
    seen.node("DELETED", node("n2"))
    seen.pod("ADDED", pod("c-moved", node="n1", phase="Running"))
    clock.now = 3600.0
    summary = Summary.of(seen, pods=3, purchases=[8.25, 7.5])
    assert summary.first_purchase == 7.5
    assert (summary.nodes_bought, summary.peak_nodes, summary.nodes_removed, summary.final_nodes) == (
        2,
        2,
        1,
        1,
    )
    assert (summary.pods, summary.pods_moved, summary.wait_p50, summary.wait_max) == (3, 1, 6.0, 6.0)
    assert summary.node_hours == pytest.approx(1.5)
    assert summary.cost == pytest.approx(1.5 * 4.608)
    assert summary.cost_never_shrunk == pytest.approx(2 * 4.608)
    assert (summary.peak_hourly_cost, summary.final_hourly_cost) == (
        pytest.approx(9.216),
        pytest.approx(4.608),
    )
    assert any("2 bought in 2 calls" in line for line in summary.lines())


def test_the_summary_of_nothing_is_all_zeros() -> None:
    seen, _ = picture()
    summary = Summary.of(seen, pods=3, purchases=[])
    assert (summary.pods, summary.nodes_bought, summary.cost, summary.wait_max) == (0, 0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("ordered", "percent", "value"),
    [([], 50, 0.0), ([3.0], 50, 3.0), ([1.0, 2.0, 3.0, 4.0], 50, 2.0), ([1.0, 2.0, 3.0, 4.0], 100, 4.0)],
)
def test_percentiles_are_by_nearest_rank(ordered: list[float], percent: float, value: float) -> None:
    assert percentile(ordered, percent) == value
