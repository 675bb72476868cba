"""The operator process: everything is made, wired, started in order and stopped in reverse.

Order: informers, clouds → (synced) → election → (won) → pass loop, events, statuses → kopf. A failure of any part ends the
process, so that its supervisor starts a whole one anew; a half operator would look alive. Who loses the election once won
ends, too; who does not win it stands by with everything warm.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import kopf

from springtide import __version__
from springtide.actuation.actuator import Actuator
from springtide.actuation.node_api import KubeNodes
from springtide.actuation.outcome import Outcome
from springtide.actuation.ports import Emit, Fence, PurchaseLog
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.volume_api import KubeVolumes
from springtide.cluster.access import from_environment
from springtide.cluster.api_errors import ApiError, ApiUnreachable, KubeError, NoAccess
from springtide.cluster.kube import KubeClient
from springtide.cluster.records import PodRecord
from springtide.cluster.send_guard import Leave
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.watching import ClusterWatch, pod_codec
from springtide.leadership.elector import LeadershipLost
from springtide.leadership.gate import MutationGate
from springtide.providers.base import Provider
from springtide.providers.registry import ProviderNotInstalledError, ProviderSettings, kinds, load
from springtide.reporting import logs
from springtide.reporting.events import EventRecorder
from springtide.reporting.metrics import Metrics
from springtide.reporting.narrator import Narrator
from springtide.reporting.reporter import Reporter
from springtide.reporting.status_writer import StatusWriter
from springtide.runtime.cloud_watch import CloudWatch
from springtide.runtime.election import EXIT_LEADERSHIP_LOST, Whereabouts, make_gate, standing
from springtide.runtime.engine import Engine
from springtide.runtime.garbage import look_seldom, spare_what_is_here
from springtide.runtime.http import make_app, serve
from springtide.runtime.leading import Reign, first_end
from springtide.runtime.memory import Memories
from springtide.runtime.own_node import OwnNode
from springtide.runtime.purchase_book import PurchaseBook
from springtide.runtime.settings import LogFormat, OperatorSettings

STOP_SECONDS: Final = 3.0
"""A stop that takes longer is cut short: what was not finished is resumed by the next process."""

RegisterHandlers = Callable[[kopf.OperatorRegistry], kopf.OperatorRegistry]
"""Puts the handlers (which live above this layer) into a registry."""

logger = logging.getLogger(__name__)


class StartError(Exception):
    """The operator cannot start; str() says why and what to do."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an operator is made of."""

    cluster: ClusterWatch
    clouds: CloudWatch
    engine: Engine
    actuator: Actuator
    metrics: Metrics
    recorder: EventRecorder
    reporter: Reporter


async def serve_until(
    settings: OperatorSettings,
    register: RegisterHandlers,
    stop: asyncio.Event,
    *,
    listen: Callable[[], None] = lambda: None,
    is_whole_process: bool = False,
) -> None:
    """Run until `stop` is set, or another replica should lead.

    Raises StartError, LeadershipLost, or whatever made a part fail. `listen`: see kopf_host.hosted; `is_whole_process`:
    see election.standing.
    """
    async with running(settings, register, listen=listen, is_whole_process=is_whole_process) as failed:
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        either: list[asyncio.Future[Any]] = [stopping, failed]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if failed.done():
            failed.result()
    logger.info("stopped")


@asynccontextmanager
async def running(
    settings: OperatorSettings,
    register: RegisterHandlers,
    *,
    listen: Callable[[], None] = lambda: None,
    is_whole_process: bool = False,
) -> AsyncIterator[asyncio.Future[None]]:
    """An operator that runs, or stands by, for as long as the context; the future ends when it should end by itself:
    with the error of a part that failed, or without one when another replica should lead."""
    async with AsyncExitStack() as stack:
        load_access = from_environment(
            str(settings.kubeconfig) if settings.kubeconfig else None, context=settings.context or None
        )
        gate, here = make_gate(settings), Whereabouts.from_environment()
        leave = Fence(gate).check
        client = await stack.enter_async_context(KubeClient(load_access, leave=leave))
        await _check_cluster(client)
        providers, not_installed = _providers(settings, leave)
        for provider in providers.values():
            stack.push_async_callback(provider.aclose)
        cluster = ClusterWatch(client)
        own_node = OwnNode(here, client, elects=settings.leader_elect)
        parts = _assemble(settings, client, cluster, providers, not_installed, gate=gate, own_node=own_node)
        bound = await stack.enter_async_context(_endpoints(settings, parts, gate=gate))
        reading = await stack.enter_async_context(_watching(parts))
        # Only now: who cannot see the cluster should not lead.
        election = standing(
            settings,
            load_access,
            gate=gate,
            metrics=parts.metrics,
            here=here,
            is_whole_process=is_whole_process,
        )
        leadership = await stack.enter_async_context(election)
        logger.info("springtide %s is watching; probes and metrics on port %d", __version__, bound)
        reign = Reign(
            leadership=leadership,
            engine=parts.engine,
            cluster=parts.cluster,
            clouds=parts.clouds,
            actuator=parts.actuator,
            recorder=parts.recorder,
            reporter=parts.reporter,
            registry=register(kopf.OperatorRegistry()),
            load_access=load_access,
            leave=leave,
            listen=listen,
        )
        reigning = await stack.enter_async_context(reign.going_on())
        failed = asyncio.ensure_future(first_end([leadership.lost, reigning, reading]))
        stack.push_async_callback(_ended, failed)
        yield failed


