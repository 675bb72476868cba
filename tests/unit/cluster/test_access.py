"""Credentials: read from kubeconfigs and service accounts, TLS contexts rebuilt only when files changed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes_asyncio.config import ConfigException

from springtide.cluster.access import Access, from_environment, kubeconfig
from springtide.cluster.kube import KubeClient, NoAccess
from tests.hostile import SECRETS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(tz=UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return cert, key


def write_kubeconfig(path: Path, *, cluster: dict, user: dict) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "main",
            }
        )
    )
    return path


async def test_a_token_in_a_kubeconfig(tmp_path):
    path = write_kubeconfig(
        tmp_path / "config", cluster={"server": "http://127.0.0.1:8080/"}, user={"token": "secret"}
    )
    access = await kubeconfig(str(path))()
    assert access.server == "http://127.0.0.1:8080"
    assert access.authorization == "Bearer secret"
    assert access.ssl_context is None
    assert access.refresh_after_seconds is None


def test_what_is_printed_of_it_holds_no_secret():
    access = Access(
        server="https://api", ssl_context=None, authorization="Bearer s3cr3t", proxy="http://me:hunter2@proxy"
    )
    assert "s3cr3t" not in repr(access)
    assert "hunter2" not in repr(access)


@pytest.mark.parametrize(("text", "secret"), SECRETS)
async def test_what_a_failing_exec_plugin_says_is_told_without_secrets(tmp_path, text, secret):
    plugin = tmp_path / "plugin.sh"
    (tmp_path / "said").write_text(text)
    plugin.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2; exit 3\n")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    path = write_kubeconfig(tmp_path / "config", cluster={"server": "http://127.0.0.1:1"}, user=user)
    async with KubeClient(kubeconfig(str(path))) as client:
        with pytest.raises(NoAccess, match="process returned 3") as failure:
            await client.get("/api/v1/nodes")
    assert secret not in str(failure.value)


async def test_a_tls_context_is_kept_while_the_files_are_the_same(tmp_path, certificate):
    cert, key = certificate
    authority = tmp_path / "ca.pem"
    authority.write_bytes(cert.read_bytes())
    path = write_kubeconfig(
        tmp_path / "config",
        cluster={"server": "https://127.0.0.1:6443", "certificate-authority": str(authority)},
        user={"client-certificate": str(cert), "client-key": str(key)},
    )
    load = kubeconfig(str(path), context="main")
    first, second = await load(), await load()
    assert first.ssl_context is not None
    assert first.ssl_context is second.ssl_context

    authority.write_bytes(cert.read_bytes() + b"\n" + cert.read_bytes())
    assert (await load()).ssl_context is not first.ssl_context


async def test_an_exec_plugin_says_when_to_ask_again(tmp_path):
    plugin = tmp_path / "plugin.sh"
    plugin.write_text(
        '#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":'
        '{"token":"from-plugin","expirationTimestamp":"2999-01-01T00:00:00Z"}}\'\n'
    )
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    path = write_kubeconfig(tmp_path / "config", cluster={"server": "http://127.0.0.1:1"}, user=user)
    access = await kubeconfig(str(path))()
    assert access.authorization == "Bearer from-plugin"
    assert access.refresh_after_seconds > 3600


@pytest.mark.parametrize(
    ("environment", "in_cluster"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBECONFIG": "/some/file"}, False),
        ({}, False),
    ],
)
def test_a_pod_uses_its_service_account_unless_told_otherwise(monkeypatch, environment, in_cluster):
    for name in ("KUBERNETES_SERVICE_HOST", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("in_cluster" in from_environment().__qualname__) is in_cluster


# --- what users read when it cannot be had ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "there is no kubeconfig {path}", id="absent"),
        pytest.param("", "{path} is not a kubeconfig", id="empty"),
        pytest.param("hello", "{path} is not a kubeconfig", id="something else"),
    ],
)
async def test_a_file_that_is_no_kubeconfig_is_named(tmp_path, content, message):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigException) as error:
        await kubeconfig(str(path))()
    assert str(error.value).endswith(message.format(path=path))
