"""A node that reports Ready while Kubernetes has not lifted the taints of its arrival."""

from __future__ import annotations

from datetime import datetime

import pytest

from springtide.cluster.records import Taint, TaintEffect
from springtide.planning.groups.readiness import NodeState, node_state
from springtide.planning.planner import plan
from tests.unit.planning.world import LONG_AGO, NOW, ago, group, node, pending, pool, snapshot

NOT_READY = Taint("node.kubernetes.io/not-ready", "", TaintEffect.NO_SCHEDULE)


def test_pods_are_promised_to_it_and_nothing_is_bought_again() -> None:
    fresh = node("n1", created_at=ago(seconds=2), ready_changed_at=ago(seconds=1), taints=(NOT_READY,))
    made = plan(snapshot(pool("general", group(nodes=["n1"])), nodes=[fresh], waiting=pending(4)))
    assert made.purchases == ()


@pytest.mark.parametrize(
    ("created_at", "state"),
    [
        pytest.param(ago(seconds=2), NodeState.NOT_STARTED, id="a young node is still starting"),
        pytest.param(LONG_AGO, NodeState.READY, id="an old one is not unready for it"),
    ],
)
def test_its_state_depends_on_its_age(created_at: datetime, state: NodeState) -> None:
    arriving = node("n1", created_at=created_at, taints=(NOT_READY,))
    assert node_state(arriving, template=None, now=NOW, startup_time=NOW - ago(minutes=15)) is state