@asynccontextmanager
async def _watching(parts: Parts) -> AsyncIterator[asyncio.Task[None]]:
    """Follow the cluster, which is synced then, and the clouds: the task that reads those."""
    cluster = parts.cluster
    for informer in cluster.informers:
        parts.metrics.follow_unreadable(informer.resource.name, partial(len, informer.unreadable))
    look_seldom()
    cluster.start()
    reading = asyncio.create_task(parts.clouds.run(), name="clouds")
    try:
        await _until_synced(cluster)
        spare_what_is_here()
        yield reading
    finally:
        await _ended(reading)
        await cluster.stop()


@asynccontextmanager
async def _endpoints(settings: OperatorSettings, parts: Parts, *, gate: MutationGate) -> AsyncIterator[int]:
    """Serve metrics and probes; the port."""
    parts.recorder.on_drop = parts.metrics.event_dropped
    parts.metrics.watch(
        events_waiting=lambda: parts.recorder.waiting,
        lag_seconds=lambda: parts.engine.surroundings.load.lag_seconds,
    )
    app = make_app(
        registry=parts.metrics.registry,
        healthy=parts.engine.unhealthy,
        ready=parts.engine.unready,
        role=lambda: "standby" if gate.why_closed() else "leading",
    )
    host, port = settings.http_host_port
    async with AsyncExitStack() as stack:
        try:
            bound = await stack.enter_async_context(serve(app, host=host, port=port))
        except OSError as error:
            raise StartError(f"--http-address={settings.http_address}: {_why_not_bound(error)}") from error
        yield bound


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _providers(settings: OperatorSettings, leave: Leave) -> tuple[dict[str, Provider], dict[str, str]]:
    """The providers by kind; and the kinds that lack something, with what to do about it."""
    provider_settings = ProviderSettings(cluster_name=settings.cluster_name, clock=utc_now, leave=leave)
    providers, not_installed = {}, {}
    for kind in sorted(kinds()):
        try:
            providers[kind] = load(kind, provider_settings)
        except ProviderNotInstalledError as error:
            # Its pools say so in their condition; the others work.
            logger.info("%s", error)
            not_installed[kind] = str(error)
    return providers, not_installed


def _assemble(
    settings: OperatorSettings,
    client: KubeClient,
    cluster: ClusterWatch,
    providers: dict[str, Provider],
    not_installed: dict[str, str],
    *,
    gate: MutationGate,
    own_node: OwnNode,
) -> Parts:
    """Make the parts and tie the knot between the engine and those it uses (each tells the other)."""
    metrics, memories = Metrics(), Memories()
    recorder = EventRecorder(client, clock=utc_now)

    def emit(outcome: Outcome) -> None:
        engine.outcome(outcome)

    narrator = Narrator(
        recorder,
        pool_uid=lambda name: engine.resources.uid("NodePool", name),
        node_uid=partial(_uid_of_node, cluster),
    )
    writer = StatusWriter(client, clock=utc_now, heartbeat=settings.heartbeat)
    reporter = Reporter(narrator=narrator, metrics=metrics, writer=writer, clock=utc_now)
    book = PurchaseBook(memories, reporter, clock=utc_now)
    actuator = _actuator(settings, client, cluster, gate=gate, purchase_log=book, emit=emit)
    clouds = CloudWatch(
        providers,
        idle=settings.provider_refresh,
        busy=settings.provider_busy_refresh,
        changed=lambda kind: engine.wake(f"cloud {kind}"),
        not_installed=not_installed,
    )
    engine = Engine(
        cluster=cluster,
        clouds=clouds,
        providers=providers,
        actuator=actuator,
        reporter=reporter,
        memories=memories,
        settings=settings,
        clock=utc_now,
        own_node=own_node,
    )
    return Parts(
        cluster=cluster,
        clouds=clouds,
        engine=engine,
        actuator=actuator,
        metrics=metrics,
        recorder=recorder,
        reporter=reporter,
    )


