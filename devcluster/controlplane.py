"""A real Kubernetes control plane on this machine, as an asynchronous context manager."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from devcluster.api import Api, wait_for
from devcluster.binary import Binaries, locate_binaries
from devcluster.components import ControlPlaneOptions, Layout, component_flags, lay_out
from devcluster.ports import LOOPBACK
from devcluster.process import Process, ProcessCrashed

logger = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds; a start takes about four, but the machine may be busy."""

READY_PATHS = {
    "etcd": "/readyz",
    "kube-apiserver": "/readyz",
    "kube-controller-manager": "/healthz",
    # Ready when all its informers have delivered their first lists, that is, when it can schedule.
    "kube-scheduler": "/readyz",
    # It listens when its watches run.
    "kwok": "/healthz",
}

GRACE_SECONDS = {"kube-apiserver": 3.0, "etcd": 1.0}
"""Patience when stopping; nothing here has data to save, so after that comes SIGKILL."""


class ControlPlane:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok, on loopback only.

    ``async with ControlPlane() as cp`` waits until pods can be scheduled and run. Attributes from then on:
    ``server`` (URL), ``kubeconfig`` (path; user ``admin`` in system:masters), ``token``, ``ca_path``,
    ``logs`` (folder, kept). Only the logs outlive it.
    """

    def __init__(
        self,
        options: ControlPlaneOptions | None = None,
        *,
        say: Callable[[str], None] | None = None,
        on_crash: Callable[[ProcessCrashed], None] | None = None,
    ) -> None:
        """``say`` gets the progress lines of a build, which go to standard error unless it is given.

        ``on_crash`` is called in the event loop when a component ends although nobody stopped it.
        """
        self.options = options or ControlPlaneOptions()
        self._say = say
        self._tell_crash = on_crash
        self._layout: Layout | None = None
        self._processes: dict[str, Process] = {}
        self._logs: Path | None = None
        self._crashed = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def server(self) -> str:
        """Return the URL of the API server."""
        return self._laid_out.server

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self._laid_out.kubeconfig("admin")

    @property
    def token(self) -> str:
        """Return the administrator's bearer token."""
        return self._laid_out.tokens["admin"]

    @property
    def ca_path(self) -> Path:
        """Return the certificate of the authority that signed the API server's."""
        return self._laid_out.keys.ca

    @property
    def logs(self) -> Path:
        """Return the folder with one log file for each component."""
        if self._logs is None:
            raise RuntimeError("the control plane was not started")
        return self._logs

    def api(self) -> Api:
        """Return a client with all rights; the caller closes it."""
        return Api(server=self.server, token=self.token, ca_path=self.ca_path)

    def processes(self) -> dict[str, Process]:
        """Return the processes by component."""
        return dict(self._processes)

    def failed(self) -> list[ProcessCrashed]:
        """Return the components that ended although nobody stopped them."""
        return [process.crash for process in self._processes.values() if process.crash is not None]

    async def wait_failed(self) -> list[ProcessCrashed]:
        """Wait until a component ends although nobody stopped it."""
        await self._crashed.wait()
        return self.failed()

    async def start(self) -> None:
        """Start all components, building them first if need be; return when pods can be scheduled and run."""
        binaries = await locate_binaries(say=self._say)
        self._layout = lay_out(Path(tempfile.mkdtemp(prefix="springtide-devcluster-")))
        self._logs = self.options.logs or Path(tempfile.mkdtemp(prefix="springtide-devcluster-logs-"))
        self._logs.mkdir(parents=True, exist_ok=True)
        self._prepare(binaries)
        # An API server that finds no etcd waits a second before it looks again.
        await self.start_component("etcd")
        await self.start_component("kube-apiserver")
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._processes.keys() - {"etcd", "kube-apiserver"}:
                    group.create_task(self.start_component(name))
                group.create_task(self._default_account())
        except BaseExceptionGroup as errors:
            # One component fails first; the others were cancelled for it.
            raise errors.exceptions[0] from None

    async def stop(self) -> None:
        """Stop all components and remove everything but the logs. Harmless when repeated."""
        # kube-apiserver before etcd: stopped together, it hangs waiting for its store. The others need no
        # order, but would fill their logs with errors if the API server went first.
        clients = [name for name in self._processes if name not in {"etcd", "kube-apiserver"}]
        try:
            await asyncio.gather(*(self.stop_component(name) for name in clients))
            for name in ("kube-apiserver", "etcd"):
                if name in self._processes:
                    await self.stop_component(name)
        finally:
            # Also when the one who waits for us loses patience and cancels: nothing may be left running.
            for process in self._processes.values():
                process.kill()
            self._processes = {}
            layout, self._layout = self._layout, None
            if layout is not None:
                shutil.rmtree(layout.folder, ignore_errors=True)

    async def start_component(self, name: str) -> None:
        """Start one component, for the first time or again, and wait until it is ready."""
        process = self._process(name)
        await process.start()
        path = READY_PATHS[name]
        await self._until_ready(process, f"{self._address(name)}{path}")

    async def stop_component(self, name: str) -> None:
        """Stop one component; the others stay and suffer."""
        await self._process(name).stop(grace=GRACE_SECONDS.get(name, 2.0))

    @property
    def _laid_out(self) -> Layout:
        if self._layout is None:
            raise RuntimeError("the control plane is not running")
        return self._layout

    def _process(self, name: str) -> Process:
        try:
            return self._processes[name]
        except KeyError:
            known = ", ".join(self._processes) or "none: the control plane is not running"
            raise ValueError(f"no component {name!r}; there are {known}") from None

    def _prepare(self, binaries: Binaries) -> None:
        for name, flags in component_flags(self._laid_out, self.options).items():
            self._processes[name] = Process(
                name,
                [*binaries.commands[name], *flags],
                log=self.logs / f"{name}.log",
                environment={
                    # kwok keeps a folder in its home; nothing of ours is to be found there.
                    "HOME": str(self._laid_out.folder),
                    # Collect garbage when the heap has grown fivefold, not twofold: on a small machine that is a
                    # quarter of the API server's time in a burst of pods, for 200 MB.
                    "GOGC": "400",
                },
                on_crash=self._on_crash,
            )

    def _on_crash(self, crash: ProcessCrashed) -> None:
        logger.error("%s", crash)
        self._crashed.set()
        if self._tell_crash is not None:
            self._tell_crash(crash)

    def _address(self, name: str) -> str:
        ports = self._laid_out.ports
        return {
            "etcd": f"http://{LOOPBACK}:{ports.etcd}",
            "kube-apiserver": f"https://{LOOPBACK}:{ports.apiserver}",
            "kube-controller-manager": f"https://{LOOPBACK}:{ports.controller_manager}",
            "kube-scheduler": f"https://{LOOPBACK}:{ports.scheduler}",
            "kwok": f"http://{LOOPBACK}:{ports.kwok}",
        }[name]

    async def _until_ready(self, process: Process, url: str) -> None:
        context = ssl.create_default_context(cafile=str(self.ca_path))

        async def ready() -> bool:
            if process.crash is not None:
                raise process.crash
            try:
                async with session.get(url, ssl=context) as response:
                    return response.status == 200
            except (aiohttp.ClientConnectionError, TimeoutError):
                return False

        # A request sent while the server is coming up may hang: ask again rather than wait on it.
        timeout = aiohttp.ClientTimeout(total=1)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            what = f"{process.name} to be ready (its log: {process.log})"
            await wait_for(ready, timeout=START_TIMEOUT, what=what)

    async def _default_account(self) -> None:
        """Wait for the ServiceAccount that every pod of the default namespace needs to be admitted."""
        async with self.api() as api:
            await wait_for(
                lambda: api.find("/api/v1/namespaces/default/serviceaccounts/default"),
                timeout=START_TIMEOUT,
                what="the default ServiceAccount (made by kube-controller-manager)",
            )
