"""Waiting until the volumes of evicted pods are detached, before the instance is terminated.

A volume that is still attached when its machine is cut off can be attached elsewhere only after the attach-detach
controller gives up on the old node (six minutes), so a StatefulSet's next pod would hang for that long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from springtide.actuation.patience import growing, patiently
from springtide.actuation.settings import ActuationSettings
from springtide.cluster.records import PodRecord


class VolumeApi(Protocol):
    """What is attached where."""

    async def attached_to(self, node: str) -> Collection[str]:
        """Names of the PersistentVolumes that are attached to the node, or being attached or detached. Raises
        springtide.cluster.api_errors.KubeError."""
        ...

    def volume_of(self, namespace: str, claim: str) -> str:
        """Name of the PersistentVolume that is bound to a claim; empty: none is known."""
        ...


def may_have_volumes(pods: Iterable[PodRecord]) -> bool:
    """Whether any of the pods mounts a volume that is attached to its node."""
    return any(pod.mounts.claims or pod.mounts.disks for pod in pods)


async def wait_for_detachment(
    node: str,
    *,
    staying: Iterable[PodRecord],
    volumes: VolumeApi,
    at_most: timedelta,
    settings: ActuationSettings,
) -> Sequence[str]:
    """Wait until only volumes of `staying` pods (those of DaemonSets) are attached to the node. The volumes that still
    were when the time was up, sorted; none: all were detached in time. Raises KubeError."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + at_most.total_seconds()
    kept = {volumes.volume_of(pod.namespace, claim) for pod in staying for claim in pod.mounts.claims}
    for pause in growing(first=settings.detachment_poll_first, most=settings.detachment_poll):
        attached = await patiently(lambda: volumes.attached_to(node), patience=settings.read_patience)
        left = sorted(set(attached) - kept)
        if not left or loop.time() + pause > give_up_at:
            return left
        await asyncio.sleep(pause)
    raise AssertionError("unreachable: the pauses are endless")