def _actuator(
    settings: OperatorSettings,
    client: KubeClient,
    cluster: ClusterWatch,
    *,
    gate: MutationGate,
    purchase_log: PurchaseLog,
    emit: Emit,
) -> Actuator:
    return Actuator(
        KubeNodes(client, decode_pods=_pod_list_decoder(cluster.shapes)),
        picture=lambda: cluster.picture(now=utc_now()),
        emit=emit,
        clock=utc_now,
        gate=gate,
        settings=ActuationSettings(
            delay_after_taint=settings.delay_after_taint.total_seconds(),
            node_deletion_grace=settings.node_deletion_grace.total_seconds(),
        ),
        purchase_log=purchase_log,
        volumes=KubeVolumes(client, claim=cluster.state.volumes.claim),
        owner=socket.gethostname(),
    )


def _uid_of_node(cluster: ClusterWatch, name: str) -> str:
    node = cluster.state.nodes.get(("", name))
    return node.uid if node is not None else ""


def _pod_list_decoder(shapes: ShapeTable) -> Callable[[bytes], tuple[PodRecord, ...]]:
    """From a PodList's bytes to records whose shapes are those of the informers."""
    codec = pod_codec(shapes)
    return lambda body: tuple(pod for _, pod in codec.decode_page(body).items)


async def _check_cluster(client: KubeClient) -> None:
    """Fail early, and in words, when the API server or our resource definitions are not there."""
    try:
        await client.get("/apis/springtide.dev/v1alpha1")
    except KubeError as error:
        if getattr(error, "status", None) == 404:
            raise StartError(
                "the CustomResourceDefinitions of Springtide are not installed: "
                "apply them first (springtide crds | kubectl apply --server-side -f -)"
            ) from error
        raise StartError(f"the API server cannot be used: {error}{_remedy(error)}") from error


def _remedy(error: KubeError) -> str:
    match error:
        case NoAccess():
            return ": check --kubeconfig and --context"
        case ApiUnreachable():
            return ": is it running, and does the kubeconfig name the right server and certificate authority?"
        case ApiError(status=401):
            return ": the token or certificate is wrong or has expired: renew it, check --kubeconfig and --context"
        case ApiError(status=403):
            return ": apply deploy/kubernetes/20-cluster-role.yaml and its binding"
        case _:
            return ""


def _why_not_bound(error: OSError) -> str:
    # asyncio's own text repeats the address; a host that cannot be resolved has a number of its own, below zero.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return f"{reason}: choose another port, or an address of this machine"


async def _until_synced(cluster: ClusterWatch) -> None:
    """Wait for the first complete lists, saying every 10 s what is missing."""
    while True:
        try:
            async with asyncio.timeout(10):
                await cluster.synced()
                return
        except TimeoutError:
            logger.warning(
                "still waiting for the API server: %s", "; ".join(cluster.problems()) or "lists are slow"
            )


def run(settings: OperatorSettings, register: RegisterHandlers) -> int:
    """Run as a process until SIGTERM or SIGINT; returns the exit code."""
    logs.set_up(json=settings.log_format is LogFormat.JSON, level=settings.log_level.value)
    try:
        asyncio.run(_run_until_signal(settings, register))
    except StartError as error:
        logger.error("%s", error)
        return 1
    except LeadershipLost as error:
        logger.critical("leadership is lost, the process ends: %s", error)
        return EXIT_LEADERSHIP_LOST
    except Exception as error:
        logger.critical("a part of the operator failed, it ends: %s", error, exc_info=True)
        return 1
    return 0


async def _run_until_signal(settings: OperatorSettings, register: RegisterHandlers) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

    listen()
    serving = asyncio.ensure_future(
        serve_until(settings, register, stop, listen=listen, is_whole_process=True)
    )
    stopping = asyncio.ensure_future(stop.wait())
    # Also while it is still starting (no API server yet), a signal ends it at once.
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await asyncio.wait([serving], timeout=0 if serving.done() else STOP_SECONDS)
    if not serving.done():
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return
    serving.result()
