"""Talking to AWS: one set of clients a region, kept open; retries, timeouts and pacing in one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from springtide.cluster.send_guard import Leave, give_leave
from springtide.providers.aws.errors import classify
from springtide.providers.aws.iam import Operation
from springtide.providers.base import ThrottledError
from springtide.providers.pacing import TokenBucket

logger = logging.getLogger(__name__)

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """How AWS is called. Times in seconds."""

    endpoint_url: str | None = None
    """Where all services are; None = AWS's own, or AWS_ENDPOINT_URL when that is set (the SDK reads it)."""
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    mutation_deadline_s: float = 10.0
    """For one mutation in all, from sending to answer: must be shorter than what remains of the leader's lease."""
    read_attempts: int = 3
    """Tries of a read, the first included. Mutations are tried once: the caller decides, after a fresh read."""
    reads_per_second: float = 10.0
    """AWS publishes no figures for Describe calls of EC2 Auto Scaling; other tools of the same account share them."""
    reads_burst: int = 40
    mutations_per_second: float = 5.0
    mutations_burst: int = 20


class Region:
    """The clients of one region. Every call of every module goes through here; errors come out as ProviderErrors."""

    def __init__(
        self, name: str, *, session: aioboto3.Session, settings: CallSettings, leave: Leave = give_leave
    ) -> None:
        self.name = name
        self._session = session
        self._settings = settings
        self._leave = leave
        self._reads = TokenBucket(per_second=settings.reads_per_second, burst=settings.reads_burst)
        self._mutations = TokenBucket(
            per_second=settings.mutations_per_second, burst=settings.mutations_burst
        )
        self._clients: dict[tuple[str, bool], Any] = {}
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()

    async def call(self, operation: Operation, **params: object) -> Answer:
        """Make one call; raises ProviderError and its kinds."""
        bucket = self._mutations if operation.mutates else self._reads
        await bucket.take()
        try:
            client = await self._client(operation.service, mutates=operation.mutates)
            answer = await self._send(client, operation, params)
        except (ClientError, BotoCoreError, OSError, TimeoutError) as error:
            failure = classify(error, operation=operation, region=self.name)
            if isinstance(failure, ThrottledError):
                bucket.throttled()
            logger.debug("%s", failure)
            raise failure from error
        bucket.succeeded()
        return answer

    async def pages(self, operation: Operation, *, items: str, **params: object) -> list[Any]:
        """All items of a paginated read; `items` is the key of the list in each page."""
        found: list[Any] = []
        token: str | None = None
        while True:
            page = await self.call(operation, **params, **({"NextToken": token} if token else {}))
            found.extend(page.get(items) or ())
            token = page.get("NextToken")
            if not token:
                return found

    async def aclose(self) -> None:
        """Close all connections."""
        self._clients.clear()
        await self._open.aclose()

    async def _send(self, client: Any, operation: Operation, params: Mapping[str, object]) -> Answer:
        # The SDK generates its methods from the operations; they cannot be named statically.
        method = getattr(client, _METHODS[operation])
        if not operation.mutates:
            return await method(**params)  # type: ignore[no-any-return]
        async with asyncio.timeout(self._settings.mutation_deadline_s):
            return await method(**params)  # type: ignore[no-any-return]

    async def _client(self, service: str, *, mutates: bool) -> Any:
        async with self._opening:
            key = (service, mutates)
            if key not in self._clients:
                client = await self._open.enter_async_context(
                    self._session.client(
                        service,
                        region_name=self.name,
                        endpoint_url=self._settings.endpoint_url,
                        config=self._config(mutates=mutates),
                    )
                )
                if mutates:
                    # Signed and serialised; the connection is all that is still waited for.
                    client.meta.events.register("before-send", self._last_look)
                self._clients[key] = client
            return self._clients[key]

    def _last_look(self, **_: object) -> None:
        # What it returned would be taken for AWS's answer.
        self._leave()

    def _config(self, *, mutates: bool) -> Config:
        return Config(
            connect_timeout=self._settings.connect_timeout_s,
            read_timeout=self._settings.read_timeout_s,
            retries={
                "mode": "standard",
                "total_max_attempts": 1 if mutates else self._settings.read_attempts,
            },
            user_agent_extra="springtide",
        )


class Regions:
    """All regions in use; each is opened at its first use and kept."""

    def __init__(self, *, settings: CallSettings, leave: Leave = give_leave) -> None:
        self._settings = settings
        self._leave = leave
        self._session = aioboto3.Session()
        self._regions: dict[str, Region] = {}

    def __getitem__(self, name: str) -> Region:
        if name not in self._regions:
            self._regions[name] = Region(
                name, session=self._session, settings=self._settings, leave=self._leave
            )
        return self._regions[name]

    async def aclose(self) -> None:
        """Close all connections of all regions."""
        regions, self._regions = list(self._regions.values()), {}
        await asyncio.gather(*(region.aclose() for region in regions))


def answered_at(answer: Answer) -> datetime | None:
    """When AWS gave this answer, by AWS's own clock (to the second); None when it does not say."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except ValueError:
        return None


_METHODS = {
    Operation.DESCRIBE_GROUPS: "describe_auto_scaling_groups",
    Operation.DESCRIBE_LAUNCH_CONFIGURATIONS: "describe_launch_configurations",
    Operation.DESCRIBE_POLICIES: "describe_policies",
    Operation.DESCRIBE_ACTIVITIES: "describe_scaling_activities",
    Operation.DESCRIBE_INSTANCES: "describe_instances",
    Operation.DESCRIBE_INSTANCE_TYPES: "describe_instance_types",
    Operation.DESCRIBE_LAUNCH_TEMPLATE_VERSIONS: "describe_launch_template_versions",
    Operation.SET_DESIRED_CAPACITY: "set_desired_capacity",
    Operation.TERMINATE_INSTANCE: "terminate_instance_in_auto_scaling_group",
}
