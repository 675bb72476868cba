"""Volumes are detached from a drained node before its instance is terminated, if that takes no longer than allowed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from springtide.actuation.outcome import RemovalDone, RemovalTerminating, VolumesNotDetached
from springtide.actuation.volume_api import KubeVolumes
from springtide.cluster.api_errors import ApiError
from springtide.cluster.records import PodRecord
from springtide.cluster.volumes.mounts import Mounts
from springtide.cluster.volumes.records import Claim
from tests.unit.actuation.world import World, clock, pod

pytestmark = pytest.mark.looptime


def mounting(*claims: str, **fields: Any) -> PodRecord:
    return pod(mounts=Mounts(claims=claims), **fields)


async def drained(*pods: PodRecord, **scale_down: str) -> World:
    """A world in which the removal of a node with these pods, and a volume "pv-1" attached to it, has begun."""
    world = await World(scale_down=scale_down).booted()
    world.with_pods(*pods)
    world.volumes.attached["pv-1"] = world.node()
    world.apply(removals=(world.removal(),))
    return world


async def test_the_instance_is_terminated_once_they_are_detached() -> None:
    world = await drained(mounting("data-0"))
    await asyncio.sleep(45)
    assert world.of(RemovalTerminating) == []
    world.volumes.attached.clear()
    detached_at = clock()
    await world.quiet()
    assert world.of(RemovalTerminating)[0].at - detached_at < timedelta(seconds=6)
    assert world.of(VolumesNotDetached) == []


@pytest.mark.parametrize(
    ("setting", "seconds"),
    [({}, 120), ({"maxVolumeDetachTime": "20s"}, 20), ({"maxVolumeDetachTime": "0s"}, 0)],
)
async def test_but_after_some_time_regardless_and_that_is_told(setting: dict[str, str], seconds: int) -> None:
    world = await drained(mounting("data-0"), **setting)
    began = clock()
    await world.quiet()
    (told,) = world.of(VolumesNotDetached)
    assert told.message.endswith(": pv-1")
    assert world.of(RemovalDone)
    # Taint and drain take some seconds, too.
    assert seconds - 6 < (told.at - began).total_seconds() < seconds + 20


async def test_volumes_of_pods_that_stay_hold_up_nothing() -> None:
    world = await World(scale_down={"daemonSetEvictionForOccupiedNodes": False}).booted()
    world.volumes.bound["logs"] = "pv-1"
    world.volumes.attached["pv-1"] = world.node()
    world.with_pods(mounting("data-0"), mounting("logs", kind="DaemonSet"))
    begun = clock()
    await world.remove()
    assert clock() - begun < timedelta(seconds=60)
    assert world.of(VolumesNotDetached) == []


async def test_volumes_of_other_nodes_hold_up_nothing() -> None:
    world = await drained(mounting("data-0"))
    world.volumes.attached["pv-1"] = "another node"
    await world.quiet()
    assert world.of(VolumesNotDetached) == []


async def test_nobody_asks_where_no_pod_has_a_volume() -> None:
    world = await drained(pod())
    await world.quiet()
    assert world.of(RemovalDone)
    assert world.volumes.reads == 0


async def test_a_drain_that_another_process_began_asks_all_the_same() -> None:
    """The pods that mounted something are gone, and nobody remembers them."""
    world = await drained(mounting("data-0"))
    await world.until(lambda: world.volumes.reads)
    await world.actuator.stop(grace=0)
    world.new_actuator()
    world.resume()
    await asyncio.sleep(30)
    assert world.of(RemovalTerminating) == []
    world.volumes.attached.clear()
    await world.quiet()
    assert world.of(RemovalDone)


async def test_without_leave_to_read_them_the_removal_goes_on() -> None:
    world = await World().booted()
    world.with_pods(mounting("data-0"))
    world.volumes.error = ApiError(status=403, reason="Forbidden", message="volumeattachments is forbidden")
    await world.remove()
    assert world.of(RemovalDone)
    (told,) = world.of(VolumesNotDetached)
    assert "volumeattachments is forbidden" in told.message


class Client:
    """Answers every GET with the same two attachments."""

    async def get(self, path: str, params: dict[str, str], **_: object) -> bytes:
        assert (path, params) == ("/apis/storage.k8s.io/v1/volumeattachments", {"resourceVersion": "0"})
        return b"""{"items": [
            {"metadata": {"name": "csi-1"}, "spec": {"nodeName": "n1", "attacher": "ebs.csi.aws.com",
             "source": {"persistentVolumeName": "pv-1"}}, "status": {"attached": true}},
            {"metadata": {"name": "csi-2"}, "spec": {"nodeName": "n1", "source": {"inlineVolumeSpec": {}}}},
            {"metadata": {"name": "csi-3"}, "spec": {"nodeName": "n2", "source": {"persistentVolumeName": "pv-3"}}}
        ]}"""


async def test_attachments_are_read_from_the_api_server_and_claims_from_the_informers() -> None:
    claims = {"data-0": Claim(namespace="default", name="data-0", volume_name="pv-1")}
    client: Any = Client()
    volumes = KubeVolumes(client, claim=lambda namespace, name: claims.get(name))
    assert await volumes.attached_to("n1") == ["pv-1", "csi-2"]
    assert (volumes.volume_of("default", "data-0"), volumes.volume_of("default", "gone")) == ("pv-1", "")
