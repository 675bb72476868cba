"""The provider of kind "simulated": the protocol over a SimulatedCloud, whose groups come from the
NodePools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from springtide.api import nodepool as api
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import InstanceState, NodeGroup, PoolListing, Template
from springtide.providers.base import (
    AmbiguousError,
    Lifecycle,
    ProviderError,
    RefusedError,
    TargetChange,
    TerminateOutcome,
    TerminateResult,
    reason_of,
)
from springtide.providers.simulated.cloud import SimulatedCloud, SimulatedGroup
from springtide.providers.simulated.failures import AnswerLost, Call, CallFails, SlowCall
from springtide.providers.template_overrides import OverriddenTemplate, price_of, resources_of, with_overrides
from springtide.providers.termination import terminate_each

MOST_PODS = 110
"""Kubelet's default; when a group's capacity says nothing of pods."""


class SimulatedProvider:
    """Implements springtide.providers.base.Provider."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.cloud = cloud
        self._known: dict[str, PoolListing] = {}

    @property
    def kind(self) -> str:
        """The key under spec.provider."""
        return "simulated"

    async def list_groups(self, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        """See Provider.list_groups. A group that the cloud has not seen yet is created as its NodePool says."""
        listings = await asyncio.gather(*(self._listing(pool) for pool in pools))
        return {listing.pool: listing for listing in listings}

    async def raise_target(self, pool: NodePool, group_id: str, *, expected: int, to: int) -> TargetChange:
        """See Provider.raise_target."""
        async with self._call(Call.RAISE_TARGET, pool, group_id):
            group = self._group(pool, group_id)
            before = group.target
            if before >= to:
                return TargetChange(before=before, after=before)
            if before != expected:
                raise RefusedError(f"simulated group {group_id}: the target is {before}, not {expected}")
            if to > group.max_size:
                raise RefusedError(
                    f"simulated group {group_id}: {to} is above its maximum of {group.max_size}"
                )
            group.failures.clear()
            self.cloud.set_target(group, to)
            return TargetChange(before=before, after=to)

    async def cancel_unfulfilled(self, pool: NodePool, group_id: str, *, to: int) -> TargetChange:
        """See Provider.cancel_unfulfilled."""
        async with self._call(Call.CANCEL_UNFULFILLED, pool, group_id):
            group = self._group(pool, group_id)
            before = group.target
            after = min(before, max(to, group.alive, group.min_size))
            if after < before:
                self.cloud.set_target(group, after)
            return TargetChange(before=before, after=after)

    async def terminate(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, TerminateResult]:
        """See Provider.terminate."""

        async def one(instance_id: str) -> TerminateResult:
            async with self._call(Call.TERMINATE, pool, group_id):
                return self._terminate(self._group(pool, group_id), instance_id)

        return await terminate_each(instance_ids, one)

    async def lifecycles(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, Lifecycle]:
        """See Provider.lifecycles."""
        async with self._call(Call.LIFECYCLES, pool, group_id):
            states = {instance.id: instance.state for instance in self.cloud.instances}
            return {name: _lifecycle(states.get(name)) for name in instance_ids}

    async def aclose(self) -> None:
        """See Provider.aclose; there is nothing to release."""

    async def _listing(self, pool: NodePool) -> PoolListing:
        read_at = self.cloud.clock()
        try:
            async with self._call(Call.LIST_GROUPS, pool, None):
                groups = tuple(
                    self._node_group(pool, spec, read_at=read_at) for spec in _spec_of(pool).groups
                )
        except ProviderError as error:
            known = self._known.get(pool.name, PoolListing(pool=pool.name))
            return replace(known, error=str(error), error_reason=reason_of(error))
        self._known[pool.name] = PoolListing(pool=pool.name, groups=groups, read_at=read_at)
        return self._known[pool.name]

    def _node_group(self, pool: NodePool, spec: api.SimulatedGroup, *, read_at: datetime) -> NodeGroup:
        group = self._defined(pool, spec)
        return NodeGroup(
            id=group.name,
            pool=pool.name,
            target=group.target,
            min_size=group.min_size,
            max_size=group.max_size,
            instances=tuple(instance.record() for instance in group.instances.values()),
            template=group.template,
            zones=(group.zone,),
            failures=tuple(group.failures) if group.alive < group.target else (),
            read_at=read_at,
        )

    def _defined(self, pool: NodePool, spec: api.SimulatedGroup) -> SimulatedGroup:
        """The cloud's group for this part of the spec: created, or brought up to date with it."""
        group = self.cloud.groups.get((pool.name, spec.name))
        template = template_of(pool, spec)
        if group is None:
            group = SimulatedGroup(
                pool=pool.name,
                name=spec.name,
                zone=spec.zone,
                min_size=spec.min_size,
                max_size=spec.max_size,
                template=template,
                boot_delay_s=spec.boot_delay.total_seconds(),
                available=spec.available,
            )
            return self.cloud.add(group)
        group.min_size, group.max_size = spec.min_size, spec.max_size
        group.zone, group.template, group.available = spec.zone, template, spec.available
        group.boot_delay_s = spec.boot_delay.total_seconds()
        return group

    def _group(self, pool: NodePool, group_id: str) -> SimulatedGroup:
        spec = next((spec for spec in _spec_of(pool).groups if spec.name == group_id), None)
        if spec is None:
            raise RefusedError(f"NodePool {pool.name} has no simulated group {group_id!r}")
        return self._defined(pool, spec)

    def _terminate(self, group: SimulatedGroup, instance_id: str) -> TerminateResult:
        instance = group.instances.get(instance_id)
        if instance is None:
            if any(known.id == instance_id for known in self.cloud.instances):
                why = f"instance {instance_id} is not of group {group.name}"
                return TerminateResult(TerminateOutcome.REFUSED, why)
            return TerminateResult(
                TerminateOutcome.ALREADY_GONE, f"instance {instance_id} does not exist any more"
            )
        if instance.state is InstanceState.DELETING:
            return TerminateResult(
                TerminateOutcome.ALREADY_GONE, f"instance {instance_id} is terminating already"
            )
        if group.target - 1 < group.min_size:
            why = f"would bring simulated group {group.name} below its minimum of {group.min_size}"
            return TerminateResult(TerminateOutcome.REFUSED, why)
        self.cloud.terminate(instance)
        return TerminateResult(TerminateOutcome.TERMINATED)

    @asynccontextmanager
    async def _call(self, call: Call, pool: NodePool, group: str | None) -> AsyncIterator[None]:
        """Let the rules about calls act: before the effect (slow, failing) and after it (answer lost)."""
        for slow in self.cloud.rules(SlowCall, pool=pool.name, group=group):
            if slow.applies(call, pool=pool.name, group=group):
                await asyncio.sleep(slow.seconds)
        for fails in self.cloud.rules(CallFails, pool=pool.name, group=group):
            if fails.applies(call, pool=pool.name, group=group):
                raise fails.error
        yield
        for lost in self.cloud.rules(AnswerLost, pool=pool.name, group=group):
            if lost.applies(call, pool=pool.name, group=group):
                raise AmbiguousError(f"simulated {call}: the answer was lost")


def template_of(pool: NodePool, spec: api.SimulatedGroup) -> Template:
    """The fresh node of a simulated group."""
    layered = with_overrides(
        OverriddenTemplate(
            capacity={"pods": MOST_PODS, **resources_of(spec.capacity)},
            labels={
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": spec.zone,
            },
        ),
        pool.spec.template,
    )
    price = pool.spec.hourly_price if pool.spec.hourly_price is not None else spec.hourly_price
    return Template(
        capacity=layered.capacity,
        allocatable=layered.allocatable,
        labels=layered.labels,
        taints=layered.taints,
        startup_taints=layered.startup_taints,
        hourly_price=price_of(price),
        source="spec.provider.simulated" + (" + spec.template" if pool.spec.template else ""),
    )


def _lifecycle(state: InstanceState | None) -> Lifecycle:
    if state is None:
        return Lifecycle.TERMINATED
    return Lifecycle.TERMINATING if state is InstanceState.DELETING else Lifecycle.ALIVE


def _spec_of(pool: NodePool) -> api.SimulatedProvider:
    spec = pool.spec.provider.simulated
    if spec is None:
        raise ValueError(f"NodePool {pool.name} is not of provider simulated")
    return spec
