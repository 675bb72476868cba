"""Hard taints of a Cluster Autoscaler that is gone: whose they are, what is said, and what is done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from springtide.api.settings import ForeignTaints, Mode, ScaleDownSettings
from springtide.cluster.records import NodeRecord, Taint, TaintEffect
from springtide.cluster.snapshot import RemovalInFlight, Snapshot
from springtide.planning.plan import BlockReason, ForeignTaintLift, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import NOW, group, node, policy, pool, running, snapshot

HARD = "ToBeDeletedByClusterAutoscaler"
OLD = str(int((NOW - timedelta(hours=2)).timestamp()))
YOUNG = str(int((NOW - timedelta(minutes=29)).timestamp()))


def tainted(name: str = "a", value: str = OLD, **fields: Any) -> NodeRecord:
    return node(name, taints=(Taint(HARD, value, TaintEffect.NO_SCHEDULE),), **fields)


def world(
    left: NodeRecord, *, does: ForeignTaints = ForeignTaints.CLEAN_UP, mode: Mode = Mode.ACTIVE, **fields: Any
) -> Snapshot:
    """Node "a", empty, and a busy node "b"."""
    down = ScaleDownSettings(foreign_taints=does)
    return snapshot(
        pool("general", group(nodes=["a", "b"]), mode=mode, down=down),
        nodes=[left, node("b")],
        pods={"b": running(3)},
        policies=[policy()],
        **fields,
    )


def degraded(made: Plan) -> tuple[bool, str, str]:
    found = next(each for each in made.pools["general"].findings if each.condition == "Degraded")
    return found.status, found.reason, found.message


LIFT = (ForeignTaintLift(node="a", pool="general", value=OLD),)


@pytest.mark.parametrize(
    ("made_world", "lifted", "block"),
    [
        pytest.param(world(tainted()), LIFT, BlockReason.FOREIGN_TAINT, id="CleanUp"),
        pytest.param(world(tainted(), does=ForeignTaints.IGNORE), (), BlockReason.FOREIGN_TAINT, id="Ignore"),
        pytest.param(
            world(tainted(), does=ForeignTaints.TAKE_OVER),
            (),
            BlockReason.NOT_UNNEEDED_LONG_ENOUGH,
            id="TakeOver of an unneeded node: it is watched",
        ),
        pytest.param(
            world(tainted(), mode=Mode.DRY_RUN), (), BlockReason.FOREIGN_TAINT, id="in DryRun it is told"
        ),
        pytest.param(world(tainted(), mode=Mode.PAUSED), (), BlockReason.PAUSED, id="and while Paused"),
        pytest.param(
            world(tainted(value=YOUNG)), (), BlockReason.CURRENTLY_BEING_DELETED, id="a young taint"
        ),
        pytest.param(
            world(tainted(value="")), (), BlockReason.CURRENTLY_BEING_DELETED, id="a taint without a time"
        ),
        pytest.param(
            world(tainted(value="1")), (), BlockReason.CURRENTLY_BEING_DELETED, id="a number that is no time"
        ),
        pytest.param(
            world(tainted(), cluster_autoscaler="ca-0"),
            (),
            BlockReason.CURRENTLY_BEING_DELETED,
            id="Cluster Autoscaler lives",
        ),
        pytest.param(
            world(tainted(annotations={"springtide.dev/removal": "?"})),
            (),
            BlockReason.CURRENTLY_BEING_DELETED,
            id="our annotation, even unreadable",
        ),
        pytest.param(
            world(
                tainted(),
                removals=[
                    RemovalInFlight(node="a", pool="general", group="asg-a", phase="Tainted", since=NOW)
                ],
            ),
            (),
            BlockReason.CURRENTLY_BEING_DELETED,
            id="a removal of ours that no informer shows yet",
        ),
        pytest.param(
            world(tainted(deletion_timestamp=NOW)),
            (),
            BlockReason.CURRENTLY_BEING_DELETED,
            id="a Node that is being deleted",
        ),
        pytest.param(
            world(tainted(), removals_forbidden="the picture is old"),
            (),
            BlockReason.FOREIGN_TAINT,
            id="on an old picture nothing is changed",
        ),
    ],
)
def test_what_is_done_about_a_hard_taint_that_is_not_ours(
    made_world: Snapshot, lifted: tuple[ForeignTaintLift, ...], block: BlockReason
) -> None:
    made = plan(made_world)
    assert made.foreign_taints == lifted
    assert made.nodes["a"].block is block
    assert made.removals == ()


def test_a_needed_node_is_given_back_where_taints_are_taken_over() -> None:
    left = tainted()
    down = ScaleDownSettings(foreign_taints=ForeignTaints.TAKE_OVER)
    made = plan(
        snapshot(
            pool("general", group(nodes=["a", "b"]), down=down),
            nodes=[left, node("b")],
            pods={"a": running(3), "b": running(3)},
        )
    )
    assert made.foreign_taints == LIFT


def test_a_removal_that_takes_over_names_the_taint_it_replaces() -> None:
    since = {"a": NOW - timedelta(minutes=20)}
    [removal] = plan(world(tainted(), does=ForeignTaints.TAKE_OVER, unneeded_since=since)).removals
    assert (removal.node, removal.takes_over) == ("a", OLD)


@pytest.mark.parametrize(
    ("made_world", "told"),
    [
        pytest.param(world(tainted()), "they are taken off", id="CleanUp"),
        pytest.param(world(tainted(), does=ForeignTaints.IGNORE), "Ignore", id="Ignore"),
        pytest.param(world(tainted(), does=ForeignTaints.TAKE_OVER), "unneeded are removed", id="TakeOver"),
        pytest.param(world(tainted(value=YOUNG)), "until they are 30 minutes old", id="young"),
        pytest.param(world(tainted(value="x")), "set by somebody else", id="of somebody else"),
        pytest.param(world(tainted(unschedulable=True)), "1 of the nodes are cordoned", id="cordoned"),
        pytest.param(world(tainted(), mode=Mode.DRY_RUN), "in mode DryRun", id="DryRun"),
    ],
)
def test_the_pool_says_what_was_found(made_world: Snapshot, told: str) -> None:
    status, reason, message = degraded(plan(made_world))
    assert (status, reason) == (True, "ForeignTaints")
    assert message.startswith("1 node carries the hard taint of a Cluster Autoscaler that is gone (a): ")
    assert told in message


def test_many_nodes_are_counted_and_a_few_are_named() -> None:
    names = [f"n{number:02}" for number in range(12)]
    made = plan(
        snapshot(pool("general", group(nodes=names, max_size=20)), nodes=[tainted(name) for name in names])
    )
    assert degraded(made)[2].startswith(
        "12 nodes carry hard taints of a Cluster Autoscaler that is gone (n00, n01, n02, …)"
    )
    assert len(made.foreign_taints) == 10


def test_nodes_that_only_look_as_if_they_go_are_not_replaced() -> None:
    """Their pods stay where they are, and need no room elsewhere."""
    made = plan(
        snapshot(
            pool("general", group(nodes=["a"])),
            nodes=[tainted()],
            pods={"a": running(3)},
        )
    )
    assert made.purchases == ()
    assert made.pools["general"].counts.being_deleted == 0
