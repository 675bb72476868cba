"""Pending pods: who asks for a node now, who must wait, who never will."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from springtide.api.settings import ScaleUpSettings
from springtide.planning.plan import PendingOutcome
from springtide.planning.planner import plan
from springtide.planning.pods.pending import Pending, sort_out
from tests.unit.planning.world import DAEMON_SET, NOW, ago, group, pod, pool, shape, snapshot

DELAY = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
REFUSED = {"unschedulable_since": ago(seconds=1)}


def sorted_out(pods: list[Any], *settings: ScaleUpSettings, **more: Any) -> Pending:
    pools = [
        pool(f"p{number}", group(), up=each) for number, each in enumerate(settings or (ScaleUpSettings(),))
    ]
    return sort_out(pods, pools=pools, node_names=frozenset({"n1"}), now=NOW, **more)


@pytest.mark.parametrize(
    ("fields", "of", "outcome", "detail"),
    [
        pytest.param(
            REFUSED,
            shape(priority=-11),
            PendingOutcome.IGNORED,
            "priority -11 is below the cutoff -10",
            id="expendable",
        ),
        pytest.param(
            {},
            shape(),
            PendingOutcome.IGNORED,
            "scheduler default-scheduler has not refused it",
            id="not tried yet",
        ),
        pytest.param(
            REFUSED | {"gated": True}, shape(), PendingOutcome.IGNORED, "held by scheduling gates", id="gated"
        ),
        pytest.param(
            REFUSED | {"owner": DAEMON_SET},
            shape(),
            PendingOutcome.IGNORED,
            "a DaemonSet's pod: it belongs to one node, a new one would not help",
            id="a daemon",
        ),
        pytest.param(
            REFUSED | {"created_at": ago(seconds=10), "annotations": {DELAY: "30s"}},
            shape(),
            PendingOutcome.TOO_YOUNG,
            "younger than 30s",
            id="its annotation says wait",
        ),
    ],
)
def test_pods_that_ask_for_nothing(
    fields: dict[str, Any], of: Any, outcome: PendingOutcome, detail: str
) -> None:
    found = sorted_out([pod(of, **fields)])
    assert found.demands == ()
    assert [(verdict.outcome, verdict.detail) for verdict in found.verdicts] == [(outcome, detail)]


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        pytest.param(REFUSED, ScaleUpSettings(), id="refused by the scheduler"),
        pytest.param(REFUSED | {"scheduler_name": "volcano"}, ScaleUpSettings(), id="refused by another one"),
        pytest.param(
            {"scheduler_name": "volcano"},
            ScaleUpSettings(bypassed_schedulers=("volcano",)),
            id="of a scheduler that is not waited for",
        ),
        pytest.param(
            REFUSED | {"annotations": {DELAY: "soon"}}, ScaleUpSettings(), id="a malformed annotation is none"
        ),
        pytest.param(
            REFUSED | {"annotations": {DELAY: "1s"}, "created_at": ago(seconds=40)},
            ScaleUpSettings(new_pod_delay=timedelta(seconds=30)),
            id="old enough",
        ),
    ],
)
def test_pods_that_ask(fields: dict[str, Any], settings: ScaleUpSettings) -> None:
    assert [demand.count for demand in sorted_out([pod(**fields)], settings).demands] == [1]


def test_an_annotation_cannot_shorten_the_delay_and_the_end_of_it_is_known() -> None:
    young = pod(**REFUSED | {"created_at": ago(seconds=10), "annotations": {DELAY: "1s"}})
    found = sorted_out([young], ScaleUpSettings(new_pod_delay=timedelta(seconds=30)))
    assert (found.demands, found.due_at) == ((), NOW + timedelta(seconds=20))


def test_a_pod_that_one_pool_leaves_out_is_closed_to_that_pool_only() -> None:
    low = pod(shape(priority=-5), **REFUSED)
    found = sorted_out([low], ScaleUpSettings(expendable_pods_priority_cutoff=0), ScaleUpSettings())
    assert [demand.closed_pools for demand in found.demands] == [frozenset({"p0"})]


def test_the_other_pool_serves_it() -> None:
    picky = pool("picky", group("a"), up=ScaleUpSettings(expendable_pods_priority_cutoff=0))
    made = plan(snapshot(picky, pool("p", group("b")), waiting=[pod(shape(priority=-5), **REFUSED)]))
    assert [purchase.group for purchase in made.purchases] == ["b"]
    assert [verdict.refusal for verdict in made.pending[0].groups] == ["ExcludedBySettings", None]


def test_the_highest_priority_is_served_first_then_who_waits_longest() -> None:
    late, early = pod(shape(100), **REFUSED), pod(shape(200), unschedulable_since=ago(minutes=5))
    vip = pod(shape(300, priority=100), **REFUSED)
    assert [demand.pods[0] for demand in sorted_out([late, early, vip]).demands] == [vip, early, late]


def test_a_nomination_counts_only_where_the_node_exists() -> None:
    here = pod(nominated_node_name="n1", **REFUSED)
    gone = pod(nominated_node_name="n2", **REFUSED)
    found = sorted_out([here, gone])
    assert found.nominated == (here,)
    assert [demand.pods for demand in found.demands] == [(gone,)]


def test_what_the_scheduler_said_of_one_pod_holds_for_all_of_its_shape() -> None:
    alike = shape()
    found = sorted_out([pod(alike, **REFUSED), pod(alike), pod(shape(cpu=7))])
    (demand,) = found.demands
    assert demand.count == 2
    (ignored,) = found.verdicts
    assert ignored.outcome is PendingOutcome.IGNORED


def test_one_schedulers_refusal_says_nothing_of_anothers_pods() -> None:
    alike = shape()
    found = sorted_out([pod(alike, **REFUSED), pod(alike, scheduler_name="volcano")])
    (demand,) = found.demands
    assert demand.count == 1


def test_a_refusal_of_a_moment_ago_still_holds_for_pods_that_were_not_tried() -> None:
    alike = shape()
    lately = frozenset({(alike, "default-scheduler")})
    assert sorted_out([pod(alike)], recently_refused=lately).demands[0].count == 1
