"""Templates corrected by experience: no fresh node is expected to hold more than the group's own nodes really do.

A template knows the machine's nominal size, or what spec.template says; the kubelet then reserves something, firmware
takes a few percent of the memory. A pod that fits the template but no real node would otherwise be bought for again and
again, up to the maximum. Cluster Autoscaler takes a real node for the template as soon as there is one; here labels and
taints stay those declared, since those of one node may be somebody's experiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from springtide.cluster.groups import Template
from springtide.cluster.records import NodeRecord

KNOWN_AT_ONCE: Final = ("cpu", "memory", "ephemeral-storage", "pods")
"""What a kubelet reports from the start. Devices come later, with their plugin: their absence proves nothing."""


def corrected(template: Template, nodes: Sequence[NodeRecord]) -> Template:
    """The template with no more allocatable than the largest of these ready nodes of its group has, and with what
    they say of the volumes they can attach, for no cloud says that."""
    if not nodes:
        return template
    allocatable = dict(template.allocatable)
    for resource in KNOWN_AT_ONCE:
        real = max(node.allocatable.get(resource, 0) for node in nodes)
        if resource in allocatable and 0 < real < allocatable[resource]:
            allocatable[resource] = real
    return replace(template, allocatable=allocatable, volume_limits=_most_volumes(nodes))


def _most_volumes(nodes: Sequence[NodeRecord]) -> Mapping[str, int]:
    """The largest limit that a node of the group has, by CSI driver: one that has only just started names fewer."""
    limits: dict[str, int] = {}
    for node in nodes:
        for driver, limit in node.volume_limits.items():
            limits[driver] = max(limit, limits.get(driver, limit))
    return limits


def as_siblings(templates: Mapping[tuple[str, str], Template]) -> Mapping[tuple[str, str], Template]:
    """By (pool, group): a group without nodes has the volume limits of an equally large group of its pool."""
    known = {
        (pool, _machine(template)): template.volume_limits
        for (pool, _), template in templates.items()
        if template.volume_limits
    }
    if not known:
        return templates
    return {
        key: template
        if template.volume_limits
        else replace(template, volume_limits=known.get((key[0], _machine(template)), {}))
        for key, template in templates.items()
    }


def _machine(template: Template) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(template.capacity.items()))
