"""Volumes decide the zone: nodes are bought where a claim can be made, and where one already is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from springtide.cluster.access import kubeconfig as access
from springtide.cluster.kube import KubeClient
from springtide.cluster.watching import ClusterWatch
from tests.e2e.world import ZONE, ZONES, Manifest, World, pod_spec, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SELECTED_NODE = "volume.kubernetes.io/selected-node"
DRIVER = "disk.example.com"


async def three_zones(world: World) -> tuple[str, dict[str, str]]:
    """A pool with a group in each zone: the label that their nodes share, and the groups by zone."""
    place = unique("place")
    groups = {zone: await world.group(zones=(zone,), labels={"place": place}) for zone in ZONES}
    await world.pool(*groups.values(), policy=await world.policy())
    return place, groups


def in_zone(zone: str) -> list[Manifest]:
    return [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}]


async def storage_class(world: World, *, zone: str) -> str:
    """Makes volumes in this zone, once a pod that needs one is given a node."""
    name = unique("class")
    await world.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": DRIVER,
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": [{"matchLabelExpressions": [{"key": ZONE, "values": [zone]}]}],
        }
    )
    return name


def claim_spec(storage_class_name: str, **extra: Any) -> Manifest:
    request = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return request | {"storageClassName": storage_class_name, **extra}


async def volume(world: World, *, claim: str, storage_class_name: str, zone: str) -> str:
    """A PersistentVolume for this claim, as a driver would make it."""
    name = unique("volume")
    await world.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage_class_name,
                "claimRef": {"namespace": "default", "name": claim},
                "csi": {"driver": DRIVER, "volumeHandle": name},
                "nodeAffinity": {"required": {"nodeSelectorTerms": in_zone(zone)}},
            },
        }
    )
    return name


async def stateful_set(world: World, replicas: int, *, storage_class_name: str, place: str) -> str:
    """With a claim for each pod; the claims go with it."""
    name = unique("db")
    labels = {"app": name}
    mount = [{"name": "data", "mountPath": "/data"}]
    spec = pod_spec(nodeSelector={"place": place})
    spec["containers"][0]["volumeMounts"] = mount
    await world.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "replicas": replicas,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
                "template": {"metadata": {"labels": labels}, "spec": spec},
                "volumeClaimTemplates": [
                    {"metadata": {"name": "data"}, "spec": claim_spec(storage_class_name)}
                ],
            },
        }
    )
    return name


async def selected(world: World, claim: str) -> str:
    """Wait until the scheduler has chosen a node for the claim's volume; the zone of that node."""

    async def chosen() -> str:
        found = await world.api.find(f"/api/v1/namespaces/default/persistentvolumeclaims/{claim}")
        return str(found["metadata"].get("annotations", {}).get(SELECTED_NODE, "")) if found else ""

    node = await world.until(chosen, f"a node for the volume of {claim}")
    return str((await world.api.get(f"/api/v1/nodes/{node}"))["metadata"]["labels"][ZONE])


async def test_claims_that_are_made_in_one_zone_only_buy_nodes_there(world: World) -> None:
    place, groups = await three_zones(world)
    where = ZONES[1]
    storage = await storage_class(world, zone=where)
    async with world.operator():
        app = await stateful_set(world, 2, storage_class_name=storage, place=place)
        for claim in (f"data-{app}-0", f"data-{app}-1"):
            assert await selected(world, claim) == where
            await volume(world, claim=claim, storage_class_name=storage, zone=where)
        await world.running(app, 2)
    assert {zone: world.raises(group) for zone, group in groups.items()} == {
        zone: [1] if zone == where else [] for zone in ZONES
    }


async def test_a_bound_claim_buys_a_node_where_its_volume_is(world: World) -> None:
    place, groups = await three_zones(world)
    where, claim = ZONES[2], unique("claim")
    bound = await volume(world, claim=claim, storage_class_name="", zone=where)
    await world.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": "default"},
            "spec": claim_spec("", volumeName=bound),
        }
    )
    mounted = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    async with world.operator():
        app = await world.deployment(1, nodeSelector={"place": place}, volumes=mounted)
        await world.running(app, 1)
    assert {zone: world.raises(group) for zone, group in groups.items()} == {
        zone: [1] if zone == where else [] for zone in ZONES
    }


async def test_a_claim_that_does_not_exist_is_named_and_buys_nothing(world: World) -> None:
    place, groups = await three_zones(world)
    mounted = [{"name": "data", "persistentVolumeClaim": {"claimName": "absent"}}]
    async with world.operator():
        app = await world.deployment(1, nodeSelector={"place": place}, volumes=mounted)
        await world.refused(app, 1)
        (pod,) = await world.pods(app)
        event = (await world.events(pod["metadata"]["name"], "NotTriggerScaleUp"))[-1]
        assert "3 groups: volumes cannot be bound: claim absent does not exist [" in event["message"]
    assert [world.raises(group) for group in groups.values()] == [[], [], []]


def _cluster_object(kind: str, name: str, **rest: Any) -> Manifest:
    return {"apiVersion": "storage.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **rest}


async def test_the_shipped_role_shows_all_that_volumes_and_affinity_hang_on(world: World) -> None:
    name, storage = unique("seen"), await storage_class(world, zone=ZONES[0])
    async with KubeClient(access(str(world.kubeconfig))) as client:
        watch = ClusterWatch(client)
        watch.start()
        try:
            async with asyncio.timeout(20):
                await watch.synced()
            claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": claim_spec(storage)}
            await world.apply(claim | {"metadata": {"name": name, "namespace": "default"}})
            made = await volume(world, claim=name, storage_class_name=storage, zone=ZONES[0])
            await world.apply(_cluster_object("CSIDriver", name, spec={"attachRequired": False}))
            # As the kubelet makes it before any driver has registered.
            await world.apply(_cluster_object("CSINode", name, spec={"drivers": []}))
            capacity = _cluster_object("CSIStorageCapacity", name, storageClassName=storage, capacity="1Gi")
            capacity["metadata"]["namespace"] = "default"
            await world.apply(capacity)
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await world.apply(namespace)
            seen = watch.state.volumes

            async def all_seen() -> bool:
                there = (
                    seen.storage_class(storage),
                    seen.claim("default", name),
                    seen.volume(made),
                    seen.drivers.get(("", name)),
                    seen.csi_nodes.get(("", name)),
                    seen.capacities.get(("default", name)),
                )
                return None not in there and name in watch.picture(now=datetime.now(tz=UTC)).namespaces

            await world.until(all_seen, "everything to be seen")
        finally:
            await watch.stop()
