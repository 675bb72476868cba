"""Passing taints: those of a node's start, and those that say how it is for the moment. No pod is kept from being planned
on a new node by them. Cluster Autoscaler knows them by prefix; a pool's settings and its template can name others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from springtide.api.settings import ScaleUpSettings
from springtide.cluster.groups import Template
from springtide.cluster.records import Taint, TaintEffect
from springtide.cluster.snapshot import PoolView, Snapshot

STARTUP: Final = (
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
)
"""Always taints of the start; the second is Cluster Autoscaler's older name."""
STATUS: Final = ("status-taint.cluster-autoscaler.kubernetes.io/",)
"""Always taints of the moment."""


def is_startup(key: str, template: Template | None) -> bool:
    """Whether a taint goes away while a node of this template starts."""
    named = () if template is None else (taint.key for taint in template.startup_taints)
    return key.startswith(STARTUP) or is_named(key, named)


def is_status(key: str, template: Template | None) -> bool:
    """Whether a taint says how a node of this template is for the moment."""
    return key.startswith(STATUS) or (template is not None and is_named(key, template.status_taints))


def is_named(key: str, names: Iterable[str]) -> bool:
    """Whether the key is one of these; a name that ends in / stands for all keys that begin with it."""
    return any(key == name or (name.endswith("/") and key.startswith(name)) for name in names)


def with_passing_taints(snapshot: Snapshot) -> Snapshot:
    """The snapshot with what pools' settings say of taints in their groups' templates, where all else looks for it."""
    if not any(_names_taints(pool.settings.scale_up) for pool in snapshot.pools):
        return snapshot
    return replace(snapshot, pools=tuple(_ruled(pool) for pool in snapshot.pools))


def _names_taints(settings: ScaleUpSettings) -> bool:
    return bool(settings.startup_taints or settings.status_taints)


def _ruled(pool: PoolView) -> PoolView:
    settings = pool.settings.scale_up
    if not _names_taints(settings):
        return pool
    known: Mapping[str, Template | None] = {
        group.id: _sorted_out(group.template, settings) if group.template else None for group in pool.groups
    }
    return replace(pool, groups=tuple(replace(group, template=known[group.id]) for group in pool.groups))


def _sorted_out(template: Template, settings: ScaleUpSettings) -> Template:
    named = tuple(Taint(key, "", TaintEffect.NO_SCHEDULE) for key in settings.startup_taints)
    passing = (*settings.startup_taints, *settings.status_taints)
    return replace(
        template,
        taints=tuple(taint for taint in template.taints if not is_named(taint.key, passing)),
        startup_taints=(*template.startup_taints, *named),
        status_taints=(*template.status_taints, *settings.status_taints),
    )
