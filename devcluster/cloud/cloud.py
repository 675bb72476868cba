"""A whole AWS for one devcluster: moto, the proxy with its manners, and the bridge to the cluster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import aioboto3
from botocore.config import Config

from devcluster.api import Api
from devcluster.cloud.bridge import Bridge, BridgeOptions
from devcluster.cloud.calls import CallLog
from devcluster.cloud.failures import Failures, Rule
from devcluster.cloud.fleet import Fleet, FleetEvent, Timings
from devcluster.cloud.groups import Administrator, GroupSpec
from devcluster.cloud.model import Instance
from devcluster.cloud.moto import MotoServer
from devcluster.cloud.protocol import Request
from devcluster.cloud.proxy import OWNER_ACCESS_KEY, Proxy
from devcluster.process import ProcessCrashed
from devcluster.traps import Traps

ACCESS_KEY = "AKIADEVCLUSTEROPERATR"
"""The key that `Cloud.environment` hands out; AWS's have 20 characters and begin like this one."""


@dataclass(frozen=True, kw_only=True)
class CloudOptions:
    """What the cloud is like when it starts."""

    region: str = "us-east-1"
    timings: Timings = field(default_factory=Timings)
    bridge: BridgeOptions = field(default_factory=BridgeOptions)
    failures: tuple[Rule, ...] = ()
    groups: tuple[GroupSpec, ...] = ()
    """Created at the start."""
    logs: Path | None = None
    """Folder for moto's log; a temporary one, gone at the end, unless given."""


class Cloud:
    """The running cloud; ``async with`` starts and stops it."""

    def __init__(
        self,
        options: CloudOptions | None = None,
        *,
        api: Api | None = None,
        on_crash: Callable[[ProcessCrashed], None] | None = None,
    ) -> None:
        """Without `api` there is no cluster, and instances become no Nodes, until `connect`.

        `on_crash` is called when moto's process ends without being stopped.
        """
        self.options = options or CloudOptions()
        self.failures = Failures(self.options.failures)
        self._api = api
        self._on_crash = on_crash
        self._stack = AsyncExitStack()
        self._fleet: Fleet
        self._proxy: Proxy
        self._administrator: Administrator

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            logs = self.options.logs or Path(stack.enter_context(TemporaryDirectory(prefix="moto-")))
            moto = MotoServer(region=self.options.region, log=logs / "moto.log", on_crash=self._on_crash)
            await stack.enter_async_context(moto)
            self._fleet = Fleet(timings=self.options.timings, failures=self.failures)
            stack.callback(self._fleet.close)
            self._proxy = await stack.enter_async_context(
                Proxy(
                    fleet=self._fleet,
                    failures=self.failures,
                    moto_url=moto.url,
                    region=self.options.region,
                )
            )
            self._administrator = Administrator(
                autoscaling=await stack.enter_async_context(self._owner_client("autoscaling")),
                ec2=await stack.enter_async_context(self._owner_client("ec2")),
            )
            for spec in self.options.groups:
                await self.create_group(spec)
            self._stack = stack.pop_all()
        if self._api is not None:
            await self.connect(self._api)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def connect(self, api: Api) -> None:
        """Let the instances, those in service already included, be Nodes of this cluster from now on.

        For a cluster that starts at the same time as the cloud; at most once.
        """
        bridge = Bridge(api=api, fleet=self._fleet, failures=self.failures, options=self.options.bridge)
        await self._stack.enter_async_context(bridge)

    @property
    def endpoint_url(self) -> str:
        """Where this AWS answers."""
        return self._proxy.url

    @property
    def calls(self) -> CallLog:
        """Every call so far, whoever made it."""
        return self._proxy.calls

    @property
    def traps(self) -> Traps[Request]:
        """Where calls can be caught and held; see devcluster.traps."""
        return self._proxy.traps

    def environment(self, access_key: str = ACCESS_KEY) -> dict[str, str]:
        """The variables that make any AWS SDK or CLI talk to this cloud; the calls are recorded under the key."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": self.options.region,
            "AWS_DEFAULT_REGION": self.options.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, *, access_key: str = ACCESS_KEY, retries: int = 0) -> Any:
        """An aioboto3 client of this cloud, to be used with ``async with``."""
        return aioboto3.Session().client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.options.region,
            aws_access_key_id=access_key,
            aws_secret_access_key="not-a-secret",
            config=Config(retries={"max_attempts": retries}),
        )

    async def create_group(self, spec: GroupSpec) -> None:
        """Create an Auto Scaling group; raises botocore's ClientError as AWS would refuse it."""
        await self._administrator.create_group(spec)

    async def delete_group(self, name: str) -> None:
        """Delete a group with all its instances."""
        await self._administrator.delete_group(name)

    def desired(self, group: str) -> int:
        """The capacity last asked for; raises KeyError for an unknown group."""
        return self._fleet.groups[group].desired

    def instances(self, group: str) -> list[Instance]:
        """The instances of a group in order of launch, Terminating ones included; KeyError if unknown."""
        return list(self._fleet.groups[group].instances.values())

    def lose_instance(self, instance_id: str) -> bool:
        """Make an instance disappear without notice; its group replaces it. False if there is none."""
        return self._fleet.lose(instance_id)

    def rebalance(self, instance_id: str) -> None:
        """Let AZRebalance replace an instance, without a word to anybody; KeyError if there is none."""
        instance = self._fleet.instance(instance_id)
        if instance is None:
            raise KeyError(instance_id)
        self._fleet.rebalance(instance)

    def listen(self, listener: Callable[[FleetEvent], None]) -> None:
        """Call `listener` whenever an instance comes into service or is gone; it must not block."""
        self._fleet.listen(listener)

    def _owner_client(self, service: str) -> Any:
        return self.client(service, access_key=OWNER_ACCESS_KEY, retries=3)
