"""From NodePools, policies and cloud listings to what a pass may act on: who owns which group, and what is wrong.

Pure: the same resources give the same views. A pool with a fatal problem is left alone and says why; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from springtide.api.conditions import Reason
from springtide.api.nodepool import NodePool
from springtide.api.parse import InvalidResource
from springtide.api.policy import AutoscalerPolicy, AutoscalerPolicySpec
from springtide.api.resolve import PoolSettings, contradictions, resolve
from springtide.cluster.groups import NodeGroup, PoolListing, PoolProblem
from springtide.cluster.snapshot import PolicyView, PoolView
from springtide.runtime.memory import PoolMemory

NEVER_READ = timedelta(days=365)
"""Age of a listing that does not exist yet: too old for anything."""

PROVIDER = "spec.provider"


def policy_views(policies: Iterable[AutoscalerPolicy | InvalidResource]) -> tuple[PolicyView, ...]:
    """The policies that can be followed, oldest first."""
    valid = [p for p in policies if isinstance(p, AutoscalerPolicy) and not p.metadata.being_deleted]
    return tuple(
        PolicyView(
            name=policy.name,
            uid=policy.metadata.uid,
            generation=policy.metadata.generation,
            created_at=_created(policy.metadata.creation_timestamp),
            spec=policy.spec,
        )
        for policy in sorted(valid, key=lambda policy: policy.metadata.seniority)
    )


def pool_views(
    pools: Iterable[NodePool],
    policies: Iterable[AutoscalerPolicy | InvalidResource],
    listings: Mapping[str, PoolListing],
    memories: Mapping[str, PoolMemory],
    *,
    now: datetime,
) -> tuple[PoolView, ...]:
    """One view for each NodePool that is not being deleted, oldest first; `memories` by pool name."""
    alive = sorted(
        (p for p in pools if not p.metadata.being_deleted), key=lambda pool: pool.metadata.seniority
    )
    by_name = {p.metadata.name if isinstance(p, AutoscalerPolicy) else p.name: p for p in policies}
    claims = claimed_groups(alive, listings)
    return tuple(
        _view(
            pool,
            by_name.get(pool.spec.policy_ref.name),
            listings.get(pool.name),
            memories.get(pool.name, PoolMemory()),
            claims,
            now,
        )
        for pool in alive
    )


def group_key(pool: NodePool, group: str) -> tuple[str, str, str]:
    """Identifies a node group over all pools: provider kind, region, id. Simulated groups are private to their pool."""
    provider = pool.spec.provider
    where = provider.aws.region if provider.aws is not None else pool.name
    return provider.kind, where, group


def claimed_groups(
    pools: Iterable[NodePool], listings: Mapping[str, PoolListing]
) -> dict[tuple[str, str, str], str]:
    """Who owns each group: the oldest pool that claims it. `pools` in order of seniority."""
    owners: dict[tuple[str, str, str], str] = {}
    for pool in pools:
        for group in listings.get(pool.name, PoolListing(pool=pool.name)).groups:
            owners.setdefault(group_key(pool, group.id), pool.name)
    return owners


def _view(
    pool: NodePool,
    policy: AutoscalerPolicy | InvalidResource | None,
    listing: PoolListing | None,
    memory: PoolMemory,
    claims: Mapping[tuple[str, str, str], str],
    now: datetime,
) -> PoolView:
    settings, policy_problems = _settings(pool, policy)
    groups = listing.groups if listing is not None else ()
    owned = tuple(group for group in groups if claims[group_key(pool, group.id)] == pool.name)
    problems = [*policy_problems, *_listing_problems(listing), *_claim_problems(pool, groups, claims)]
    if not any(problem.fatal for problem in problems) and listing is not None and listing.read_at is not None:
        problems += _bounds_problems(pool, owned)
    return PoolView(
        name=pool.name,
        uid=pool.metadata.uid,
        generation=pool.metadata.generation,
        created_at=_created(pool.metadata.creation_timestamp),
        mode=settings.mode,
        policy=pool.spec.policy_ref.name,
        settings=settings,
        provider=pool.spec.provider.kind,
        min_size=pool.spec.min_size,
        max_size=pool.spec.max_size,
        groups=owned,
        memory=memory.groups,
        last_scale_up=memory.last_scale_up,
        last_scale_down=memory.last_scale_down,
        last_scale_down_failure=memory.last_scale_down_failure,
        problems=tuple(problems),
        picture_age=now - listing.read_at
        if listing is not None and listing.read_at is not None
        else NEVER_READ,
    )


def _settings(
    pool: NodePool, policy: AutoscalerPolicy | InvalidResource | None
) -> tuple[PoolSettings, list[PoolProblem]]:
    """The settings in force; without a usable policy the built-in ones, and a fatal problem."""
    name = pool.spec.policy_ref.name
    if isinstance(policy, AutoscalerPolicy) and not policy.metadata.being_deleted:
        settings = resolve(pool.spec, policy.spec)
        broken = [
            PoolProblem(Reason.INVALID_SPEC, problem.field, str(problem))
            for problem in contradictions(settings)
        ]
        return settings, broken
    if isinstance(policy, InvalidResource):
        message = f"spec.policyRef.name: AutoscalerPolicy {name!r} is invalid: {policy.message}"
        problem = PoolProblem(Reason.POLICY_INVALID, "spec.policyRef.name", message)
    else:
        message = (
            f"spec.policyRef.name: there is no AutoscalerPolicy {name!r}: create it, or name one that exists"
        )
        problem = PoolProblem(Reason.POLICY_NOT_FOUND, "spec.policyRef.name", message)
    return resolve(pool.spec, AutoscalerPolicySpec()), [problem]


def _listing_problems(listing: PoolListing | None) -> list[PoolProblem]:
    if listing is None:
        message = f"{PROVIDER}: the cloud has not been read yet; this takes a few seconds"
        return [PoolProblem(Reason.NOT_LISTED_YET, PROVIDER, message)]
    problems = list(listing.problems)
    if listing.error and listing.read_at is None and not problems:
        reason = listing.error_reason or Reason.PROVIDER_ERROR
        problems.append(PoolProblem(reason, PROVIDER, f"{PROVIDER}: {listing.error}"))
    if listing.read_at is not None and not listing.groups and not problems:
        message = f"{PROVIDER}: no node group was found: create one with these names or tags"
        problems.append(PoolProblem(Reason.NO_GROUPS, PROVIDER, message))
    problems += [
        PoolProblem(_interference_reason(text), PROVIDER, f"node group {group.id}: {text}", fatal=False)
        for group in listing.groups
        for text in group.interference
    ]
    return problems


def _interference_reason(text: str) -> Reason:
    return Reason.AZ_REBALANCE_ACTIVE if "AZRebalance" in text else Reason.GROUP_HAS_SCALING_POLICY


def _claim_problems(
    pool: NodePool, groups: tuple[NodeGroup, ...], claims: Mapping[tuple[str, str, str], str]
) -> list[PoolProblem]:
    problems = []
    for group in groups:
        owner = claims[group_key(pool, group.id)]
        if owner != pool.name:
            message = (
                f"{PROVIDER}: node group {group.id} belongs to the older NodePool {owner!r}: "
                "take it off one of the two NodePools"
            )
            problems.append(PoolProblem(Reason.GROUP_CLAIMED, PROVIDER, message))
    return problems


def _bounds_problems(pool: NodePool, groups: tuple[NodeGroup, ...]) -> list[PoolProblem]:
    """Bounds of the pool that its groups' own bounds can never meet."""
    least, most = sum(group.min_size for group in groups), sum(group.max_size for group in groups)
    spec = pool.spec
    found = []
    if spec.max_size is not None and spec.max_size > most:
        remedy = f"lower maxSize to {most}, or raise the groups' maximum"
        found.append(
            ("spec.maxSize", f"is {spec.max_size}, but the node groups allow {most} together: {remedy}")
        )
    if spec.max_size is not None and spec.max_size < least:
        remedy = f"raise maxSize to {least}, or lower the groups' minimum"
        found.append(
            ("spec.maxSize", f"is {spec.max_size}, but the node groups keep at least {least}: {remedy}")
        )
    if spec.min_size is not None and spec.min_size > most:
        remedy = f"lower minSize to {most}, or raise the groups' maximum"
        found.append(
            ("spec.minSize", f"is {spec.min_size}, but the node groups allow {most} together: {remedy}")
        )
    return [PoolProblem(Reason.BOUNDS_CONTRADICT, field, f"{field} {text}") for field, text in found]


def _created(moment: datetime | None) -> datetime:
    return moment or datetime.fromtimestamp(0, UTC)
