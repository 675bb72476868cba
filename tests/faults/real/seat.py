"""Where an operator sits: a network to the API server of its own, through the fault proxy, and AWS keys of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster.api_proxy import ApiProxy, ApiRequest
from devcluster.cloud import Call
from devcluster.operator_process import PROGRAM, OperatorProcess, operator_kubeconfig
from tests.e2e.world import QUICK, World, unique

USUAL_ELECTION = ("--lease-duration=15s", "--renew-deadline=10s", "--retry-period=2s")
"""The defaults, for tests that measure a take-over or must not lose the Lease to what they inject."""


@dataclass
class Seat:
    """One after the other, operators may sit here."""

    world: World
    name: str
    proxy: ApiProxy
    kubeconfig: Path
    operator: OperatorProcess | None = None

    @property
    def access_key(self) -> str:
        """By which the cloud's calls are told apart."""
        return f"AKIASEAT{self.name.upper():A<12}"

    async def start(self, *flags: str, program: Sequence[str] = PROGRAM) -> OperatorProcess:
        """Start an operator here; it is ready when it serves its probes."""
        self.operator = await OperatorProcess.start(
            kubeconfig=self.kubeconfig,
            log=self.world.logs / f"{unique(f'operator-{self.name}')}.log",
            flags=(*QUICK, *flags),
            # The Lease's holder is told by the pod's name.
            environment={**self.world.cloud.environment(self.access_key), "POD_NAME": self.name},
            program=program,
        )
        return self.operator

    async def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        assert self.operator is not None, "nobody sits here"
        self.operator.check()
        await self.operator.kill()

    def mutation_times(self, *, since: float = 0.0) -> list[float]:
        """When something was changed from here, in Kubernetes or AWS, in order; refused or not. Monotonic clock.

        Leases are left out, for both candidates may try for one; and Events, which change nothing for anybody.
        """
        kubernetes = [each.forwarded_at for each in self.proxy.record if _counts(each.request)]
        aws = [call.monotonic for call in self.cloud_mutations()]
        return sorted(at for at in (*kubernetes, *aws) if at >= since)

    def cloud_mutations(self) -> list[Call]:
        """The mutating calls that the cloud received from here, refused ones included."""
        return [call for call in self.world.cloud.calls.mutations if call.access_key == self.access_key]


def _counts(request: ApiRequest) -> bool:
    return not {"leases", "events"}.intersection(request.path.split("/"))


@contextlib.asynccontextmanager
async def open_seat(world: World, name: str) -> AsyncIterator[Seat]:
    """A seat, empty at first and in the end."""
    control_plane = world.control_plane
    async with ApiProxy(server=control_plane.server, ca_path=control_plane.ca_path) as proxy:
        kubeconfig = await operator_kubeconfig(
            world.api, server=proxy.url, ca_path=control_plane.ca_path, folder=world.logs, name=unique(name)
        )
        seat = Seat(world=world, name=name, proxy=proxy, kubeconfig=kubeconfig)
        try:
            yield seat
        finally:
            if seat.operator is not None:
                # Whatever a test left of the network: a SIGTERM must be able to do its work.
                proxy.traps.clear()
                proxy.heal()
                await seat.operator.stop()
