"""The node that the operator itself runs on: the last that goes, and not by this leader."""

from __future__ import annotations

from springtide.planning.plan import BlockReason
from springtide.planning.planner import plan
from tests.unit.planning.scale_down.test_scale_down import BUSY, SMALL, block, removed, world
from tests.unit.planning.world import node, running

KEPT = {"a": "the operator runs here"}


def test_it_stays_though_it_could_go_and_says_why() -> None:
    made = plan(world({"a": running(1, SMALL), "b": BUSY}, kept_nodes=KEPT))
    assert removed(made) == []
    assert block(made) is BlockReason.OPERATOR_RUNS_HERE
    assert made.nodes["a"].detail == "the operator runs here"


def test_others_go_meanwhile() -> None:
    nodes = [node("a"), node("b"), node("c")]
    made = plan(
        world({"a": running(1, SMALL), "b": running(1, SMALL), "c": BUSY}, nodes=nodes, kept_nodes=KEPT)
    )
    assert removed(made) == ["b"]


def test_a_node_that_stays_anyway_says_its_own_reason() -> None:
    made = plan(world({"a": BUSY, "b": BUSY}, kept_nodes=KEPT))
    assert block(made) is BlockReason.NOT_UNDERUTILIZED
