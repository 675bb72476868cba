"""Reading all Auto Scaling groups of a region's pools, with templates, failures and interference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from springtide.api.conditions import Reason
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import LaunchFailure, NodeGroup, PoolListing, PoolProblem
from springtide.providers.aws.acknowledged import Acknowledged
from springtide.providers.aws.activities import read_failures
from springtide.providers.aws.discovery import FIELD, Found, discover
from springtide.providers.aws.groups import AutoScalingGroup
from springtide.providers.aws.instance_types import InstanceType, InstanceTypes
from springtide.providers.aws.interference import ScalingPolicies, interference
from springtide.providers.aws.launches import Launches
from springtide.providers.aws.losses import Losses
from springtide.providers.aws.session import Region
from springtide.providers.aws.template import build_template, launch_choices, machines_of
from springtide.providers.base import ProviderError, reason_of

FAILURES_OF_UNKNOWN_RAISES = timedelta(minutes=15)
"""After a restart we do not know when a group was raised: failures this old may still belong to a purchase that is
waited for (the default maxNodeProvisionTime). Which of them were acted on is in NodePool status."""


class RegionListing:
    """Listings of one region. What changes seldom (templates, types, policies) is cached and read again seldom."""

    def __init__(
        self,
        region: Region,
        acknowledged: Acknowledged,
        losses: Losses,
        *,
        cluster_name: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._region = region
        self._acknowledged = acknowledged
        self._losses = losses
        self._cluster_name = cluster_name
        self._clock = clock
        self._types = InstanceTypes(region, clock=clock)
        self._launches = Launches(region, clock=clock)
        self._policies = ScalingPolicies(region, clock=clock)
        self._failures: dict[str, tuple[LaunchFailure, ...]] = {}
        self._failures_problem = ""

    async def read(self, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        """List these pools of the region; a pool that could not be read has an error and no groups."""
        read_at = self._clock()
        found = await discover(self._region, pools, cluster_name=self._cluster_name)
        groups = {group.name: group for answer in found.values() for group in answer.groups}
        if not groups:
            return {pool.name: self._listing(pool, found[pool.name], {}, read_at=read_at) for pool in pools}
        _, _, _, failures = await asyncio.gather(
            self._launches.refresh(group.launch for group in groups.values()),
            self._policies.refresh(),
            self._losses.refresh(groups.values()),
            self._read_failures(groups.values()),
        )
        self._failures = failures
        types = await self._types.get(
            choice.instance_type
            for group in groups.values()
            for choice in launch_choices(group.launch, self._launches)
            if choice.instance_type
        )
        return {pool.name: self._listing(pool, found[pool.name], types, read_at=read_at) for pool in pools}

    def _listing(
        self, pool: NodePool, found: Found, types: Mapping[str, InstanceType], *, read_at: datetime
    ) -> PoolListing:
        if found.error:
            return PoolListing(pool=pool.name, error=str(found.error), error_reason=reason_of(found.error))
        groups: list[NodeGroup] = []
        problems = [*found.problems, *(self._details_problems() if found.groups else ())]
        for group in found.groups:
            node_group, template_problems = self._node_group(pool, group, types, read_at=read_at)
            groups.append(node_group)
            problems += template_problems
        return PoolListing(pool=pool.name, groups=tuple(groups), problems=tuple(problems), read_at=read_at)

    def _node_group(
        self, pool: NodePool, group: AutoScalingGroup, types: Mapping[str, InstanceType], *, read_at: datetime
    ) -> tuple[NodeGroup, list[PoolProblem]]:
        machines, unknown = machines_of(group.launch, self._launches, types)
        built = build_template(
            group,
            machines,
            region=self._region.name,
            overrides=pool.spec.template,
            hourly_price=pool.spec.hourly_price,
        )
        problems = [_template_problem(group, text) for text in built.problems]
        if built.contradiction:
            problems.append(_contradiction(group, built.contradiction))
        elif built.template is None:
            problems.append(_no_template(group, unknown))
        node_group = NodeGroup(
            id=group.name,
            pool=pool.name,
            target=self._acknowledged.desired(group.name, group.desired),
            min_size=group.min_size,
            max_size=group.max_size,
            instances=group.instances,
            template=built.template,
            zones=group.zones,
            failures=self._failures.get(group.name, ()),
            losses=self._losses.of(group.name),
            interference=interference(group, self._policies.of(group.name)),
            read_at=read_at,
        )
        return node_group, problems

    async def _read_failures(
        self, groups: Iterable[AutoScalingGroup]
    ) -> dict[str, tuple[LaunchFailure, ...]]:
        """Failures of the groups that lack instances: AWS retries silently, only the activities tell why."""
        self._failures_problem = ""
        lacking = [
            group for group in groups if self._acknowledged.desired(group.name, group.desired) > group.alive
        ]
        read = await asyncio.gather(*(self._failures_of(group.name) for group in lacking))
        return {group.name: failures for group, failures in zip(lacking, read, strict=True)}

    async def _failures_of(self, group: str) -> tuple[LaunchFailure, ...]:
        since = self._acknowledged.raised_at(group) or self._clock() - FAILURES_OF_UNKNOWN_RAISES
        try:
            return await read_failures(self._region, group, since=since)
        except ProviderError as error:
            self._failures_problem = str(error)
            return self._failures.get(group, ())

    def _details_problems(self) -> Iterable[PoolProblem]:
        """What could not be read beside the groups; the pool goes on, less well informed."""
        for text in dict.fromkeys((self._policies.problem, self._failures_problem, self._losses.problem)):
            if not text:
                continue
            yield PoolProblem(
                reason=Reason.PROVIDER_ERROR, field=FIELD, message=f"{FIELD}: {text}", fatal=False
            )


def _template_problem(group: AutoScalingGroup, text: str) -> PoolProblem:
    return PoolProblem(
        reason=Reason.TEMPLATE_UNKNOWN,
        field=FIELD,
        message=f"{FIELD}: Auto Scaling group {group.name!r}: {text}",
        fatal=False,
    )


def _no_template(group: AutoScalingGroup, why: Sequence[str]) -> PoolProblem:
    return PoolProblem(
        reason=Reason.TEMPLATE_UNKNOWN,
        field="spec.template.capacity",
        message=f"spec.template.capacity: what a node of Auto Scaling group {group.name!r} looks like is not known "
        f"({'; '.join(why)}); give at least cpu and memory there, or make its launch template readable",
        fatal=False,
    )


def _contradiction(group: AutoScalingGroup, text: str) -> PoolProblem:
    field = "spec.template.allocatable"
    return PoolProblem(
        reason=Reason.INVALID_SPEC,
        field=field,
        message=f"{field}: gives a node of Auto Scaling group {group.name!r} {text}; "
        "lower it, or raise the resource in spec.template.capacity",
    )
