"""All filters, in kube-scheduler's order: the first that rejects is the verdict."""

from __future__ import annotations

from springtide.scheduling.filters import (
    node_affinity,
    node_name,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    not_modelled,
    taint_toleration,
)
from springtide.scheduling.filters.base import Filter

FILTERS: tuple[Filter, ...] = (
    node_affinity.PREFILTER,
    node_unschedulable.FILTER,
    node_name.FILTER,
    taint_toleration.FILTER,
    node_affinity.FILTER,
    node_ports.FILTER,
    node_resources_fit.FILTER,
    not_modelled.FILTER,
)
