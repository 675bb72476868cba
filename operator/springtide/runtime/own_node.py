"""The node this very process runs on: it is removed last, and by another replica.

A leader that drained its own node would evict itself in the middle of it. So the plan keeps that node while we lead; when
it is all that is left to remove and another replica is ready elsewhere, we hand over, and our successor removes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from springtide.cluster.api_errors import KubeError
from springtide.planning.plan import BlockReason, Plan
from springtide.runtime.election import Whereabouts

logger = logging.getLogger(__name__)


class Reader(Protocol):
    """The part of KubeClient that is needed."""

    async def get_json(self, path: str) -> Any: ...


class OwnNode:
    """Of a process that runs in no pod it keeps nothing, and never hands over."""

    def __init__(self, here: Whereabouts, client: Reader | None, *, elects: bool) -> None:
        """`elects`: there is an election, so that another may lead."""
        self._here = here
        self._client = client
        self._elects = elects
        self._alone = False
        """Whether no replica was found that could lead instead, when one was needed."""
        self.handing_over = asyncio.Event()
        """Set when another replica should lead."""

    @property
    def kept(self) -> Mapping[str, str]:
        """For the snapshot: the node, and why it is kept."""
        if not self._here.node:
            return {}
        text = f"the operator that leads runs here ({self._here.pod or 'this process'})"
        if not self._elects:
            return {self._here.node: f"{text}, without leader election: move it, and the node can go"}
        if self._alone:
            return {self._here.node: f"{text}, and no other replica is ready on another node to take over"}
        return {self._here.node: f"{text}: it goes last, after handing over to another replica"}

    async def consider(self, plan: Plan, *, busy: bool) -> None:
        """After a pass: hand over if our node is all that is left to remove. `busy`: something is under way."""
        verdict = plan.nodes.get(self._here.node)
        if verdict is None or verdict.block is not BlockReason.OPERATOR_RUNS_HERE:
            self._alone = False
            return
        if busy or plan.removals or plan.purchases or not self._elects:
            return
        successor = await self._successor()
        self._alone = not successor
        if successor:
            logger.info("handing over to pod %s: node %s goes next", successor, self._here.node)
            self.handing_over.set()

    async def _successor(self) -> str:
        """A pod of our Deployment that is ready on another node; empty when there is none, or nobody can tell.

        Read from the API server: a replica that is gone already could not take over.
        """
        if self._client is None or not self._here.pod:
            return ""
        try:
            pods = await self._pods()
        except KubeError as error:
            logger.debug("who could take over is not known: %s", error)
            return ""
        own = next((pod for pod in pods if pod["metadata"]["name"] == self._here.pod), None)
        if own is None:
            return ""
        others = (
            pod for pod in pods if _labels(pod) == _labels(own) and _could_lead(pod, not_on=self._here.node)
        )
        return next((str(pod["metadata"]["name"]) for pod in others), "")

    async def _pods(self) -> list[Mapping[str, Any]]:
        assert self._client is not None
        query = urlencode({"labelSelector": "app.kubernetes.io/name=springtide"})
        found = await self._client.get_json(f"/api/v1/namespaces/{self._here.namespace}/pods?{query}")
        pods: list[Mapping[str, Any]] = found.get("items") or []
        return pods


def _labels(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """All but the one that differs from one rollout to the next."""
    labels = pod["metadata"].get("labels") or {}
    return {name: value for name, value in labels.items() if name != "pod-template-hash"}


def _could_lead(pod: Mapping[str, Any], *, not_on: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    elsewhere = (pod.get("spec") or {}).get("nodeName") not in (None, "", not_on)
    return ready and elsewhere and "deletionTimestamp" not in pod["metadata"]
