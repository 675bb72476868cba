"""Node objects of hollow nodes."""

from __future__ import annotations

from devcluster.nodes import FAKE_NODE_ANNOTATION, HollowNode

CAPACITY = {"cpu": "4", "memory": "16Gi", "pods": "58"}


def test_a_node_registers_with_its_capacity_for_kwok() -> None:
    manifest = HollowNode(name="n", capacity=CAPACITY).manifest()
    assert manifest["status"] == {"capacity": CAPACITY, "allocatable": CAPACITY}
    assert manifest["metadata"]["annotations"] == {FAKE_NODE_ANNOTATION: "fake"}
    assert manifest["spec"] == {}


def test_what_is_given_wins_over_the_defaults() -> None:
    manifest = HollowNode(
        name="n",
        capacity=CAPACITY,
        allocatable={"cpu": "3900m"},
        labels={"kubernetes.io/arch": "arm64"},
        annotations={FAKE_NODE_ANNOTATION: "later"},
        taints=({"key": "a", "effect": "NoSchedule"},),
        provider_id="aws:///us-east-1a/i-1",
    ).manifest()
    assert manifest["status"]["allocatable"] == {"cpu": "3900m"}
    assert manifest["metadata"]["labels"]["kubernetes.io/arch"] == "arm64"
    assert manifest["metadata"]["labels"]["kubernetes.io/hostname"] == "n"
    assert manifest["metadata"]["annotations"] == {FAKE_NODE_ANNOTATION: "later"}
    assert manifest["spec"] == {
        "providerID": "aws:///us-east-1a/i-1",
        "taints": [{"key": "a", "effect": "NoSchedule"}],
    }
