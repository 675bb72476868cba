"""The kopf handlers: the only file with kopf decorators. They ask for passes and wait for them; all else is elsewhere.

The memo is the running Engine. Every handler is thin and returns None (kopf would store a result in the status).
"""

from __future__ import annotations

from typing import Any

import kopf

from springtide.api.model import API_GROUP, API_VERSION
from springtide.runtime.engine import Engine

NODE_POOLS = (API_GROUP, API_VERSION, "nodepools")
POLICIES = (API_GROUP, API_VERSION, "autoscalerpolicies")

TICK_SECONDS = 1.0
"""kopf's interval is static while scanInterval is not, so the timer ticks often and asks whether its policy is due."""

RETRY_SECONDS = 5.0


def register(registry: kopf.OperatorRegistry) -> kopf.OperatorRegistry:
    """Put all handlers into a registry of the caller's (nothing is registered by importing this module)."""

    @kopf.timer(*POLICIES, interval=TICK_SECONDS, backoff=RETRY_SECONDS, registry=registry)
    async def scan(memo: Engine, name: str, **_: Any) -> None:
        """The heartbeat: a pass at least every scanInterval."""
        await memo.scan_if_due(name)

    @kopf.on.event(*NODE_POOLS, registry=registry)
    async def node_pool_changed(memo: Engine, body: kopf.Body, **_: Any) -> None:
        memo.resource_changed("NodePool", body["metadata"])

    @kopf.on.event(*POLICIES, registry=registry)
    async def policy_changed(memo: Engine, body: kopf.Body, **_: Any) -> None:
        memo.resource_changed("AutoscalerPolicy", body["metadata"])

    @kopf.on.delete(*NODE_POOLS, backoff=RETRY_SECONDS, registry=registry)
    async def node_pool_deleted(memo: Engine, name: str, **_: Any) -> None:
        """Roll removals back, lift taints; nodes stay. kopf then takes the finalizer off."""
        await memo.release_pools([name])

    @kopf.on.delete(*POLICIES, backoff=RETRY_SECONDS, registry=registry)
    async def policy_deleted(memo: Engine, name: str, **_: Any) -> None:
        """The same for every pool that followed the policy."""
        await memo.release_policy(name)

    return registry
