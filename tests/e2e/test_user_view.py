"""What users see with kubectl: tables, describe, explain, and nothing that is not theirs.

With kubectl on PATH its own output is read; without it, what the API server gives kubectl to print.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from devcluster.cloud.failures import NoCapacity
from tests.e2e.test_scale_down import QUICK, bare_pod
from tests.e2e.world import OWN, Manifest, World, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

KUBECTL = shutil.which("kubectl")
Row = dict[str, str]

POOL_COLUMNS = (
    *("NAME", "POLICY", "MODE", "READY", "TARGET", "MIN", "MAX"),
    *("SCALE-UP", "SCALE-DOWN", "CANDIDATES", "AGE"),
)
WIDE_COLUMNS = {"REASON", "UNREADY", "CPU%", "MEM%", "$/H", "LAST"}


async def kubectl(world: World, *arguments: str) -> str:
    """What kubectl prints, as an administrator of the cluster."""
    assert KUBECTL is not None
    process = await asyncio.create_subprocess_exec(
        KUBECTL,
        f"--kubeconfig={world.control_plane.kubeconfig}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return output.decode()


# --- tables ---------------------------------------------------------------------------------------------------------


async def table(world: World, plural: str, *, wide: bool = False) -> list[Row]:
    """The rows of `kubectl get`: column in capitals → cell as printed."""
    if KUBECTL is None:
        return await table_of_the_api_server(world, plural, wide=wide)
    printed = await kubectl(world, "get", plural, *(["-o", "wide"] if wide else []))
    header, *lines = printed.splitlines()
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S", header)]
    ends = [*starts[1:], None]
    spans = list(zip(starts, ends, strict=True))
    names = [header[start:end].strip() for start, end in spans]
    return [
        dict(zip(names, (line[start:end].strip() for start, end in spans), strict=True)) for line in lines
    ]


async def table_of_the_api_server(world: World, plural: str, *, wide: bool) -> list[Row]:
    api = world.api
    headers = {
        "Authorization": f"Bearer {api.token}",
        "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io",
    }
    authority = ssl.create_default_context(cafile=str(api.ca_path))
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{api.server}{OWN}/{plural}", ssl=authority) as response,
    ):
        answer = await response.json()
    shown = [
        (index, column["name"].upper())
        for index, column in enumerate(answer["columnDefinitions"])
        if wide or not column["priority"]
    ]
    return [
        {name: "" if row["cells"][index] is None else str(row["cells"][index]) for index, name in shown}
        for row in answer["rows"]
    ]


async def row_of(world: World, plural: str, name: str, *, wide: bool = False) -> Row:
    (row,) = [row for row in await table(world, plural, wide=wide) if row["NAME"] == name]
    return row


async def until_row(
    world: World, plural: str, name: str, cells: Mapping[str, str], *, wide: bool = False
) -> Row:
    """Wait until these cells read so; the row."""

    async def reads() -> Row:
        row = await row_of(world, plural, name, wide=wide)
        return row if cells.items() <= row.items() else {}

    return await world.until(reads, f"{name} to read {cells}", timeout=40)


async def test_the_table_of_nodepools_tells_who_is_well_and_who_is_not(world: World) -> None:
    policy, group = await world.policy(), await world.group(max_size=2)
    good, broken = await world.pool(group, policy=policy), await world.pool("ghost", policy=policy)
    lost = await world.pool(await world.group(), policy="nowhere", mode="Paused")
    async with world.operator():
        app = await world.deployment(2, cpu="3", nodeSelector={"group": group})
        await world.running(app, 2)
        row = await until_row(world, "nodepools", good, {"TARGET": "2", "SCALE-UP": "NoActivity"})
        assert tuple(row) == POOL_COLUMNS
        assert re.fullmatch(r"\d+[smh]", row.pop("AGE"))
        assert row == {
            "NAME": good,
            "POLICY": policy,
            "MODE": "Active",
            "READY": "True",
            "TARGET": "2",
            "MIN": "0",
            "MAX": "2",
            "SCALE-UP": "NoActivity",
            "SCALE-DOWN": "NoCandidates",
            "CANDIDATES": "0",
        }
        await until_row(world, "nodepools", broken, {"READY": "False", "TARGET": "0"})
        await until_row(world, "nodepools", lost, {"READY": "False", "MODE": "Paused"})
        facts = {"REASON": "Accepted", "UNREADY": "0", "CPU%": "75", "$/H": "0.384"}
        wide = await until_row(world, "nodepools", good, facts, wide=True)
        assert set(wide) - set(row) - {"AGE"} == WIDE_COLUMNS
        assert re.fullmatch(rf"scale-up of {good}/{group} finished in \d+s", wide["LAST"])
        for name, reason in ((broken, "GroupNotFound"), (lost, "PolicyNotFound")):
            assert (await row_of(world, "nodepools", name, wide=True))["REASON"] == reason


async def test_the_table_of_policies_tells_how_many_pools_and_pods(world: World) -> None:
    policy, group = await world.policy(), await world.group()
    await world.pool(group, policy=policy)
    async with world.operator():
        await world.deployment(3, cpu="64", nodeSelector={"group": group})
        row = await until_row(world, "autoscalerpolicies", policy, {"PENDING": "3"})
        assert tuple(row) == ("NAME", "MODE", "READY", "POOLS", "PENDING", "LAST-PASS", "AGE")
        assert (row["MODE"], row["READY"], row["POOLS"]) == ("Active", "True", "1")
        wide = await row_of(world, "autoscalerpolicies", policy, wide=True)
        assert wide["LAST"] == "no node can be bought for 3 pods"
        condition = (await world.api.get(f"{OWN}/autoscalerpolicies/{policy}"))["status"]["conditions"][0]
        assert condition["message"] == "followed by 1 NodePool"


# --- describe -------------------------------------------------------------------------------------------------------


async def described_events(world: World, kind: str, name: str, namespace: str = "") -> list[Row]:
    """The events below `kubectl describe`: type, reason, source and message."""
    if KUBECTL is None:
        return [event async for event in events_as_kubectl_asks(world, kind, name, namespace)]
    where = ["--namespace", namespace] if namespace else []
    printed = await kubectl(world, "describe", kind, name, *where)
    _, _, below = printed.partition("\nEvents:\n")
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=4) for line in below.splitlines()[2:]]
    return [
        {"type": row[0], "reason": row[1], "source": row[3], "message": row[4]}
        for row in rows
        if len(row) == 5
    ]


async def events_as_kubectl_asks(world: World, kind: str, name: str, namespace: str) -> AsyncIterator[Row]:
    """kubectl selects by name, namespace, kind and uid; an event that names another namespace is not shown."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}" if namespace else f"{OWN}/nodepools/{name}"
    found = await world.api.get(path)
    fields = {"name": name, "namespace": namespace, "kind": found["kind"], "uid": found["metadata"]["uid"]}
    selector = ",".join(f"involvedObject.{field}={value}" for field, value in fields.items())
    where = f"/api/v1/namespaces/{namespace}/events" if namespace else "/api/v1/events"
    for event in await world.api.items(where, fieldSelector=selector):
        yield {
            "type": event["type"],
            "reason": event["reason"],
            "source": event.get("source", {}).get("component", ""),
            "message": event["message"],
        }


