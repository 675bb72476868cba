"""Volumes in plans: nodes are bought where the volumes are, as many as they can be attached to, and none in vain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.volumes.needs import (
    Candidate,
    Provisioning,
    Rejection,
    UnboundClaim,
    VolumeNeeds,
    VolumePlugin,
    VolumePool,
)
from springtide.planning.plan import BlockReason, PendingOutcome, Plan
from springtide.planning.planner import plan
from springtide.reporting.phrases import not_triggered
from tests.unit.planning.world import (
    group,
    node,
    pending,
    pool,
    running,
    shape,
    snapshot,
    template,
)
from tests.unit.scheduling.build import term

DRIVER = "ebs.csi.aws.com"
ZONE = "topology.kubernetes.io/zone"
IN_B = (term(f"{ZONE} In b"),)
CLASS_IN_B = UnboundClaim("fast", provisioning=Provisioning("fast", allowed=IN_B))
TWO_LEFT = UnboundClaim("local", pool=VolumePool((Candidate("pv-1", IN_B), Candidate("pv-2", IN_B))))


def with_needs(count: int, cpu: int = 100, **needs: Any) -> list[PodRecord]:
    """Pending pods whose volumes need this."""
    return pending(count, carrying(cpu, **needs))


def carrying(cpu: int, **needs: Any) -> PodShape:
    return replace(shape(cpu), volumes=VolumeNeeds(**needs))


def zonal(zone: str, **fields: Any) -> Any:
    return group(f"asg-{zone}", made_of=template(labels={ZONE: zone}), **fields)


def bought(made: Plan) -> dict[str, int]:
    return {purchase.group: purchase.count for purchase in made.purchases}


def why(made: Plan) -> str:
    return not_triggered(next(v for v in made.pending if v.outcome is PendingOutcome.NO_GROUP))


@pytest.mark.parametrize(
    "needs",
    [
        pytest.param({"bound": (IN_B,)}, id="bound volumes"),
        pytest.param({"unbound": (CLASS_IN_B,)}, id="volumes still to be made"),
        pytest.param({"unbound": (TWO_LEFT,)}, id="free volumes"),
    ],
)
def test_a_node_is_bought_where_the_volumes_are(needs: dict[str, Any]) -> None:
    made = plan(snapshot(pool("general", zonal("a"), zonal("b")), waiting=with_needs(2, **needs)))
    assert bought(made) == {"asg-b": 1}


def test_no_more_nodes_are_bought_than_there_are_volumes_for() -> None:
    waiting = with_needs(5, 3000, unbound=(TWO_LEFT,))
    made = plan(snapshot(pool("general", zonal("b")), waiting=waiting))
    assert bought(made) == {"asg-b": 2}
    left = [v for v in made.pending if v.outcome is PendingOutcome.NO_GROUP]
    assert sum(len(verdict.pods) for verdict in left) == 3


def test_of_pods_that_want_one_exclusive_claim_one_is_bought_for() -> None:
    waiting = with_needs(3, exclusive_claims=("default/c",))
    assert bought(plan(snapshot(pool("general", group()), waiting=waiting))) == {"asg-a": 1}


def test_a_new_node_attaches_no_more_volumes_than_the_groups_own_nodes() -> None:
    there = node("n1", unschedulable=True, volume_limits={DRIVER: 2})
    waiting = with_needs(6, attaches=((DRIVER, 1),))
    made = plan(snapshot(pool("general", group(nodes=["n1"])), nodes=[there], waiting=waiting))
    assert bought(made) == {"asg-a": 3}


def test_an_empty_group_learns_from_its_sibling() -> None:
    there = node("n1", unschedulable=True, volume_limits={DRIVER: 1})
    groups = [group("asg-a", nodes=["n1"], max_size=1), group("asg-b")]
    waiting = with_needs(3, attaches=((DRIVER, 1),))
    made = plan(snapshot(pool("general", *groups), nodes=[there], waiting=waiting))
    assert bought(made) == {"asg-b": 3}


@pytest.mark.parametrize(
    ("needs", "text"),
    [
        (
            {"rejection": Rejection(VolumePlugin.VOLUME_BINDING, "claim data-0 is being deleted")},
            "volumes cannot be bound: claim data-0 is being deleted",
        ),
        ({"bound": (IN_B,)}, f"volumes cannot be bound: a volume that is only in {ZONE} in (b)"),
    ],
)
def test_why_nothing_is_bought(needs: dict[str, Any], text: str) -> None:
    made = plan(snapshot(pool("general", zonal("a")), waiting=with_needs(1, **needs)))
    assert bought(made) == {}
    assert text in why(made)


def test_a_pod_with_too_many_volumes_for_any_node_is_told_so() -> None:
    there = node("n1", unschedulable=True, volume_limits={DRIVER: 2})
    waiting = with_needs(1, attaches=((DRIVER, 3),))
    made = plan(snapshot(pool("general", group(nodes=["n1"])), nodes=[there], waiting=waiting))
    assert bought(made) == {}
    assert f"attaches 3 volumes of {DRIVER}, a fresh node takes 2 more" in why(made)


@pytest.mark.parametrize(
    ("zone", "stays"),
    [pytest.param("b", False, id="moves within its zone"), pytest.param("a", True, id="stays else")],
)
def test_a_pod_takes_its_volume_along_only_within_the_zone(zone: str, stays: bool) -> None:
    nodes = [node("n1", labels={ZONE: "b"}), node("n2", labels={ZONE: zone})]
    pods = {
        "n1": running(1, carrying(10, bound=(IN_B,), attaches=((DRIVER, 1),))),
        "n2": running(1, shape(3500)),
    }
    made = plan(snapshot(pool("general", group(nodes=["n1", "n2"])), nodes=nodes, pods=pods))
    verdict = made.nodes["n1"]
    assert (verdict.block is BlockReason.NO_PLACE_TO_MOVE_PODS) is stays, verdict


def test_nodes_whose_attachments_are_used_up_take_no_pods_of_removed_ones() -> None:
    one = ((DRIVER, 1),)
    nodes = [node("n1", volume_limits={DRIVER: 1}), node("n2", volume_limits={DRIVER: 1})]
    pods = {"n1": running(1, carrying(10, attaches=one)), "n2": running(1, carrying(3000, attaches=one))}
    made = plan(snapshot(pool("general", group(nodes=["n1", "n2"])), nodes=nodes, pods=pods))
    verdict = made.nodes["n1"]
    assert verdict.block is BlockReason.NO_PLACE_TO_MOVE_PODS
