"""`springtide run` where something is wrong at the start: one line that says what and the way out, and an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from devcluster.controlplane import ControlPlane
from devcluster.operator_process import NAMESPACE
from devcluster.ports import LOOPBACK, free_ports
from tests.e2e.world import Manifest, World, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

Spoil = Callable[[Any], None]


async def springtide(*arguments: str) -> tuple[int, str]:
    """Run the command to its end: exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "springtide.cli.main", "run", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def kubeconfig(world: World, folder: Path, spoil: Spoil) -> Path:
    """The operator's kubeconfig, spoiled."""
    config = yaml.safe_load(world.kubeconfig.read_text())
    spoil(config)
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def wrong_token(config: Any) -> None:
    config["users"][0]["user"]["token"] = "not-a-token"


def unknown_authority(config: Any) -> None:
    del config["clusters"][0]["cluster"]["certificate-authority"]


def absent_authority(config: Any) -> None:
    config["clusters"][0]["cluster"]["certificate-authority"] = "/absent/ca.crt"


def wrong_port(config: Any) -> None:
    config["clusters"][0]["cluster"]["server"] = f"https://{LOOPBACK}:{free_ports(1)[0]}"


def no_current_context(config: Any) -> None:
    config["current-context"] = "elsewhere"


def nothing(config: Any) -> None:
    config.clear()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(wrong_token, ("401", "wrong or has expired", "--kubeconfig"), id="wrong token"),
        pytest.param(
            unknown_authority, ("certificate", "right server and certificate authority"), id="unknown CA"
        ),
        pytest.param(absent_authority, ("/absent/ca.crt", "check --kubeconfig"), id="absent CA"),
        pytest.param(wrong_port, (LOOPBACK, "is it running"), id="no API server"),
        pytest.param(
            no_current_context, ("elsewhere", "check --kubeconfig and --context"), id="no such context"
        ),
        pytest.param(nothing, ("check --kubeconfig",), id="an empty kubeconfig"),
    ],
)
async def test_an_api_server_that_cannot_be_used_is_told_in_one_line(
    world: World, tmp_path: Path, spoil: Spoil, words: Sequence[str]
) -> None:
    path = kubeconfig(world, tmp_path, spoil)
    code, output = await springtide(f"--kubeconfig={path}", f"--http-address={LOOPBACK}:0")
    (line,) = output.splitlines()
    assert code == 1
    for word in words:
        assert word in line


async def test_a_port_that_is_taken_is_named(world: World) -> None:
    taken = world.cloud.endpoint_url.rsplit(":", 1)[1]
    code, output = await springtide(f"--kubeconfig={world.kubeconfig}", f"--http-address={LOOPBACK}:{taken}")
    (line,) = output.splitlines()
    assert code == 1
    assert f"--http-address={LOOPBACK}:{taken}: Address already in use: choose another port" in line


async def test_without_resource_definitions_it_says_how_to_install_them(tmp_path: Path) -> None:
    async with ControlPlane() as bare:
        code, output = await springtide(f"--kubeconfig={bare.kubeconfig}", f"--http-address={LOOPBACK}:0")
    (line,) = output.splitlines()
    assert code == 1
    assert "springtide crds | kubectl apply --server-side -f -" in line


# --- permissions ----------------------------------------------------------------------------------------------------


async def account_that_may_not_list_pods(world: World, folder: Path) -> Path:
    """A kubeconfig of an account with the shipped role, all but what it says of pods."""
    name = unique("account")
    role = await world.api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/springtide")
    rules = [rule for rule in role["rules"] if rule["resources"] != ["pods"]]
    account = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    await world.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}
    )
    await world.apply(_rbac("ClusterRole", name, rules=rules))
    await world.apply(_rbac("ClusterRoleBinding", name, subjects=[account], roleRef=_cluster_role(name)))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{name}/token"
    token = (await world.api.post(path, request))["status"]["token"]

    def as_account(config: Any) -> None:
        config["users"][0]["user"]["token"] = token

    return kubeconfig(world, folder, as_account)


def _rbac(kind: str, name: str, **rest: Any) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        **rest,
    }


def _cluster_role(name: str) -> Manifest:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}


@contextlib.asynccontextmanager
async def run_until_stopped(log: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "springtide.cli.main", "run", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_a_permission_that_is_missing_is_named_and_waited_for(world: World, tmp_path: Path) -> None:
    path = await account_that_may_not_list_pods(world, tmp_path)
    [port] = free_ports(1)
    log = tmp_path / "log"
    async with run_until_stopped(log, f"--kubeconfig={path}", f"--http-address={LOOPBACK}:{port}") as process:

        async def refused() -> str:
            status, text = await probe(port)
            return text if status == 503 and "403" in text else ""

        text = await world.until(refused, "readyz to name the permission")
        assert text == (
            "pods: 403 Forbidden: this account may not list and watch them; "
            "apply deploy/kubernetes/20-cluster-role.yaml and its binding\n"
        )
        await world.apply(
            _rbac(
                "ClusterRoleBinding",
                unique("granted"),
                subjects=[{"kind": "Group", "name": f"system:serviceaccounts:{NAMESPACE}"}],
                roleRef=_cluster_role("springtide"),
            )
        )

        async def ready() -> bool:
            return (await probe(port))[0] == 200

        await world.until(ready, "it to be ready", timeout=60)
        assert process.returncode is None
    assert process.returncode == 0
    lines = log.read_text()
    assert 'cannot list resource "pods"' in lines
    assert "Traceback" not in lines


async def probe(port: int) -> tuple[int, str]:
    """What /readyz says; 0 while nobody listens."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{LOOPBACK}:{port}/readyz") as answer,
        ):
            return answer.status, await answer.text()
    except aiohttp.ClientConnectionError:
        return 0, ""
