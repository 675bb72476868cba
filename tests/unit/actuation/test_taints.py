"""The marks on nodes: set and lifted without a trace, trusted only when they are ours."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.actuation.removal_record import RemovalPhase, RemovalRecord, load_record
from springtide.actuation.taints import (
    Withdrawn,
    begin_removal,
    enter_phase,
    lift_foreign_taint,
    lift_soft_taint,
    release_soft_taint,
    removal_of,
    set_soft_taint,
    undo_removal,
    unneeded_since,
)
from springtide.cluster.manifests import node_from_manifest
from tests.unit.actuation.world import EPOCH, HARD, SOFT, merge_patch

SINCE = EPOCH + timedelta(minutes=3)
RECORD = RemovalRecord(
    phase=RemovalPhase.TAINTED,
    since=EPOCH,
    deadline=EPOCH + timedelta(minutes=10),
    plan_id="plan-1",
    cordoned_by_us=False,
    pool="general",
    group="a",
    instance="i-1",
    node_uid="uid-1",
    reason="Empty",
    pods=("p-1",),
)
GPU = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
LOST = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T11:59:00Z"}


def node(**spec: Any) -> dict[str, Any]:
    metadata = {
        "name": "n1",
        "uid": "uid-1",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T11:00:00Z",
    }
    return {"metadata": metadata, "spec": spec}


def after(before: dict[str, Any], patch: Any) -> dict[str, Any]:
    assert patch["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    merged = merge_patch(before, patch)
    if not merged["metadata"].get("annotations"):
        merged["metadata"].pop("annotations", None)
    return merged


@given(
    taints=st.lists(st.sampled_from([GPU, LOST]), unique_by=lambda taint: taint["key"]),
    cordoned=st.booleans(),
)
def test_undoing_a_removal_restores_the_node_exactly(taints: list[dict[str, str]], cordoned: bool) -> None:
    spec: dict[str, Any] = {"providerID": "aws:///a/i-1"}
    if taints:
        spec["taints"] = taints
    if cordoned:
        spec["unschedulable"] = True
    before = node(**spec)
    marked = after(before, begin_removal(before, RECORD))
    assert marked["spec"]["unschedulable"] is True
    assert {"key": HARD, "value": "1767268800", "effect": "NoSchedule"} in marked["spec"]["taints"]
    draining = after(marked, enter_phase(marked, _in_phase(marked, RemovalPhase.DRAINING)))
    assert after(draining, undo_removal(draining, RECORD)) == before


def _in_phase(marked: dict[str, Any], phase: RemovalPhase) -> RemovalRecord:
    present = load_record(marked["metadata"]["annotations"])
    assert present is not None
    return msgspec.structs.replace(present, phase=phase)


def test_marks_that_are_there_already_are_not_written_again() -> None:
    marked = after(node(), begin_removal(node(), RECORD))
    assert begin_removal(marked, RECORD) is None
    assert enter_phase(marked, RECORD) is None


def test_undoing_leaves_another_plans_removal_alone() -> None:
    marked = after(node(), begin_removal(node(), RECORD))
    assert undo_removal(marked, msgspec.structs.replace(RECORD, plan_id="plan-2")) is None
    with pytest.raises(Withdrawn):
        begin_removal(marked, msgspec.structs.replace(RECORD, plan_id="plan-2"))


def test_an_annotation_nobody_can_read_is_taken_off_with_the_taint_but_the_cordon_stays() -> None:
    broken = after(node(), begin_removal(node(), RECORD))
    broken["metadata"]["annotations"]["springtide.dev/removal"] = "{"
    undone = after(broken, undo_removal(broken, None))
    assert undone["spec"] == {"unschedulable": True}
    assert removal_of(node_from_manifest(broken)).phase == "Unreadable"


def test_a_record_tells_what_is_in_flight() -> None:
    marked = after(node(), begin_removal(node(), RECORD))
    found = removal_of(node_from_manifest(marked))
    assert found is not None
    assert (found.node, found.pool, found.group, found.phase, found.since) == (
        "n1",
        "general",
        "a",
        "Tainted",
        EPOCH,
    )
    assert removal_of(node_from_manifest(node())) is None


def test_a_soft_taint_we_wrote_keeps_the_time() -> None:
    tainted = after(node(taints=[GPU]), set_soft_taint(node(taints=[GPU]), SINCE))
    assert tainted["spec"]["taints"] == [
        GPU,
        {"key": SOFT, "value": "1767268980", "effect": "PreferNoSchedule"},
    ]
    assert unneeded_since(node_from_manifest(tainted)) == SINCE
    assert set_soft_taint(tainted, SINCE) is None
    assert after(tainted, lift_soft_taint(tainted)) == node(taints=[GPU])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("1767268980", None, id="by Cluster Autoscaler"),
        pytest.param("1767268980", "1767200000", id="changed since we wrote it"),
        pytest.param("", "", id="without a value"),
        pytest.param("²", "²", id="with digits that are no number"),
        pytest.param("999999999999", "999999999999", id="beyond all time"),
    ],
)
def test_a_soft_taint_is_not_trusted_when(value: str, written: str | None) -> None:
    foreign = node(taints=[{"key": SOFT, "value": value, "effect": "PreferNoSchedule"}])
    if written is not None:
        foreign["metadata"]["annotations"] = {"springtide.dev/unneeded-since": written}
    assert unneeded_since(node_from_manifest(foreign)) is None


def test_a_soft_taint_of_cluster_autoscaler_is_replaced_and_lifted_but_not_released() -> None:
    foreign = node(taints=[{"key": SOFT, "value": "1", "effect": "PreferNoSchedule"}])
    ours = after(copy.deepcopy(foreign), set_soft_taint(foreign, SINCE))
    assert len(ours["spec"]["taints"]) == 1
    assert unneeded_since(node_from_manifest(ours)) == SINCE
    assert after(foreign, lift_soft_taint(foreign)) == node()
    assert release_soft_taint(foreign) is None
    assert after(ours, release_soft_taint(ours)) == node()


# --- taints of another autoscaler --------------------------------------------------------------------------------

LEFT = {"key": HARD, "value": "1700000000", "effect": "NoSchedule"}


def test_the_taint_that_another_autoscaler_left_is_taken_off_and_nothing_else() -> None:
    before = node(taints=[GPU, LEFT], unschedulable=True)
    patch = lift_foreign_taint(before, "1700000000")
    assert after(before, patch)["spec"] == {"taints": [GPU], "unschedulable": True}


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(node(taints=[GPU]), id="it is gone"),
        pytest.param(node(taints=[{**LEFT, "value": "1800000000"}]), id="it was set anew"),
        pytest.param(node(), id="there are no taints"),
    ],
)
def test_another_taint_than_the_one_that_was_judged_stays(before: dict[str, Any]) -> None:
    assert lift_foreign_taint(before, "1700000000") is None


def test_the_taint_of_a_removal_of_ours_stays() -> None:
    begun = after(node(), begin_removal(node(), RECORD))
    value = begun["spec"]["taints"][0]["value"]
    assert lift_foreign_taint(begun, value) is None


def test_a_removal_that_takes_over_replaces_the_taint_and_leaves_the_cordon() -> None:
    before = node(taints=[GPU, LEFT], unschedulable=True)
    begun = after(before, begin_removal(before, RECORD, takes_over="1700000000"))
    [gpu, ours] = begun["spec"]["taints"]
    assert (gpu, ours["key"], ours["value"]) == (GPU, HARD, str(int(EPOCH.timestamp())))
    record = load_record(begun["metadata"]["annotations"])
    assert record is not None
    assert not record.cordoned_by_us
    undone = after(begun, undo_removal(begun, record))
    assert undone["spec"] == {"taints": [GPU], "unschedulable": True}


@pytest.mark.parametrize("takes_over", ["", "1600000000"])
def test_a_removal_does_not_begin_on_a_node_that_somebody_else_is_removing(takes_over: str) -> None:
    with pytest.raises(Withdrawn, match="another autoscaler"):
        begin_removal(node(taints=[LEFT]), RECORD, takes_over=takes_over)
