"""Taints of a node's start and taints of the moment, by prefix and by settings; GPUs that have not appeared yet."""

from __future__ import annotations

from datetime import datetime

import pytest

from springtide.api.settings import ScaleUpSettings
from springtide.cluster.groups import Template
from springtide.cluster.records import NodeRecord, Taint, TaintEffect
from springtide.planning.plan import NodeCounts, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    GIB,
    LONG_AGO,
    ago,
    group,
    node,
    pending,
    pool,
    resources,
    shape,
    snapshot,
    template,
)

GPU = "nvidia.com/gpu"
NAMED = ScaleUpSettings(
    startup_taints=("node.cilium.io/agent-not-ready", "boot.example.com/"),
    status_taints=("health.example.com/degraded",),
)


def taint(key: str) -> Taint:
    return Taint(key, "", TaintEffect.NO_SCHEDULE)


def with_node(one: NodeRecord, *, made_of: Template | None = None, gpus: int = 0) -> Plan:
    wanted = shape(extended={GPU: gpus}) if gpus else shape()
    groups = group(nodes=[one.name], made_of=made_of or template())
    return plan(snapshot(pool("general", groups, up=NAMED), nodes=[one], waiting=pending(1, wanted)))


def counts(made: Plan) -> NodeCounts:
    return made.pools["general"].counts


# --- fresh nodes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "bought"),
    [
        ("node.cilium.io/agent-not-ready", 1),
        ("boot.example.com/warming", 1),
        ("health.example.com/degraded", 1),
        ("health.example.com/other", 0),
        ("node.cilium.io/agent-not-ready-for-long", 0),
    ],
)
def test_pods_are_planned_on_fresh_nodes_in_spite_of_passing_taints(key: str, bought: int) -> None:
    view = pool("general", group(made_of=template(taints=(taint(key),))), up=NAMED)
    assert len(plan(snapshot(view, waiting=pending(1))).purchases) == bought


# --- nodes that are there --------------------------------------------------------------------------------------

STARTUP = [
    "node.cilium.io/agent-not-ready",
    "boot.example.com/warming",
    "startup-taint.cluster-autoscaler.kubernetes.io/a",
    "ignore-taint.cluster-autoscaler.kubernetes.io/b",
]
STATUS = ["health.example.com/degraded", "status-taint.cluster-autoscaler.kubernetes.io/c"]


@pytest.mark.parametrize("key", STARTUP)
def test_a_node_with_a_taint_of_its_start_is_starting_and_gets_the_pods(key: str) -> None:
    made = with_node(node("n1", created_at=ago(minutes=1), taints=(taint(key),)))
    assert (counts(made).not_started, counts(made).ready) == (1, 0)
    assert made.purchases == ()


@pytest.mark.parametrize("key", STATUS)
def test_a_node_with_a_taint_of_the_moment_is_ready_but_takes_no_pods(key: str) -> None:
    made = with_node(node("n1", taints=(taint(key),)))
    assert counts(made).ready == 1
    assert len(made.purchases) == 1


@pytest.mark.parametrize("key", STATUS)
def test_a_starting_node_will_not_keep_a_taint_of_the_moment(key: str) -> None:
    arriving = node("n1", created_at=ago(minutes=1), ready=False, ready_changed_at=None, taints=(taint(key),))
    assert with_node(arriving).purchases == ()


# --- GPUs ------------------------------------------------------------------------------------------------------

WITH_GPU = template(extended={GPU: 2})
LABEL = {"k8s.amazonaws.com/accelerator": "nvidia-l4"}


@pytest.mark.parametrize(
    ("created_at", "bought"),
    [
        pytest.param(ago(minutes=3), 0, id="a young node's GPUs will come: they are promised"),
        pytest.param(LONG_AGO, 1, id="an old one's will not"),
    ],
)
def test_a_node_whose_gpus_have_not_appeared_is_starting(created_at: datetime, bought: int) -> None:
    bare = node("n1", created_at=created_at, ready_changed_at=created_at)
    made = with_node(bare, made_of=WITH_GPU, gpus=2)
    assert len(made.purchases) == bought
    assert counts(made).not_started == 1 - bought


@pytest.mark.parametrize("name", [GPU, "amd.com/gpu", "aws.amazon.com/neuron"])
def test_the_label_alone_says_that_gpus_will_come(name: str) -> None:
    young = node("n1", created_at=ago(minutes=3), labels=LABEL)
    assert counts(with_node(young)).not_started == 1
    there = node("n1", created_at=ago(minutes=3), labels=LABEL, allocatable={**resources(), name: 1})
    assert counts(with_node(there)).ready == 1


def test_an_unready_node_with_the_label_is_not_made_ready_by_its_gpus() -> None:
    gone = ago(minutes=5)
    with_gpu = resources(4000, GIB, **{GPU: 1})
    broken = node("n1", labels=LABEL, allocatable=with_gpu, ready=False, ready_changed_at=gone)
    assert counts(with_node(broken)).unready == 1
