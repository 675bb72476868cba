"""The simulated cloud in virtual time: boot delays, shortages, vanishing machines, lost and slow answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from springtide.api.nodepool import NodePool
from springtide.cluster.groups import FailureClass, InstanceState, NodeGroup
from springtide.providers.base import AmbiguousError, Provider, ProviderError
from springtide.providers.simulated.cloud import RETRY_S, TERMINATION_S, SimulatedCloud, SimulatedInstance
from springtide.providers.simulated.failures import (
    AnswerLost,
    Call,
    CallFails,
    FailureRule,
    NeverRegisters,
    SlowBoot,
    SlowCall,
    Vanishes,
    no_capacity,
    quota_reached,
)
from springtide.providers.simulated.provider import SimulatedProvider
from tests.unit.providers.worlds import make_pool

pytestmark = pytest.mark.looptime

START = datetime(2026, 1, 1, tzinfo=UTC)
BOOT_S = 40.0


class Scene:
    """A cloud with one pool of one group, and the Nodes that its callbacks tell of."""

    def __init__(self, **group: object) -> None:
        self.nodes: list[str] = []
        self.cloud = SimulatedCloud(
            clock=self.clock, on_instance_running=self._register, on_instance_gone=self._unregister
        )
        self.provider: Provider = SimulatedProvider(self.cloud)
        self.pool = pool_of({"name": "a", "bootDelay": f"{BOOT_S:.0f}s", **group})

    def clock(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def _register(self, instance: SimulatedInstance) -> None:
        self.nodes.append(instance.id)

    def _unregister(self, instance: SimulatedInstance) -> None:
        if instance.id in self.nodes:
            self.nodes.remove(instance.id)

    async def group(self) -> NodeGroup:
        return (await self.provider.list_groups([self.pool]))[self.pool.name].groups[0]

    async def raise_to(self, target: int) -> None:
        await self.provider.raise_target(self.pool, "a", expected=(await self.group()).target, to=target)


def pool_of(*groups: dict[str, object], **spec: object) -> NodePool:
    specs = [{"capacity": {"cpu": 4, "memory": "16Gi"}, **group} for group in groups]
    return make_pool("general", {"simulated": {"groups": specs}}, **spec)


async def test_instances_boot_in_their_time_and_then_register() -> None:
    scene = Scene()
    await scene.raise_to(2)
    await asyncio.sleep(BOOT_S - 1)
    assert [instance.state for instance in (await scene.group()).instances] == [InstanceState.PENDING] * 2
    assert scene.nodes == []
    await asyncio.sleep(2)
    assert [instance.state for instance in (await scene.group()).instances] == [InstanceState.RUNNING] * 2
    assert sorted(scene.nodes) == ["general-a-1", "general-a-2"]


async def test_a_new_group_fills_up_to_its_minimum() -> None:
    scene = Scene(minSize=2)
    assert (await scene.group()).target == 2
    await asyncio.sleep(BOOT_S + 1)
    assert len(scene.nodes) == 2


async def test_a_terminated_instance_leaves_after_a_while() -> None:
    scene = Scene()
    await scene.raise_to(1)
    await asyncio.sleep(BOOT_S + 1)
    await scene.provider.terminate(scene.pool, "a", scene.nodes)
    assert [instance.state for instance in (await scene.group()).instances] == [InstanceState.DELETING]
    assert scene.nodes == ["general-a-1"]
    await asyncio.sleep(TERMINATION_S + 1)
    assert (await scene.group()).instances == ()
    assert scene.nodes == []


@pytest.mark.parametrize(
    ("rule", "failure_class"),
    [
        pytest.param(no_capacity(group="a", available=1), FailureClass.OUT_OF_CAPACITY, id="capacity"),
        pytest.param(quota_reached(group="a", available=1), FailureClass.QUOTA, id="quota"),
    ],
)
async def test_a_shortage_lets_a_part_start_and_is_tried_again(
    rule: FailureRule, failure_class: FailureClass
) -> None:
    scene = Scene()
    scene.cloud.set_failure(rule)
    await scene.raise_to(3)
    group = await scene.group()
    assert (len(group.instances), group.unfulfilled) == (1, 2)
    assert [failure.failure_class for failure in group.failures] == [failure_class]
    await asyncio.sleep(RETRY_S + 1)
    assert len((await scene.group()).failures) == 2


async def test_when_the_shortage_ends_the_group_fills_up() -> None:
    scene = Scene()
    rule = scene.cloud.set_failure(no_capacity(available=0))
    await scene.raise_to(2)
    scene.cloud.clear_failure(rule)
    await asyncio.sleep(BOOT_S + 1)
    assert len(scene.nodes) == 2
    assert (await scene.group()).failures == ()


async def test_a_group_has_no_more_machines_than_its_spec_says() -> None:
    scene = Scene(available=2)
    await scene.raise_to(5)
    group = await scene.group()
    assert len(group.instances) == 2
    assert group.failures[0].failure_class is FailureClass.OUT_OF_CAPACITY


async def test_a_shortage_of_one_group_leaves_another_alone() -> None:
    scene = Scene()
    scene.cloud.set_failure(no_capacity(group="b"))
    await scene.raise_to(1)
    assert (await scene.group()).unfulfilled == 0


async def test_an_instance_that_never_registers_runs_all_the_same() -> None:
    scene = Scene()
    scene.cloud.set_failure(NeverRegisters())
    await scene.raise_to(1)
    await asyncio.sleep(BOOT_S + 1)
    assert [instance.state for instance in (await scene.group()).instances] == [InstanceState.RUNNING]
    assert scene.nodes == []


async def test_a_slow_boot_takes_its_own_time() -> None:
    scene = Scene()
    scene.cloud.set_failure(SlowBoot(seconds=600))
    await scene.raise_to(1)
    await asyncio.sleep(599)
    assert scene.nodes == []
    await asyncio.sleep(2)
    assert scene.nodes == ["general-a-1"]


async def test_a_vanished_instance_is_replaced_by_the_group() -> None:
    scene = Scene()
    vanishes = scene.cloud.set_failure(Vanishes(seconds=100))
    await scene.raise_to(1)
    scene.cloud.clear_failure(vanishes)
    await asyncio.sleep(90)
    assert scene.nodes == ["general-a-1"]
    await asyncio.sleep(11)
    assert scene.nodes == []
    assert [instance.id for instance in (await scene.group()).instances] == ["general-a-2"]
    await asyncio.sleep(BOOT_S)
    assert scene.nodes == ["general-a-2"]


async def test_a_call_may_fail_without_effect_so_many_times() -> None:
    scene = Scene()
    scene.cloud.set_failure(CallFails(call=Call.RAISE_TARGET, times=1, error=ProviderError("out of order")))
    with pytest.raises(ProviderError, match="out of order"):
        await scene.raise_to(1)
    assert (await scene.group()).target == 0
    await scene.raise_to(1)
    assert (await scene.group()).target == 1


async def test_a_lost_answer_hides_an_effect_that_happened() -> None:
    scene = Scene()
    scene.cloud.set_failure(AnswerLost(call=Call.RAISE_TARGET, times=1))
    with pytest.raises(AmbiguousError):
        await scene.raise_to(1)
    assert (await scene.group()).target == 1


async def test_a_slow_call_takes_its_time() -> None:
    scene = Scene()
    scene.cloud.set_failure(SlowCall(call=Call.LIST_GROUPS, seconds=7))
    loop = asyncio.get_running_loop()
    before = loop.time()
    await scene.group()
    assert loop.time() - before == pytest.approx(7)


async def test_a_target_lowered_by_someone_else_ends_instances_undrained() -> None:
    scene = Scene()
    await scene.raise_to(2)
    scene.cloud.set_target(scene.cloud.group("general", "a"), 1)
    assert [instance.state for instance in (await scene.group()).instances] == [
        InstanceState.DELETING,
        InstanceState.PENDING,
    ]


async def test_an_edited_spec_takes_effect_on_the_existing_group() -> None:
    scene = Scene(maxSize=1)
    await scene.raise_to(1)
    scene.pool = pool_of({"name": "a", "maxSize": 3, "zone": "zone-b"})
    await scene.raise_to(3)
    group = await scene.group()
    assert (group.target, group.max_size, group.zones) == (3, 3, ("zone-b",))


async def test_the_template_comes_from_the_group_and_spec_template() -> None:
    scene = Scene(hourlyPrice="0.25")
    scene.pool = pool_of(
        {"name": "a", "zone": "zone-c", "hourlyPrice": "0.25"},
        template={
            "labels": {"team": "blue"},
            "allocatable": {"cpu": "3900m"},
            "taints": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}],
            "startupTaints": [{"key": "cni", "effect": "NoSchedule"}],
        },
    )
    template = (await scene.group()).template
    assert template is not None
    assert template.capacity == {"cpu": 4000, "memory": 16 * 2**30, "pods": 110}
    assert template.allocatable["cpu"] == 3900
    assert template.labels["topology.kubernetes.io/zone"] == "zone-c"
    assert template.labels["team"] == "blue"
    assert [taint.key for taint in template.taints] == ["dedicated"]
    assert [taint.key for taint in template.startup_taints] == ["cni"]
    assert template.hourly_price == 0.25
