"""Standing for election: who we are, by which Lease, and what the metrics say of it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from springtide.cluster.access import AccessLoader
from springtide.cluster.api_calls import CallLog
from springtide.cluster.kube import KubeClient
from springtide.leadership.elector import Candidate, Witness
from springtide.leadership.gate import MutationGate
from springtide.leadership.kube_leases import KubeLeases, LeaseApi
from springtide.leadership.thread import Leadership, elected, unopposed
from springtide.reporting.metrics import Metrics
from springtide.runtime.settings import OperatorSettings

EXIT_LEADERSHIP_LOST: Final = 3
DEFAULT_NAMESPACE: Final = "springtide-system"
_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where this process runs; all empty outside of a cluster. The Deployment tells it by the downward API."""

    pod: str = ""
    namespace: str = ""
    node: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Whereabouts:
        """By POD_NAME, POD_NAMESPACE and NODE_NAME; the namespace else by the service account's files."""
        environment = os.environ if environment is None else environment
        namespace = environment.get("POD_NAMESPACE", "")
        if not namespace and _NAMESPACE_FILE.is_file():
            namespace = _NAMESPACE_FILE.read_text().strip()
        return cls(environment.get("POD_NAME", ""), namespace, environment.get("NODE_NAME", ""))


def candidate(settings: OperatorSettings, here: Whereabouts) -> Candidate:
    """Who stands for election: with a suffix of chance, for a pod's name outlives its containers."""
    return Candidate(
        identity=f"{here.pod or socket.gethostname()}_{secrets.token_hex(4)}",
        namespace=settings.lease_namespace or here.namespace or DEFAULT_NAMESPACE,
        name=settings.lease_name,
        times=settings.lease_times,
    )


class Counted(Witness):
    """Puts what happens into the metrics (prometheus_client's are safe in any thread)."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def renewed(self, seconds: float) -> None:
        self._metrics.lease_renewals.observe(seconds)

    def renewal_failed(self) -> None:
        self._metrics.lease_renewal_failures.inc()

    def leads(self, *, transitions: int) -> None:
        self._metrics.leader.set(1)
        self._metrics.leader_transitions.set(transitions)

    def leads_no_more(self) -> None:
        self._metrics.leader.set(0)


def make_gate(settings: OperatorSettings) -> MutationGate:
    """The gate of the whole process: shut until it leads, or always open without an election."""
    return MutationGate() if settings.leader_elect else MutationGate.always_open()


@asynccontextmanager
async def standing(
    settings: OperatorSettings,
    load_access: AccessLoader,
    *,
    gate: MutationGate,
    metrics: Metrics,
    here: Whereabouts,
    is_whole_process: bool,
) -> AsyncIterator[Leadership]:
    """Stand for election for as long as the context, if there is one.

    `is_whole_process`: end the process if it is still there some seconds after leadership was lost.
    """
    if not settings.leader_elect:
        metrics.leader.set(1)
        yield unopposed(gate)
        return
    stands = candidate(settings, here)

    def connect() -> AbstractAsyncContextManager[LeaseApi]:
        return connected(load_access, stands)

    async with elected(
        connect,
        stands,
        gate=gate,
        witness=Counted(metrics),
        end_process=_end_process if is_whole_process else None,
    ) as leadership:
        yield leadership


@asynccontextmanager
async def connected(load_access: AccessLoader, stands: Candidate) -> AsyncIterator[LeaseApi]:
    """The elector's own connection to the API server, for as long as the context."""
    # A client of its own, unguarded: the Lease is what gives the leave that others ask for.
    # And an impatient one: told to wait as long as a lease lasts, it would lose the lease by waiting. It asks once in two
    # seconds anyhow.
    async with KubeClient(load_access, calls=CallLog(most_quiet_seconds=0.0)) as client:
        yield KubeLeases(client, namespace=stands.namespace, name=stands.name)


def _end_process() -> None:
    os._exit(EXIT_LEADERSHIP_LOST)
