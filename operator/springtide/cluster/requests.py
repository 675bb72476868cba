"""What a pod costs: its effective request, exactly as kube-scheduler 1.36 computes it.

Source: PodRequests of k8s.io/component-helpers v0.36 (resource/helpers.go) with UseStatusResources and
InPlacePodLevelResourcesVerticalScaling on, as the scheduler calls it. Amounts are summed in billionths and
rounded up once at the end, because rounding each container's request would give other sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from springtide.cluster.quantity import nano_to_amount, parse_nano
from springtide.cluster.wire import (
    ActuatedWire,
    ContainerStatusWire,
    ContainerWire,
    PodSpecWire,
    PodStatusWire,
    ResourcesWire,
    ResourceTexts,
)

NanoAmounts = dict[str, int]
"""Resource name -> amount in billionths of a unit."""

Resized = Mapping[str, NanoAmounts]
"""Container name -> its cost while a resize is not settled; POD_LEVEL for the pod's own resources."""

POD_LEVEL = ""

_SETTLED: Resized = {}


def effective_requests(spec: PodSpecWire, resized: Resized = _SETTLED) -> dict[str, int]:
    """The pod's request per resource: cpu in milli, others in whole units; only what is above zero."""
    total = _containers_sum(spec, resized)
    _max_into(total, _init_peak(spec.init_containers, resized))
    _replace_by_pod_level(total, spec.resources, resized.get(POD_LEVEL))
    _add_into(total, _parsed(spec.overhead))
    return {name: nano_to_amount(name, nano) for name, nano in total.items() if nano > 0}


def resized_requests(spec: PodSpecWire, status: PodStatusWire) -> Resized:
    """What containers cost whose resize in place is under way, deferred or infeasible; empty if none is.

    Such a container costs the largest of what is asked for, allocated and actuated; what is asked for does
    not count once the kubelet called it infeasible.
    """
    infeasible = _resize_is_infeasible(status)
    resized: dict[str, NanoAmounts] = {}
    for reported in (*status.container_statuses, *status.init_container_statuses):
        if reported.resources is None:
            continue
        container = _running_container(spec, reported.name)
        if container is not None and _is_unsettled(container.resources, reported, infeasible=infeasible):
            asked = {} if infeasible else container_requests(container)
            resized[reported.name] = _largest(asked, reported)
    if spec.resources is not None and _is_unsettled(spec.resources, status, infeasible=infeasible):
        asked = {} if infeasible else _parsed(spec.resources.requests)
        resized[POD_LEVEL] = _largest(asked, status)
    return resized


def is_sidecar(container: ContainerWire) -> bool:
    """Of an init container: whether it keeps running beside the main containers."""
    return container.restart_policy == "Always"


def container_requests(container: ContainerWire) -> NanoAmounts:
    """One container's requests. A limit without a request counts as one.

    The API server stores it so for pods, but leaves templates (of DaemonSets) as they were written.
    """
    if container.resources is None:
        return {}
    amounts = _parsed(container.resources.requests)
    for name, text in (container.resources.limits or {}).items():
        if name not in amounts:
            amounts[name] = parse_nano(text)
    return amounts


def _containers_sum(spec: PodSpecWire, resized: Resized) -> NanoAmounts:
    total: NanoAmounts = {}
    for container in spec.containers:
        _add_into(total, _cost(container, resized))
    for container in spec.init_containers:
        if is_sidecar(container):
            _add_into(total, _cost(container, resized))
    return total


def _init_peak(init_containers: Iterable[ContainerWire], resized: Resized) -> NanoAmounts:
    """The most that is needed at once while starting: each init container beside the sidecars before it."""
    peak: NanoAmounts = {}
    sidecars: NanoAmounts = {}
    for container in init_containers:
        if is_sidecar(container):
            _add_into(sidecars, _cost(container, resized))
            _max_into(peak, sidecars)
        else:
            needed = dict(sidecars)
            _add_into(needed, container_requests(container))
            _max_into(peak, needed)
    return peak


def _cost(container: ContainerWire, resized: Resized) -> NanoAmounts:
    known = resized.get(container.name)
    return known if known is not None else container_requests(container)


def _replace_by_pod_level(
    total: NanoAmounts, resources: ResourcesWire | None, resized: NanoAmounts | None
) -> None:
    if resources is None:
        return
    for name, text in (resources.requests or {}).items():
        if _has_pod_level(name):
            total[name] = parse_nano(text) if resized is None else resized.get(name, 0)
    for name, text in (resources.limits or {}).items():
        # In templates only, as for containers: the API server fills in the missing pod-level request.
        if _has_pod_level(name) and name not in total:
            total[name] = parse_nano(text)


def _has_pod_level(resource: str) -> bool:
    return resource in ("cpu", "memory") or resource.startswith("hugepages-")


def _running_container(spec: PodSpecWire, name: str) -> ContainerWire | None:
    """The container or sidecar of that name. A plain init container cannot be resized."""
    for container in spec.containers:
        if container.name == name:
            return container
    for container in spec.init_containers:
        if container.name == name and is_sidecar(container):
            return container
    return None


def _resize_is_infeasible(status: PodStatusWire) -> bool:
    for condition in status.conditions:
        if condition.type == "PodResizePending":
            return condition.reason == "Infeasible"
    return False


def _is_unsettled(
    wanted: ResourcesWire | None, reported: ContainerStatusWire | PodStatusWire, *, infeasible: bool
) -> bool:
    """Compares texts, as the API server stores canonical ones; a difference in writing only costs time."""
    if reported.resources is None:
        return False
    asked = _texts(wanted)
    return infeasible or _texts(reported.resources) != asked or (reported.allocated_resources or {}) != asked


def _texts(resources: ResourcesWire | ActuatedWire | None) -> ResourceTexts:
    return (resources.requests if resources is not None else None) or {}


def _parsed(texts: ResourceTexts | None) -> NanoAmounts:
    return {name: parse_nano(text) for name, text in (texts or {}).items()}


def _largest(asked: NanoAmounts, reported: ContainerStatusWire | PodStatusWire) -> NanoAmounts:
    result = dict(asked)
    _max_into(result, _parsed(_texts(reported.resources)))
    _max_into(result, _parsed(reported.allocated_resources))
    return result


def _add_into(total: NanoAmounts, more: Mapping[str, int]) -> None:
    for name, nano in more.items():
        total[name] = total.get(name, 0) + nano


def _max_into(total: NanoAmounts, other: Mapping[str, int]) -> None:
    for name, nano in other.items():
        if nano > total.get(name, -1):
            total[name] = nano
