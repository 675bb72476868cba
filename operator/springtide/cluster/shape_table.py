"""Interning of pod shapes: equal scheduling-relevant fields give the same PodShape object.

Shapes live as long as a pod (or a snapshot) holds them; the table only holds weak references. The number of a
shape that is gone is given to a later one, so numbers stay dense however many shapes come and go.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from springtide.cluster.pod_constraints import affinity_term, spread_constraint
from springtide.cluster.requests import Resized, effective_requests, is_sidecar, resized_requests
from springtide.cluster.shape import (
    HostPort,
    NodeRequirement,
    NodeSelectorOperator,
    NodeSelectorTerm,
    PodShape,
    Toleration,
    Unmodelled,
)
from springtide.cluster.volumes.needs import VolumeNeeds
from springtide.cluster.wire import (
    AffinityWire,
    ContainerWire,
    NodeTermWire,
    PodAffinityTermWire,
    PodSpecWire,
    PodStatusWire,
    RequirementWire,
    SpreadWire,
    TolerationWire,
)

PER_POD_LABELS = frozenset(
    {
        # One value per pod: written by the StatefulSet and Job controllers.
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-completion-index",
        # One value per Job, and most Jobs have a single pod.
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
    }
)
"""Labels that would make nearly every pod a shape of its own. They stay out of the shape (they are in
PodRecord.own_labels) unless the pod itself carries a pod affinity or a hard spread, whose meaning may hang on
them.

Labels that workloads share, pod-template-hash among them, stay in: selectors of other pods may see them.
"""

_NO_STATUS = PodStatusWire()


class _Key(msgspec.Struct, array_like=True, gc=False):
    """All that scheduling reads of a pod, in a fixed order: encoded, it is the shape's identity."""

    namespace: str
    labels: Mapping[str, str]
    node_selector: Mapping[str, str] | None
    node_terms: tuple[NodeTermWire, ...] | None
    pod_affinity: tuple[PodAffinityTermWire, ...]
    pod_anti_affinity: tuple[PodAffinityTermWire, ...]
    hard_spread: tuple[SpreadWire, ...]
    tolerations: tuple[TolerationWire, ...]
    containers: tuple[ContainerWire, ...]
    init_containers: tuple[ContainerWire, ...]
    overhead: Mapping[str, str] | None
    resources: Any
    resized: str
    resource_claims: bool
    host_network: bool
    priority: int
    unreadable: bool


class ShapeTable:
    """The shapes of one process. Intern from one thread only; shapes may be dropped in any."""

    def __init__(self) -> None:
        self._shapes: weakref.WeakValueDictionary[bytes, PodShape] = weakref.WeakValueDictionary()
        self._with_volumes: weakref.WeakValueDictionary[tuple[PodShape, VolumeNeeds], PodShape] = (
            weakref.WeakValueDictionary()
        )
        self._free_numbers: list[int] = []
        self._next_number = 0
        # Sorted keys, so that the order in which a manifest was written makes no difference.
        self._encode = msgspec.msgpack.Encoder(order="deterministic").encode

    def __len__(self) -> int:
        """Shapes alive."""
        return len(self._shapes) + len(self._with_volumes)

    @property
    def size(self) -> int:
        """One more than the largest number ever given: rows an array over all shapes needs."""
        return self._next_number

    def intern(
        self,
        spec: PodSpecWire,
        *,
        namespace: str,
        labels: Mapping[str, str],
        status: PodStatusWire = _NO_STATUS,
        pinned_to: str = "",
        unreadable: bool = False,
    ) -> PodShape:
        """The shape of a pod with this spec; `unreadable`: the spec says nothing of what the pod needs.

        `pinned_to`: a node name whose matchFields requirement (which the DaemonSet controller writes into
        each of its pods) is left out, or each pod of a DaemonSet would be its own shape.
        """
        resized = resized_requests(spec, status)
        key = _key(
            spec,
            namespace=namespace,
            labels=labels,
            resized=resized,
            pinned_to=pinned_to,
            unreadable=unreadable,
        )
        encoded = self._encode(key)
        shape = self._shapes.get(encoded)
        if shape is None:
            shape = _build(self._take_number(), key, effective_requests(spec, resized))
            self._shapes[encoded] = shape
            self._give_number_back(shape)
        return shape

    def with_volumes(self, shape: PodShape, needs: VolumeNeeds) -> PodShape:
        """The shape of pods that are alike in everything but have volumes with these needs."""
        with_needs = self._with_volumes.get((shape, needs))
        if with_needs is None:
            with_needs = replace(shape, number=self._take_number(), volumes=needs)
            self._with_volumes[shape, needs] = with_needs
            self._give_number_back(with_needs)
        return with_needs

    def _give_number_back(self, shape: PodShape) -> None:
        """When the shape is gone."""
        # heappush is atomic under the GIL: the last reference may be dropped in a planning thread.
        release = weakref.finalize(shape, heapq.heappush, self._free_numbers, shape.number)
        release.atexit = False

    def _take_number(self) -> int:
        if self._free_numbers:
            return heapq.heappop(self._free_numbers)
        self._next_number += 1
        return self._next_number - 1


def shared_labels(labels: Mapping[str, str], spec: PodSpecWire) -> Mapping[str, str]:
    """The labels that belong to the shape: without PER_POD_LABELS, unless the pod's constraints need them."""
    if PER_POD_LABELS.isdisjoint(labels) or _selects_pods(spec):
        return labels
    return {name: value for name, value in labels.items() if name not in PER_POD_LABELS}


