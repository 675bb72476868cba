"""The clouds that the provider contract is tried on, and NodePools for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

from devcluster.cloud.cloud import Cloud
from devcluster.cloud.failures import AnswerLost as AwsAnswerLost
from devcluster.cloud.failures import Denied, NoCapacity, Throttled
from devcluster.cloud.failures import SlowBoot as AwsSlowBoot
from devcluster.cloud.groups import GroupSpec
from springtide.api.nodepool import NodePool
from springtide.api.parse import parse_nodepool
from springtide.providers.base import CredentialsError, Provider, ThrottledError
from springtide.providers.simulated.cloud import SimulatedCloud
from springtide.providers.simulated.failures import AnswerLost, Call, CallFails, SlowBoot, no_capacity
from springtide.providers.simulated.provider import SimulatedProvider
from tests.unit.providers.contract import Wish, World

BOOT_S = 0.1
TERMINATION_S = 1.5
"""Long enough to be seen going on a busy machine."""
FOR_EVER_S = 3600.0
REGION = "us-east-1"
_AWS_CALLS = {"raise_target": "SetDesiredCapacity", "terminate": "TerminateInstanceInAutoScalingGroup"}

NUMBERS = itertools.count()
"""Distinguishes the groups and pools of tests that share a cloud."""


def make_pool(name: str, provider: Mapping[str, object], **spec: object) -> NodePool:
    """A NodePool of this provider; `spec` holds further fields of its spec."""
    pool = parse_nodepool({"metadata": {"name": name}, "spec": {"provider": provider, **spec}})
    assert isinstance(pool, NodePool), pool
    return pool


class SimulatedWorld(World):
    def __init__(self) -> None:
        self.cloud = SimulatedCloud(retry_s=0.2, termination_s=TERMINATION_S)
        self.provider: Provider = SimulatedProvider(self.cloud)
        self._names = (f"pool-{number}" for number in itertools.count())

    async def pool(self, *groups: Wish) -> NodePool:
        specs = [
            {
                "name": wish.name,
                "minSize": wish.min_size,
                "maxSize": wish.max_size,
                "capacity": {"cpu": 4, "memory": "16Gi"},
                "bootDelay": f"{BOOT_S}s",
            }
            for wish in groups
        ]
        return make_pool(next(self._names), {"simulated": {"groups": specs}})

    def group_id(self, pool: NodePool, name: str) -> str:
        return name

    async def set_target_behind_our_back(self, pool: NodePool, group_id: str, target: int) -> None:
        await self.provider.list_groups([pool])
        self.cloud.set_target(self.cloud.group(pool.name, group_id), target)

    def run_out_of_capacity(self, pool: NodePool, group_id: str, *, after: int) -> Callable[[], None]:
        rule = self.cloud.set_failure(no_capacity(pool=pool.name, group=group_id, available=after))
        return lambda: self.cloud.clear_failure(rule)

    def boot_for_ever(self, pool: NodePool, group_id: str) -> None:
        self.cloud.set_failure(SlowBoot(pool=pool.name, group=group_id, seconds=FOR_EVER_S))

    def lose_next_answer(self, pool: NodePool, call: str) -> None:
        self.cloud.set_failure(AnswerLost(pool=pool.name, call=Call(call), times=1))

    def throttle_next(self, pool: NodePool, call: str) -> None:
        error = ThrottledError("slow down")
        self.cloud.set_failure(CallFails(pool=pool.name, call=Call(call), times=1, error=error))

    def forbid_listing(self, pool: NodePool) -> Callable[[], None]:
        error = CredentialsError("access denied")
        rule = self.cloud.set_failure(CallFails(pool=pool.name, call=Call.LIST_GROUPS, error=error))
        return lambda: self.cloud.clear_failure(rule)

    async def break_pool(self, pool: NodePool) -> None:
        self.forbid_listing(pool)


class AwsWorld(World):
    def __init__(self, cloud: Cloud, provider: Provider, names: Iterator[int]) -> None:
        self.cloud = cloud
        self.provider = provider
        self._names = names

    async def pool(self, *groups: Wish) -> NodePool:
        number = next(self._names)
        names = []
        for wish in groups:
            names.append(f"asg-{number}-{wish.name}")
            spec = GroupSpec(
                name=names[-1], zones=("us-east-1a",), min_size=wish.min_size, max_size=wish.max_size
            )
            await self.cloud.create_group(spec)
        return make_pool(f"pool-{number}", {"aws": {"region": "us-east-1", "autoScalingGroups": names}})

    def group_id(self, pool: NodePool, name: str) -> str:
        return f"{pool.name.replace('pool', 'asg')}-{name}"

    async def set_target_behind_our_back(self, pool: NodePool, group_id: str, target: int) -> None:
        async with self.cloud.client("autoscaling") as client:
            await client.set_desired_capacity(AutoScalingGroupName=group_id, DesiredCapacity=target)

    def run_out_of_capacity(self, pool: NodePool, group_id: str, *, after: int) -> Callable[[], None]:
        rule = self.cloud.failures.add(NoCapacity(group=group_id, available=after))
        return lambda: self.cloud.failures.remove(rule)

    def boot_for_ever(self, pool: NodePool, group_id: str) -> None:
        self.cloud.failures.add(AwsSlowBoot(group=group_id, seconds=FOR_EVER_S))

    def lose_next_answer(self, pool: NodePool, call: str) -> None:
        self.cloud.failures.add(AwsAnswerLost(action=_AWS_CALLS[call], next_calls=1))

    def throttle_next(self, pool: NodePool, call: str) -> None:
        self.cloud.failures.add(Throttled(action=_AWS_CALLS[call], next_calls=1))

    def forbid_listing(self, pool: NodePool) -> Callable[[], None]:
        rule = self.cloud.failures.add(Denied(action="DescribeAutoScalingGroups"))
        return lambda: self.cloud.failures.remove(rule)

    async def break_pool(self, pool: NodePool) -> None:
        await self.cloud.delete_group(self.group_id(pool, "a"))
