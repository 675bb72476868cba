"""The operator's own node: kept while it leads there, handed over when it is all that is left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from springtide.cluster.api_errors import ApiUnreachable
from springtide.planning.plan import BlockReason, NodeVerdict, Plan
from springtide.planning.planner import plan as make
from springtide.runtime.election import Whereabouts
from springtide.runtime.own_node import OwnNode
from tests.unit.planning.world import group, node, pool, snapshot

HERE = Whereabouts(pod="springtide-1", namespace="springtide-system", node="n1")


def replica(name: str, *, on: str, ready: str = "True", going: bool = False, **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {"app.kubernetes.io/name": "springtide", "pod-template-hash": name, **labels},
    }
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": on},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


OURS = replica("springtide-1", on="n1")


class Pods:
    """The API server's list of pods; None: it does not answer."""

    def __init__(self, *others: dict[str, Any] | None) -> None:
        self.others = others
        self.asked: list[str] = []

    async def get_json(self, path: str) -> Any:
        self.asked.append(path)
        if None in self.others:
            raise ApiUnreachable("timed out")
        return {"items": [OURS, *self.others]}


def due(*, block: BlockReason | None = BlockReason.OPERATOR_RUNS_HERE) -> Plan:
    """A plan by which our node would go but for us."""
    made = make(snapshot(pool("p", group(nodes=["n1"])), nodes=[node("n1")]))
    verdict = NodeVerdict(node="n1", pool="p", group="a", block=block)
    return replace(made, nodes={"n1": verdict})


@pytest.mark.parametrize(
    ("others", "hands_over"),
    [
        pytest.param([replica("springtide-2", on="n2")], True, id="a replica is ready on another node"),
        pytest.param([], False, id="there is no other replica"),
        pytest.param([replica("springtide-2", on="n1")], False, id="it is on the same node"),
        pytest.param([replica("springtide-2", on="")], False, id="it waits for a node itself"),
        pytest.param([replica("springtide-2", on="n2", ready="False")], False, id="it is not ready"),
        pytest.param([replica("springtide-2", on="n2", going=True)], False, id="it is on its way out"),
        pytest.param([replica("other", on="n2", team="b")], False, id="it is another installation's"),
        pytest.param([None], False, id="nobody can tell"),
    ],
)
async def test_who_can_take_over(others: list[dict[str, Any] | None], hands_over: bool) -> None:
    own = OwnNode(HERE, Pods(*others), elects=True)
    await own.consider(due(), busy=False)
    assert own.handing_over.is_set() is hands_over
    if not hands_over:
        assert "no other replica is ready on another node" in own.kept["n1"]


async def test_what_is_under_way_is_finished_first() -> None:
    pods = Pods(replica("springtide-2", on="n2"))
    own = OwnNode(HERE, pods, elects=True)
    await own.consider(due(), busy=True)
    assert not own.handing_over.is_set()
    assert pods.asked == []


async def test_a_node_that_stays_for_another_reason_hands_nothing_over() -> None:
    own = OwnNode(HERE, Pods(replica("springtide-2", on="n2")), elects=True)
    await own.consider(due(block=BlockReason.NOT_UNDERUTILIZED), busy=False)
    assert not own.handing_over.is_set()


async def test_without_an_election_nobody_takes_over() -> None:
    own = OwnNode(HERE, Pods(replica("springtide-2", on="n2")), elects=False)
    await own.consider(due(), busy=False)
    assert not own.handing_over.is_set()
    assert "without leader election" in own.kept["n1"]


def test_outside_of_pods_no_node_is_kept() -> None:
    assert OwnNode(Whereabouts(), None, elects=True).kept == {}


async def test_only_the_pods_of_our_namespace_are_listed() -> None:
    pods = Pods()
    await OwnNode(HERE, pods, elects=True).consider(due(), busy=False)
    (path,) = pods.asked
    assert path.startswith("/api/v1/namespaces/springtide-system/pods?labelSelector=")
