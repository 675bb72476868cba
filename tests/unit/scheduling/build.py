"""Nodes, pods and shapes for scheduling tests, with the fields that a test does not speak of filled in."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from springtide.cluster.records import NodeRecord, PodPhase, PodRecord, Taint, TaintEffect
from springtide.cluster.shape import NodeRequirement, NodeSelectorOperator, NodeSelectorTerm, PodShape

_NUMBERS = itertools.count()
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROOMY = {"cpu": 4000, "memory": 16 << 30, "pods": 110}


def shape(requests: Mapping[str, int] | None = None, **fields: Any) -> PodShape:
    known = {"namespace": "default", "labels": {}, **fields}
    return PodShape(number=next(_NUMBERS), requests=requests or {}, **known)


def node(name: str, allocatable: Mapping[str, int] | None = None, **fields: Any) -> NodeRecord:
    resources = ROOMY if allocatable is None else allocatable
    return NodeRecord(name=name, uid=name, created_at=_NOON, allocatable=resources, **fields)


def pod(of: PodShape, phase: PodPhase = PodPhase.RUNNING, **fields: Any) -> PodRecord:
    name = f"pod-{next(_NUMBERS)}"
    return PodRecord(
        uid=name, namespace="default", name=name, shape=of, created_at=_NOON, phase=phase, **fields
    )


def taint(text: str) -> Taint:
    """key=value:Effect or key:Effect, as kubectl writes it."""
    body, effect = text.rsplit(":", 1)
    key, _, value = body.partition("=")
    return Taint(key=key, value=value, effect=TaintEffect(effect))


def term(*expressions: str, fields: tuple[str, ...] = ()) -> NodeSelectorTerm:
    """Requirements as "key Operator value,value"."""
    return NodeSelectorTerm(
        expressions=tuple(requirement(text) for text in expressions),
        fields=tuple(requirement(text) for text in fields),
    )


def requirement(text: str) -> NodeRequirement:
    key, operator, *values = text.split(" ", 2)
    split = tuple(values[0].split(",")) if values else ()
    return NodeRequirement(key=key, operator=NodeSelectorOperator(operator), values=split)