async def ours(world: World, kind: str, name: str, reason: str, namespace: str = "") -> Row:
    """Wait for our event of this reason below describe."""

    async def shown() -> Row:
        events = await described_events(world, kind, name, namespace)
        return next((one for one in events if one["reason"] == reason and one["source"] == "springtide"), {})

    return await world.until(shown, f"{reason} below describe {kind} {name}")


async def test_describe_tells_the_story_of_a_nodepool(world: World) -> None:
    policy, group = await world.policy(), await world.group()
    pool, broken = await world.pool(group, policy=policy), await world.pool("ghost", policy=policy)
    async with world.operator():
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)
        accepted = await ours(world, "nodepool", pool, "Accepted")
        assert accepted["message"] == f"NodePool {pool} is ready: managing 1 node group"
        bought = await ours(world, "nodepool", pool, "ScaledUpGroup")
        assert bought["message"] == f"scale-up: {pool}/{group} 0->1 (max 10) for 1 pod"
        await ours(world, "nodepool", pool, "ScaleUpFinished")
        refused = await ours(world, "nodepool", broken, "GroupNotFound")
        assert refused["type"] == "Warning"
        assert "autoScalingGroups[0]" in refused["message"]


async def test_describe_of_a_pod_says_why_it_waits(world: World) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    async with world.operator():
        await world.condition(pool, "Ready", "True")
        app = await world.deployment(1, cpu="64", nodeSelector={"group": group})

        async def made() -> list[Manifest]:
            return await world.pods(app)

        (pod,) = await world.until(made, "the pod")
        event = await ours(world, "pod", pod["metadata"]["name"], "NotTriggerScaleUp", "default")
    assert event["message"] == (
        f"pod didn't trigger scale-up: 1 group: needs 64 cpu, a fresh node has 4 free [{pool}/{group}]; "
        f"nearest is {pool}/{group}: it would do if the pod requested at most 4 cpu instead of 64"
    )


