"""Which Auto Scaling groups a NodePool means: by their names, or by their tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from springtide.api.conditions import Reason
from springtide.api.nodepool import AwsProvider as AwsSpec
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import PoolProblem
from springtide.providers.aws.groups import AutoScalingGroup, read_by_names, read_by_tags
from springtide.providers.aws.session import Region
from springtide.providers.base import ProviderError

FIELD = "spec.provider.aws"

_NEEDED_PROCESSES = ("Launch", "Terminate")


@dataclass(frozen=True, slots=True)
class Found:
    """The groups of one pool, or why they could not be read."""

    groups: tuple[AutoScalingGroup, ...] = ()
    problems: tuple[PoolProblem, ...] = ()
    error: ProviderError | None = None


async def discover(region: Region, pools: Sequence[NodePool], *, cluster_name: str) -> Mapping[str, Found]:
    """Find the groups of all these pools of one region in few calls; keys are pool names. Never raises ProviderError."""
    found: dict[str, Found] = {}
    named = [pool for pool in pools if spec_of(pool).auto_scaling_groups is not None]
    found.update(await _by_names(region, named))
    known: dict[frozenset[tuple[str, str]], Found] = {}
    for pool in pools:
        discovery = spec_of(pool).discovery
        if discovery is None:
            continue
        if problem := _not_ours(discovery.tags, cluster_name=cluster_name):
            found[pool.name] = Found(problems=(problem,))
            continue
        wanted = frozenset(discovery.tags.items())
        if wanted not in known:
            known[wanted] = await _by_tags(region, discovery.tags)
        found[pool.name] = known[wanted]
    return found


def spec_of(pool: NodePool) -> AwsSpec:
    """The pool's spec.provider.aws."""
    spec = pool.spec.provider.aws
    if spec is None:
        raise ValueError(f"NodePool {pool.name} is not of provider aws")
    return spec


async def _by_names(region: Region, pools: Sequence[NodePool]) -> Mapping[str, Found]:
    wanted = {name for pool in pools for name in spec_of(pool).auto_scaling_groups or ()}
    if not wanted:
        return {}
    try:
        existing = await read_by_names(region, wanted)
    except ProviderError as error:
        return {pool.name: Found(error=error) for pool in pools}
    return {pool.name: _named(pool, existing, region=region.name) for pool in pools}


def _named(pool: NodePool, existing: Mapping[str, AutoScalingGroup], *, region: str) -> Found:
    groups: dict[str, AutoScalingGroup] = {}
    missing: list[tuple[int, str]] = []
    for index, name in enumerate(spec_of(pool).auto_scaling_groups or ()):
        if name in existing:
            groups[name] = existing[name]
        else:
            missing.append((index, name))
    problems = tuple(
        PoolProblem(
            reason=Reason.GROUP_NOT_FOUND,
            field=f"{FIELD}.autoScalingGroups[{index}]",
            message=f"{FIELD}.autoScalingGroups[{index}]: there is no Auto Scaling group {name!r} in {region}; "
            "correct the name or the region, or remove it from the list",
            # A pool with some of its groups goes on with these; without any there is nothing to go on with.
            fatal=not groups,
        )
        for index, name in missing
    )
    return _usable(tuple(groups.values()), problems)


async def _by_tags(region: Region, tags: Mapping[str, str]) -> Found:
    try:
        groups = await read_by_tags(region, tags)
    except ProviderError as error:
        return Found(error=error)
    if groups:
        return _usable(tuple(groups.values()), ())
    text = ", ".join(f"{key}={value}" if value else key for key, value in sorted(tags.items()))
    problem = PoolProblem(
        reason=Reason.GROUP_NOT_FOUND,
        field=f"{FIELD}.discovery.tags",
        message=f"{FIELD}.discovery.tags: no Auto Scaling group in {region.name} has all of the tags {text}; "
        "tag the groups, or correct the tags",
    )
    return Found(problems=(problem,))


def _usable(groups: tuple[AutoScalingGroup, ...], problems: tuple[PoolProblem, ...]) -> Found:
    """Leave out groups that cannot be managed, saying why."""
    refused: dict[str, str] = {}
    for group in groups:
        if group.launch.weighted:
            refused[group.name] = (
                "counts weights instead of instances; remove WeightedCapacity from its mixed instances policy"
            )
        elif group.status:
            refused[group.name] = f"is being deleted ({group.status}); remove it from the pool"
    kept = tuple(group for group in groups if group.name not in refused)
    found = [_unusable(name, why, fatal=not kept) for name, why in refused.items()]
    found += [
        _unusable(
            group.name, f"has its process {process} suspended, so it does not follow; resume it", fatal=False
        )
        for group in kept
        for process in _NEEDED_PROCESSES
        if process in group.suspended
    ]
    return Found(groups=kept, problems=(*problems, *found))


def _unusable(name: str, why: str, *, fatal: bool) -> PoolProblem:
    message = f"{FIELD}: Auto Scaling group {name!r} {why}"
    return PoolProblem(reason=Reason.GROUP_UNUSABLE, field=FIELD, message=message, fatal=fatal)


def _not_ours(tags: Mapping[str, str], *, cluster_name: str) -> PoolProblem | None:
    """Discovery without the cluster's name would take other clusters' groups, and scale them down as idle."""
    field = f"{FIELD}.discovery.tags"
    if not cluster_name:
        message = (
            f"{field}: the operator does not know its cluster's name; start it with --cluster-name, "
            "or list the groups in autoScalingGroups"
        )
    elif any(key.endswith(f"/{cluster_name}") or value == cluster_name for key, value in tags.items()):
        return None
    else:
        message = (
            f"{field}: no tag names this cluster ({cluster_name}), so groups of other clusters would be taken; "
            f'add k8s.io/cluster-autoscaler/{cluster_name}: "" and tag the groups with it'
        )
    return PoolProblem(reason=Reason.DISCOVERY_NOT_OWNED, field=field, message=message)
