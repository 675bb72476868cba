"""Where the API server is and how to prove who we are: in-cluster service account or kubeconfig.

The files are read by kubernetes_asyncio.config; what it found is kept here as one frozen value, so that
the client can be handed fresh credentials without being rebuilt.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes_asyncio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

IN_CLUSTER_REFRESH_SECONDS = 60.0
"""The kubelet replaces the projected token well before it ends; client-go re-reads it every minute, too."""

EXPIRY_SKEW_SECONDS = 60.0
"""A credential that ends within this time is replaced before it is used."""


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that one request needs to reach the API server and be let in."""

    server: str
    """Base URL without a trailing slash."""
    ssl_context: ssl.SSLContext | None
    """None: plain HTTP (a local proxy or a test server)."""
    authorization: str = field(default="", repr=False)
    """Value of the Authorization header; empty when a client certificate speaks for us."""
    tls_server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)
    """Its URL, which may hold a password."""
    refresh_after_seconds: float | None = None
    """Read it anew when it is older than this; None = only when the API server answers 401."""


AccessLoader = Callable[[], Awaitable[Access]]
"""Reads the credentials anew each time it is awaited."""


class _TlsContexts:
    """Builds an SSL context only when the files behind it changed, so that open connections stay pooled."""

    def __init__(self) -> None:
        self._digest = ""
        self._context: ssl.SSLContext | None = None

    def for_configuration(self, configuration: Configuration) -> ssl.SSLContext | None:
        if not str(configuration.host).startswith("https"):
            return None
        digest = _digest_of(configuration)
        if self._context is None or digest != self._digest:
            self._context = _ssl_context(configuration)
            self._digest = digest
        return self._context


def _digest_of(configuration: Configuration) -> str:
    digest = hashlib.sha256(repr(configuration.verify_ssl).encode())
    for file in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
        digest.update(Path(file).read_bytes() if file else b"-")
    return digest.hexdigest()


def _ssl_context(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Python 3.13 made X.509 strict by default; many clusters' own CAs lack the extensions it asks for, and
    # neither kubectl nor any client-go program demands them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def in_cluster() -> AccessLoader:
    """Access by the pod's service account; the token file is read again every minute."""
    contexts = _TlsContexts()

    async def load() -> Access:
        configuration = Configuration()
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return _access(configuration, contexts, refresh_after_seconds=IN_CLUSTER_REFRESH_SECONDS)

    return load


def kubeconfig(path: str | None = None, *, context: str | None = None) -> AccessLoader:
    """Access by a kubeconfig (default: $KUBECONFIG, then ~/.kube/config): token, exec plugin, certificate."""
    contexts = _TlsContexts()

    async def load() -> Access:
        configuration = Configuration()
        _check_exists(path)
        try:
            loader = await load_kube_config(
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )
        except (TypeError, AttributeError, KeyError) as error:
            # What its reader makes of a file that is empty, or holds something else.
            raise ConfigException(f"{path or KUBE_CONFIG_DEFAULT_LOCATION} is not a kubeconfig") from error
        expiry = getattr(loader, "exec_plugin_expiry", None)
        return _access(configuration, contexts, refresh_after_seconds=_seconds_until(expiry))

    return load


def _check_exists(path: str | None) -> None:
    """Raise ConfigException when there is no file at all; of several, as in $KUBECONFIG, some may be missing."""
    wanted = path or KUBE_CONFIG_DEFAULT_LOCATION
    if not any(Path(one).expanduser().is_file() for one in wanted.split(os.pathsep) if one):
        raise ConfigException(f"there is no kubeconfig {wanted or '($KUBECONFIG is empty)'}")


def from_environment(path: str | None = None, *, context: str | None = None) -> AccessLoader:
    """What kubectl users expect: the given or existing kubeconfig, else the pod's service account."""
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    if path is None and context is None and in_pod and "KUBECONFIG" not in os.environ:
        return in_cluster()
    return kubeconfig(path, context=context)


def _access(
    configuration: Configuration, contexts: _TlsContexts, *, refresh_after_seconds: float | None
) -> Access:
    return Access(
        server=str(configuration.host).rstrip("/"),
        ssl_context=contexts.for_configuration(configuration),
        authorization=configuration.api_key.get("BearerToken", "").strip(),
        tls_server_name=configuration.tls_server_name or None,
        proxy=configuration.proxy or None,
        refresh_after_seconds=refresh_after_seconds,
    )


def _seconds_until(expiry: datetime | None) -> float | None:
    if expiry is None:
        return None
    remaining = (expiry - datetime.now(tz=expiry.tzinfo)).total_seconds()
    return max(0.0, remaining - EXPIRY_SKEW_SECONDS)