async def test_pods_that_are_stuck_stand_in_the_policys_status_until_they_are_helped(world: World) -> None:
    policy, place = await world.policy(), unique("place")
    small = await world.group(instance_type="m5.large", labels={"place": place})
    tainted = await world.group(labels={"place": place}, taints={"dedicated": "batch:NoSchedule"})
    pools = [await world.pool(group, policy=policy) for group in (small, tainted)]
    async with world.operator():
        # One change is nearer than two: the large nodes would do if their taint were tolerated.
        app = await world.deployment(2, cpu="3", memory="12Gi", nodeSelector={"place": place})
        nearest = (
            f"nearest is {pools[1]}/{tainted}: it would do if the pod tolerated dedicated=batch:NoSchedule"
        )

        async def stuck() -> Manifest:
            told = (await world.policy_status(policy)).get("stuckPods", [])
            return next((one for one in told if one["count"] == 2), {})

        said = await world.until(stuck, "the pods among the stuck")
        names = {f"default/{pod['metadata']['name']}" for pod in await world.pods(app)}
        assert said["pod"] in names
        assert said["reason"].endswith(nearest)
        for name in names:
            event = await ours(world, "pod", name.partition("/")[2], "NotTriggerScaleUp", "default")
            assert event["message"].endswith(nearest)
        toleration = {"key": "dedicated", "value": "batch", "effect": "NoSchedule"}
        change = {"template": {"spec": {"tolerations": [toleration]}}}
        await world.api.patch(f"/apis/apps/v1/namespaces/default/deployments/{app}", {"spec": change})

        async def none() -> bool:
            return not (await world.policy_status(policy)).get("stuckPods")

        await world.until(none, "nobody to be stuck any more")
        await world.running(app, 2)
    assert world.raises(small) == []


async def test_the_log_tells_the_plan_before_what_became_of_it(world: World) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    async with world.operator() as operator:
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)
        await world.events(pool, "ScaleUpFinished")
    story = [line.split("  ", 1)[-1].strip() for line in operator.lines().splitlines() if pool in line]
    words = (
        "is ready",
        f"Scale-up plan: {pool}/{group} 0->1",
        f"scale-up: {pool}/{group} 0->1",
        "finished in",
    )
    places = [next(index for index, line in enumerate(story) if word in line) for word in words]
    assert places[1:] == sorted(places[1:])
    assert "Traceback" not in operator.lines()


async def test_a_candidate_says_what_keeps_it(world: World) -> None:
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    pod = await bare_pod(world, nodeSelector={"group": group})
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    async with world.operator():
        why = f"pod default/{pod}: no controller would replace it (NotReplicated)"

        async def said() -> bool:
            candidates = (await world.node_pool(pool))["status"]["scaleDown"]["candidates"]
            return any(candidate.get("blockedBy") == why for candidate in candidates)

        await world.condition(pool, "Ready", "True")
        await world.until(said, f"a candidate to say {why}")


# --- yaml, explain --------------------------------------------------------------------------------------------------


