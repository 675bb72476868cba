"""Records from manifests that are already Python dicts: read from YAML, a corpus or a single GET.

Informers never come this way (they decode bytes). All shapes made here share one table, so that equal pods
have the same shape wherever they were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from springtide.cluster import decode
from springtide.cluster.records import (
    DaemonSetRecord,
    DisruptionBudget,
    LeaseRecord,
    NodeRecord,
    PodRecord,
    Workload,
)
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.wire import BudgetWire, DaemonSetWire, LeaseWire, NodeWire, PodWire, WorkloadWire

_Wire = TypeVar("_Wire")

_SHAPES = ShapeTable()

WORKLOAD_KINDS = ("ReplicaSet", "ReplicationController", "StatefulSet", "Job", "DaemonSet")


def pod_from_manifest(manifest: Mapping[str, Any], *, shapes: ShapeTable | None = None) -> PodRecord:
    """Raises msgspec.ValidationError if a field has the wrong type, QuantityError for a bad quantity."""
    return decode.pod_record(_convert(manifest, PodWire), shapes if shapes is not None else _SHAPES)


def node_from_manifest(manifest: Mapping[str, Any]) -> NodeRecord:
    return decode.node_record(_convert(manifest, NodeWire))


def disruption_budget_from_manifest(manifest: Mapping[str, Any]) -> DisruptionBudget:
    return decode.disruption_budget(_convert(manifest, BudgetWire))


def workload_from_manifest(manifest: Mapping[str, Any], *, kind: str | None = None) -> Workload:
    """`kind` is needed where the manifest does not say it, as in the items of a list."""
    kind = kind or str(manifest.get("kind", ""))
    if kind not in WORKLOAD_KINDS:
        raise ValueError(f"{kind!r} is not a workload; expected one of {', '.join(WORKLOAD_KINDS)}")
    if kind == "DaemonSet":
        return daemon_set_from_manifest(manifest).workload
    return decode.workload(_convert(manifest, WorkloadWire), kind=kind)


def daemon_set_from_manifest(
    manifest: Mapping[str, Any], *, shapes: ShapeTable | None = None
) -> DaemonSetRecord:
    return decode.daemon_set_record(
        _convert(manifest, DaemonSetWire), shapes if shapes is not None else _SHAPES
    )


def lease_from_manifest(manifest: Mapping[str, Any]) -> LeaseRecord:
    return decode.lease_record(_convert(manifest, LeaseWire))


def _convert(manifest: Mapping[str, Any], wire: type[_Wire]) -> _Wire:
    return msgspec.convert(manifest, wire)
