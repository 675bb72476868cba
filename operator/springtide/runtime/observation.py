"""From what is known right now to the snapshot a pass decides on. Reads memory and caches only: no I/O, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from springtide.actuation.actuator import InFlight
from springtide.actuation.taints import removal_of, unneeded_since
from springtide.api.conditions import Reason
from springtide.api.nodepool import NodePool
from springtide.api.parse import InvalidResource
from springtide.api.policy import AutoscalerPolicy
from springtide.cluster.degradation import Degradation, against_purchases, against_removals
from springtide.cluster.groups import LaunchFailure, NodeGroup, PoolListing, PoolProblem
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import PoolView, Promise, RemovalInFlight, Snapshot
from springtide.reporting.phrases import elapsed
from springtide.runtime.memory import PoolMemory
from springtide.runtime.pools import policy_views, pool_views
from springtide.runtime.settings import OperatorSettings

CorrectGroup = Callable[[NodeGroup], NodeGroup]
"""Puts our own last acknowledged write over an older reading of a group's target."""


def observe(
    *,
    now: datetime,
    plan_id: str,
    picture: ClusterPicture,
    pools: Iterable[NodePool],
    policies: tuple[AutoscalerPolicy | InvalidResource, ...],
    listings: Mapping[str, PoolListing],
    memories: Mapping[str, PoolMemory],
    refusals: Mapping[tuple[str, str], LaunchFailure],
    in_flight: InFlight,
    promised: Mapping[str, Promise],
    recently_refused: frozenset[tuple[PodShape, str]],
    unneeded: Mapping[str, datetime],
    timed: Collection[str],
    correct: CorrectGroup,
    degradations: tuple[Degradation, ...],
    relief: int,
    settings: OperatorSettings,
    kept_nodes: Mapping[str, str] = MappingProxyType({}),
    cluster_autoscaler: str = "",
) -> Snapshot:
    """Put the snapshot together.

    `refusals`: purchases that the cloud refused outright, by (pool, group); planning sees them as launch failures.
    `unneeded`: the timers of this process, by node name. They count for pools in `timed` (uids), whose nodes it has
    judged before; the others' soft taints are trusted if somebody kept watching.
    """
    views = pool_views(pools, policies, listings, memories, now=now)
    views = tuple(_usable(view, refusals, correct, settings) for view in views)
    return Snapshot(
        now=now,
        plan_id=plan_id,
        picture=picture,
        pools=views,
        policies=policy_views(policies),
        removals=_removals(picture, in_flight.removals),
        unneeded_since={**_stored_timers(picture, views, memories, timed, now), **unneeded},
        promised=promised,
        recently_refused=recently_refused,
        recently_evicted=in_flight.recently_evicted,
        kept_nodes=kept_nodes,
        cluster_autoscaler=cluster_autoscaler,
        purchases_forbidden=against_purchases(degradations),
        removals_forbidden=against_removals(degradations),
        degradations=degradations,
        relief=relief,
    )


def _usable(
    view: PoolView,
    refusals: Mapping[tuple[str, str], LaunchFailure],
    correct: CorrectGroup,
    settings: OperatorSettings,
) -> PoolView:
    """The view with our own knowledge in it, and left alone when the cloud was not read for too long."""
    groups = tuple(
        _with_refusal(correct(group), refusals.get((view.name, group.id))) for group in view.groups
    )
    problems = view.problems
    if view.picture_age > settings.max_picture_age_removals and groups:
        message = (
            f"spec.provider: the cloud was last read more than {elapsed(settings.max_picture_age_removals)} ago: "
            "nothing is bought or removed until it answers again"
        )
        problems = (*problems, PoolProblem(Reason.STALE_PICTURE, "spec.provider", message))
    return replace(view, groups=groups, problems=problems)


def _with_refusal(group: NodeGroup, refusal: LaunchFailure | None) -> NodeGroup:
    return group if refusal is None else replace(group, failures=(*group.failures, refusal))


def _removals(picture: ClusterPicture, owned: Mapping[str, RemovalInFlight]) -> dict[str, RemovalInFlight]:
    """Every removal of ours: by the nodes' annotations, and those so young that no informer has shown them yet."""
    found = {node.name: removal for node in picture.nodes if (removal := removal_of(node)) is not None}
    return {**found, **owned}


def _stored_timers(
    picture: ClusterPicture,
    views: Iterable[PoolView],
    memories: Mapping[str, PoolMemory],
    timed: Collection[str],
    now: datetime,
) -> dict[str, datetime]:
    """Unneeded-since by node, from soft taints of our own, in pools that someone kept watching before this process.

    The clouds are first read after the first pass: until then nobody knows which node is of which pool.
    """
    trusted = {
        instance.provider_id
        for view in views
        if view.uid not in timed and view.name in memories and memories[view.name].timers_trusted(now)
        for group in view.groups
        for instance in group.instances
    }
    return {
        node.name: since
        for node in picture.nodes
        if node.provider_id in trusted and (since := unneeded_since(node)) is not None and since <= now
    }
