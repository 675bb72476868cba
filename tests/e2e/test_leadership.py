"""Two operators on a real API server: one leads, the other takes over at once after a clean exit, soon after a crash."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from devcluster.api import ApiError
from devcluster.operator_process import OperatorProcess
from tests.e2e.test_scale_down import QUICK
from tests.e2e.world import Manifest, World, pod_spec, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

Note = Callable[[str, object], None]

LEASE = "/apis/coordination.k8s.io/v1/namespaces/springtide-system/leases/springtide"
DEFAULTS = ("--lease-duration=15s", "--renew-deadline=10s", "--retry-period=2s")
"""As shipped: what is measured here is what users get."""


async def say(operator: OperatorProcess, path: str) -> str:
    """What one of its endpoints says."""
    url = f"http://127.0.0.1:{operator.port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return (await answer.text()).strip()


async def ready(operator: OperatorProcess) -> str:
    return await say(operator, "readyz")


async def passes(operator: OperatorProcess) -> float:
    """How many passes it has made."""
    counts = re.findall(r"^springtide_passes_total\{.*\} (\S+)", await say(operator, "metrics"), re.MULTILINE)
    return sum(map(float, counts))


async def holder(world: World) -> str:
    lease = await world.api.get(LEASE)
    return str(lease.get("spec", {}).get("holderIdentity", ""))


async def leads(world: World, operator: OperatorProcess, *, timeout: float = 25) -> None:
    async def says_so() -> bool:
        return await ready(operator) == "ok leading"

    await world.until(says_so, "the operator to lead", timeout=timeout)


@asynccontextmanager
async def leader_and_standby(world: World) -> AsyncIterator[tuple[OperatorProcess, OperatorProcess]]:
    async with world.operator(*DEFAULTS) as first:
        await leads(world, first)
        async with world.operator(*DEFAULTS) as second:
            assert await ready(second) == "ok standby"
            yield first, second


async def test_after_a_clean_exit_the_standby_leads_within_two_seconds(
    world: World, record_property: Note
) -> None:
    async with leader_and_standby(world) as (first, second):
        group = await world.group()
        pool = await world.pool(group, policy=await world.policy())
        await world.condition(pool, "Ready", "True")
        loop = asyncio.get_running_loop()
        began = loop.time()
        first.process.send_signal(signal.SIGTERM)
        await first.process.wait()
        stopped = loop.time() - began
        await leads(world, second)
        await world.until(lambda: passes(second), "the first pass of the other", timeout=10)
        took_over = loop.time() - began
        app = await world.deployment(2, nodeSelector={"group": group})
        await world.running(app, 2)
        record_property("seconds until the other leads", round(took_over, 2))
        assert first.process.returncode == 0
        assert took_over - stopped < 2
        assert world.raises(group) == [1]


async def test_after_a_crash_the_standby_leads_within_twenty_seconds(
    world: World, record_property: Note
) -> None:
    async with leader_and_standby(world) as (first, second):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await first.kill()
        await leads(world, second)
        took_over = loop.time() - began
        record_property("seconds until the other leads", round(took_over, 2))
        assert 10 < took_over < 20


async def test_a_leader_whose_lease_is_taken_ends_with_an_exit_code_of_its_own(world: World) -> None:
    operator = await world.start_operator()
    await leads(world, operator)
    await world.api.patch(LEASE, {"spec": {"holderIdentity": "somebody-else"}})
    assert await asyncio.wait_for(operator.process.wait(), timeout=10) == 3
    assert re.search("leadership is lost, the process ends: .* somebody-else holds it", operator.lines())
    await world.api.patch(LEASE, {"spec": {"holderIdentity": ""}})


async def test_a_deleted_lease_is_made_anew_by_the_leader(world: World) -> None:
    async with world.operator() as operator:
        await leads(world, operator)
        before = await holder(world)
        await world.api.delete(LEASE)

        async def is_back() -> bool:
            try:
                return await holder(world) == before
            except ApiError:
                return False

        await world.until(is_back, "the Lease to be there again", timeout=5)
        assert await ready(operator) == "ok leading"


async def test_a_missing_namespace_is_named_with_the_way_out(world: World) -> None:
    async with world.operator("--lease-namespace=default", "--lease-name=springtide") as operator:
        # The account may use no Lease outside of its own namespace.
        async def told() -> bool:
            return "25-role.yaml" in operator.lines()

        await world.until(told, "the reason why it does not lead", timeout=10)
        assert await ready(operator) == "ok standby"


async def replica(world: World, name: str, *, node: str) -> Manifest:
    """A pod that stands for a replica: what an operator sees of itself and the others. It may be evicted."""
    labels = {"app.kubernetes.io/name": "springtide"}
    annotations = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    return await world.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": labels, "annotations": annotations},
            "spec": pod_spec(cpu="100m", memory="64Mi", nodeName=node),
        }
    )


async def test_the_leaders_own_node_goes_last_after_it_has_handed_over(world: World) -> None:
    group = await world.group(desired=3)
    names = [node["metadata"]["name"] for node in await world.nodes_settle(group, 3)]
    pools = await world.pool(group, minSize=1, policy=await world.policy(scaleDown=QUICK))
    replicas = [unique("springtide") for _ in names[:2]]
    for name, node in zip(replicas, names[:2], strict=True):
        await replica(world, name, node=node)
    # The standby's node is needed; the leader's and the third are not.
    busy = {"kubernetes.io/hostname": names[1]}
    await world.running(await world.deployment(1, cpu="1500m", memory="2Gi", nodeSelector=busy), 1)
    where = [
        {"POD_NAME": name, "POD_NAMESPACE": "default", "NODE_NAME": node}
        for name, node in zip(replicas, names[:2], strict=True)
    ]
    flags = ("--lease-namespace=springtide-system",)
    first = await world.start_operator(*flags, environment=where[0])
    await leads(world, first)
    async with world.operator(*flags, environment=where[1]) as second:
        assert await asyncio.wait_for(first.process.wait(), timeout=40) == 0
        assert f"handing over to pod {replicas[1]}" in first.lines()
        assert names[0] in {node["metadata"]["name"] for node in await world.nodes(group)}
        await leads(world, second)
        (left,) = await world.nodes_settle(group, 1, timeout=40)
        assert left["metadata"]["name"] == names[1]
    await world.events(pools, "ScaledDownNode")