def _key(
    spec: PodSpecWire,
    *,
    namespace: str,
    labels: Mapping[str, str],
    resized: Resized,
    pinned_to: str,
    unreadable: bool,
) -> _Key:
    affinity = spec.affinity
    return _Key(
        namespace=namespace,
        labels=shared_labels(labels, spec),
        node_selector=spec.node_selector,
        node_terms=_node_terms(affinity, pinned_to) if affinity is not None else None,
        pod_affinity=_required_affinity(affinity),
        pod_anti_affinity=_required_anti_affinity(affinity),
        hard_spread=_hard_spread(spec),
        tolerations=spec.tolerations,
        containers=spec.containers,
        init_containers=spec.init_containers,
        overhead=spec.overhead,
        resources=spec.resources,
        # As text, for amounts in billionths may not fit the encoder's 64 bits.
        resized=repr(resized) if resized else "",
        resource_claims=bool(spec.resource_claims),
        host_network=spec.host_network,
        priority=spec.priority or 0,
        unreadable=unreadable,
    )


def _selects_pods(spec: PodSpecWire) -> bool:
    return bool(
        (
            spec.affinity is not None
            and (_required_affinity(spec.affinity) or _required_anti_affinity(spec.affinity))
        )
        or _hard_spread(spec)
    )


def _required_affinity(affinity: AffinityWire | None) -> tuple[PodAffinityTermWire, ...]:
    if affinity is None or affinity.pod_affinity is None:
        return ()
    return affinity.pod_affinity.required_during_scheduling_ignored_during_execution


def _required_anti_affinity(affinity: AffinityWire | None) -> tuple[PodAffinityTermWire, ...]:
    if affinity is None or affinity.pod_anti_affinity is None:
        return ()
    return affinity.pod_anti_affinity.required_during_scheduling_ignored_during_execution


def _hard_spread(spec: PodSpecWire) -> tuple[SpreadWire, ...]:
    if not spec.topology_spread_constraints:
        return ()
    return tuple(c for c in spec.topology_spread_constraints if c.when_unsatisfiable == "DoNotSchedule")


def _node_terms(affinity: AffinityWire, pinned_to: str) -> tuple[NodeTermWire, ...] | None:
    if affinity.node_affinity is None:
        return None
    required = affinity.node_affinity.required_during_scheduling_ignored_during_execution
    if required is None:
        return None
    if not pinned_to:
        return required.node_selector_terms
    unpinned = tuple(_without_pin(term, pinned_to) for term in required.node_selector_terms)
    # The controller adds a lone matchFields term to pods that had no required affinity; a term that is now
    # empty means "no requirement" then, whereas in an API object it would match no node.
    if any(not term.match_expressions and not term.match_fields for term in unpinned):
        return None
    return unpinned


def _without_pin(term: NodeTermWire, node_name: str) -> NodeTermWire:
    kept = tuple(
        field for field in term.match_fields if field.key != "metadata.name" or field.values != (node_name,)
    )
    return NodeTermWire(match_expressions=term.match_expressions, match_fields=kept)


def _build(number: int, key: _Key, requests: Mapping[str, int]) -> PodShape:
    return PodShape(
        number=number,
        namespace=key.namespace,
        labels=dict(key.labels),
        requests=requests,
        node_selector=dict(key.node_selector or {}),
        node_affinity=None if key.node_terms is None else tuple(_term(term) for term in key.node_terms),
        tolerations=tuple(
            Toleration(key=t.key, operator=t.operator or "Equal", value=t.value, effect=t.effect)
            for t in key.tolerations
        ),
        host_ports=_host_ports(key),
        pod_affinity=tuple(affinity_term(t, namespace=key.namespace) for t in key.pod_affinity),
        pod_anti_affinity=tuple(affinity_term(t, namespace=key.namespace) for t in key.pod_anti_affinity),
        spread=tuple(spread_constraint(c, labels=key.labels) for c in key.hard_spread),
        priority=key.priority,
        unmodelled=_unmodelled(key),
    )


def _unmodelled(key: _Key) -> tuple[Unmodelled, ...]:
    present = {
        Unmodelled.RESOURCE_CLAIMS: key.resource_claims,
        Unmodelled.UNREADABLE: key.unreadable,
    }
    return tuple(constraint for constraint, there in present.items() if there)


def _term(term: NodeTermWire) -> NodeSelectorTerm:
    return NodeSelectorTerm(
        expressions=tuple(_requirement(r) for r in term.match_expressions),
        fields=tuple(_requirement(r) for r in term.match_fields),
    )


def _requirement(requirement: RequirementWire) -> NodeRequirement:
    return NodeRequirement(
        key=requirement.key, operator=NodeSelectorOperator(requirement.operator), values=requirement.values
    )


def _host_ports(key: _Key) -> tuple[HostPort, ...]:
    """Ports taken on the node: of containers and sidecars, not of plain init containers, as in the scheduler.

    In the host's network every container port is one; the API server says so in pods, but not in templates.
    """
    running = (*key.containers, *(c for c in key.init_containers if is_sidecar(c)))
    return tuple(
        HostPort(protocol=port.protocol or "TCP", host_ip=port.host_ip, port=number)
        for container in running
        for port in container.ports
        if (number := port.host_port or (port.container_port if key.host_network else 0)) > 0
    )
