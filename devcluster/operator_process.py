"""Springtide on a devcluster: its resources and permissions installed, its operator as a process under its own account.

Used by the demo, the end-to-end tests and the benchmarks alike. RBAC applies to all the operator does: it has a token of
the ServiceAccount that the shipped manifests make, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from devcluster.api import Api, load_manifests, wait_for
from devcluster.process import TETHER

NAMESPACE = "springtide-system"
SERVICE_ACCOUNT = "springtide"
START_TIMEOUT = 60.0
PROGRAM = ("-m", "springtide.cli.main")
"""Arguments of Python that make it `springtide`."""
STOP_TIMEOUT = 10.0

_FOUNDATIONS = (
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Lease",
)


class OperatorEnded(Exception):
    """The operator ended although nobody stopped it; str() has its last log lines."""


async def install(api: Api, repository: Path) -> None:
    """Apply the CustomResourceDefinitions, and of deploy/kubernetes what gives the operator its identity and rights."""
    await api.apply_all(load_manifests(repository / "crds"))
    shipped = load_manifests(repository / "deploy" / "kubernetes")
    await api.apply_all(manifest for manifest in shipped if manifest["kind"] in _FOUNDATIONS)


async def operator_kubeconfig(
    api: Api, *, server: str, ca_path: Path, folder: Path, name: str = "operator"
) -> Path:
    """Write `<name>.kubeconfig` with a token of the operator's ServiceAccount."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 24 * 3600},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{SERVICE_ACCOUNT}/token"
    token = (await api.post(path, request))["status"]["token"]
    kubeconfig = folder / f"{name}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(server, ca_path, token)))
    return kubeconfig


def _kubeconfig(server: str, ca_path: Path, token: str) -> dict[str, object]:
    name = "devcluster"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": str(ca_path)}}],
        "users": [{"name": SERVICE_ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": SERVICE_ACCOUNT}}],
        "current-context": name,
    }


@dataclass(frozen=True, slots=True)
class OperatorProcess:
    """A running operator."""

    process: asyncio.subprocess.Process
    log: Path
    port: int
    """Of /metrics, /healthz and /readyz, on loopback."""

    @classmethod
    async def start(
        cls,
        *,
        kubeconfig: Path,
        log: Path,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> OperatorProcess:
        """Start `springtide run` and wait until it watches; `program` may wrap it. Raises OperatorEnded."""
        tether = (sys.executable, "-P", str(TETHER), str(os.getpid()))
        command = (*tether, sys.executable, *program, "run")
        fixed = (f"--kubeconfig={kubeconfig}", "--http-address=127.0.0.1:0")
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                *fixed,
                *flags,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                # Ctrl-C in the terminal is for whoever started us; the operator is stopped by us.
                start_new_session=True,
            )

        async def watching() -> int:
            text = _text(log)
            if process.returncode is not None:
                raise OperatorEnded(f"the operator ended with {process.returncode}:\n{_tail(text)}")
            found = re.search(r"probes and metrics on port (\d+)", text)
            return int(found.group(1)) if found else 0

        try:
            port = await wait_for(watching, timeout=START_TIMEOUT, what="the operator to watch")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        return cls(process=process, log=log, port=port)

    def check(self) -> None:
        """Raise OperatorEnded unless it still runs."""
        if self.process.returncode is not None:
            raise OperatorEnded(f"the operator ended with {self.process.returncode}:\n{_tail(self.lines())}")

    def lines(self) -> str:
        """All it has logged so far."""
        return _text(self.log)

    async def kill(self) -> None:
        """As a machine that dies: nothing is tidied up."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> float:
        """As the kubelet does; the seconds it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), timeout=STOP_TIMEOUT)
            except TimeoutError:
                await self.kill()
        return loop.time() - began


@asynccontextmanager
async def operator_process(
    *, kubeconfig: Path, log: Path, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> AsyncIterator[OperatorProcess]:
    """An operator for as long as the context."""
    operator = await OperatorProcess.start(
        kubeconfig=kubeconfig, log=log, flags=flags, environment=environment
    )
    try:
        yield operator
    finally:
        await operator.stop()


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(text.splitlines()[-lines:])