async def test_nothing_is_written_into_a_resource_but_its_status_and_our_finalizer(world: World) -> None:
    policy, group = await world.policy(), await world.group()
    pool = await world.pool(group, policy=policy)
    before = (await world.node_pool(pool))["spec"]
    async with world.operator():
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)
        await world.condition(pool, "ScalingUp", "False")
    for path in (f"{OWN}/nodepools/{pool}", f"{OWN}/autoscalerpolicies/{policy}"):
        found = await world.api.get(path)
        metadata = found["metadata"]
        assert metadata.get("finalizers") == ["springtide.dev/cleanup"]
        assert not {"annotations", "labels"} & metadata.keys()
        assert metadata["generation"] == 1
        conditions = found["status"]["conditions"]
        assert conditions[0]["type"] == "Ready"
        assert all(condition["reason"] and condition["observedGeneration"] == 1 for condition in conditions)
    assert (await world.node_pool(pool))["spec"] == before


async def test_a_restart_changes_no_condition(world: World) -> None:
    """Nobody must be alarmed because the operator was updated."""
    group = await world.group(desired=1, min_size=1)
    await world.nodes_settle(group, 1)
    pool = await world.pool(group, policy=await world.policy())
    async with world.operator():
        await world.condition(pool, "Ready", "True")
        await world.condition(pool, "ScalingUp", "False")
    before = (await world.node_pool(pool))["status"]
    watched = asyncio.create_task(statuses(world, pool))
    async with world.operator() as operator:

        async def written() -> bool:
            return (await world.node_pool(pool))["status"]["lastProbeTime"] > before["lastProbeTime"]

        await world.until(written, "the next operator to write the status")
        assert "is ready" not in operator.lines()
    watched.cancel()
    seen = await watched
    assert all(status["conditions"] == before["conditions"] for status in seen)
    assert all(status["groups"] == before["groups"] for status in seen)


async def statuses(world: World, pool: str) -> list[Manifest]:
    """Every status of a NodePool from now on, until cancelled."""
    seen: list[Manifest] = []
    since = (await world.api.get(f"{OWN}/nodepools"))["metadata"]["resourceVersion"]
    try:
        async for event in world.api.watch(
            f"{OWN}/nodepools", since=since, fieldSelector=f"metadata.name={pool}"
        ):
            seen.append(event["object"]["status"])
    except asyncio.CancelledError:
        pass
    return seen


async def test_a_failure_is_seen_in_status_and_table(world: World) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    world.cloud.failures.add(NoCapacity(group=group))
    async with world.operator():
        await world.deployment(1, nodeSelector={"group": group})
        await until_row(world, "nodepools", pool, {"SCALE-UP": "Backoff", "TARGET": "0"})
        (seen,) = (await world.node_pool(pool))["status"]["groups"]
        assert seen["backoff"]["reason"] == "OutOfCapacity"
        assert "capacity" in seen["lastError"]["message"]


@pytest_asyncio.fixture(loop_scope="session")
async def definitions(world: World) -> dict[str, Any]:
    """What `kubectl explain` reads: the OpenAPI document of our API group."""
    document = await world.api.get("/openapi/v3/apis/springtide.dev/v1alpha1")
    schemas: dict[str, Any] = document["components"]["schemas"]
    return {name.rpartition(".")[2]: schema for name, schema in schemas.items() if "springtide" in name}


async def test_explain_has_words_for_every_field(world: World, definitions: dict[str, Any]) -> None:
    for kind in ("NodePool", "AutoscalerPolicy"):
        fields = {
            path: schema
            for path, schema in every_field(definitions[kind], kind.lower())
            if ".metadata" not in path
        }
        silent = [path for path, schema in fields.items() if not schema.get("description", "").strip()]
        assert silent == []
        assert len(fields) > 40
    if KUBECTL is not None:
        printed = await kubectl(world, "explain", "nodepool.spec.scaleUp.backoff.initial")
        assert "Wait after the first failure" in printed


def every_field(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from every_field(field, f"{path}.{name}")
        yield from every_field(field.get("items", {}), f"{path}.{name}[]")
