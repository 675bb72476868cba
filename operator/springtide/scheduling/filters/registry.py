"""All filters, in kube-scheduler's order: the first that rejects is the verdict."""

from __future__ import annotations

from springtide.scheduling.filters import (
    inter_pod_affinity,
    node_affinity,
    node_name,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    node_volume_limits,
    not_modelled,
    pod_topology_spread,
    taint_toleration,
    volume_binding,
    volume_restrictions,
    volume_zone,
    whole_pod,
)
from springtide.scheduling.filters.base import Filter

FILTERS: tuple[Filter, ...] = (
    *whole_pod.PREFILTERS,
    node_affinity.PREFILTER,
    node_unschedulable.FILTER,
    node_name.FILTER,
    taint_toleration.FILTER,
    node_affinity.FILTER,
    node_ports.FILTER,
    node_resources_fit.FILTER,
    volume_restrictions.FILTER,
    node_volume_limits.FILTER,
    volume_binding.FILTER,
    volume_zone.FILTER,
    pod_topology_spread.FILTER,
    inter_pod_affinity.FILTER,
    not_modelled.FILTER,
)
