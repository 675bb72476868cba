"""The command lines of the control plane's components."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.certs import Keys, write_keys
from devcluster.kubeconfig import write_kubeconfig
from devcluster.nodes import FAKE_NODE_ANNOTATION
from devcluster.ports import LOOPBACK, free_ports

SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.128.0.0/9"

STAGES = Path(__file__).with_name("stages.yaml")

USERS = (
    "admin",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "kwok",
)
"""All are in system:masters. The controllers could have narrower rights, but an identity for each of forty
controllers takes time at the start, and requests of system:masters are exempt from API priority and fairness,
which would blur measurements."""

CLIENT_QPS, CLIENT_BURST = 1000, 2000
"""Of the controller manager and the scheduler, whose defaults (20 and 50) would be what one measures."""


@dataclass(frozen=True, kw_only=True)
class ControlPlaneOptions:
    """What may differ from one devcluster to another."""

    logs: Path | None = None
    """Folder of the components' logs, kept after the end; a new temporary one unless given."""

    kwok: bool = True
    """Whether hollow nodes and their pods come to life."""

    node_lease_seconds: int = 20
    """A node whose lease is older is NotReady; kwok renews after a quarter. Raise it for thousands of nodes,
    where renewing costs CPU: 5,000 nodes and 400 s are 50 writes a second."""

    extra_flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Flags by component, after ours, so they win: ``{"kube-apiserver": ["--v=4"]}``."""


@dataclass(frozen=True)
class Ports:
    """One loopback port for each listener."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int


@dataclass(frozen=True)
class Layout:
    """Files, ports and secrets of one devcluster; everything below ``folder`` goes with it."""

    folder: Path
    ports: Ports
    keys: Keys
    tokens: Mapping[str, str]
    """User name → bearer token."""

    @property
    def server(self) -> str:
        """Return the URL of the API server."""
        return f"https://{LOOPBACK}:{self.ports.apiserver}"

    @property
    def token_file(self) -> Path:
        """Return the CSV file that tells the API server who holds which token."""
        return self.folder / "tokens.csv"

    def kubeconfig(self, user: str) -> Path:
        """Return the path of a user's kubeconfig."""
        return self.folder / f"{user.removeprefix('system:')}.kubeconfig"


def lay_out(folder: Path) -> Layout:
    """Choose ports and write keys, tokens and kubeconfigs into an existing, private folder."""
    layout = Layout(
        folder=folder,
        ports=Ports(*free_ports(6)),
        keys=write_keys(folder / "pki"),
        tokens={user: secrets.token_hex(16) for user in USERS},
    )
    layout.token_file.touch(mode=0o600)
    layout.token_file.write_text(
        "".join(f'{token},{user},{user},"system:masters"\n' for user, token in layout.tokens.items())
    )
    for user, token in layout.tokens.items():
        write_kubeconfig(layout.kubeconfig(user), server=layout.server, ca_path=layout.keys.ca, token=token)
    return layout


def component_flags(layout: Layout, options: ControlPlaneOptions) -> dict[str, list[str]]:
    """Return the flags of every component, in the order of starting."""
    flags = {
        "etcd": _etcd(layout),
        "kube-apiserver": _apiserver(layout),
        "kube-controller-manager": _controller_manager(layout, options),
        "kube-scheduler": _scheduler(layout),
    }
    if options.kwok:
        flags["kwok"] = _kwok(layout, options)
    unknown = set(options.extra_flags) - set(flags)
    if unknown:
        raise ValueError(
            f"extra_flags for {', '.join(sorted(unknown))}, which are not components of this devcluster"
        )
    return {name: [*own, *options.extra_flags.get(name, ())] for name, own in flags.items()}


def _etcd(layout: Layout) -> list[str]:
    client = f"http://{LOOPBACK}:{layout.ports.etcd}"
    peer = f"http://{LOOPBACK}:{layout.ports.etcd_peer}"
    return [
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # The data does not outlive the process, so nothing need reach the disk.
        "--unsafe-no-fsync",
        # A state of 150,000 pods is larger than the default quota of 2 GiB.
        f"--quota-backend-bytes={8 * 2**30}",
        "--log-level=warn",
    ]


def _apiserver(layout: Layout) -> list[str]:
    keys = layout.keys
    return [
        f"--etcd-servers=http://{LOOPBACK}:{layout.ports.etcd}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={layout.ports.apiserver}",
        f"--tls-cert-file={keys.serving_certificate}",
        f"--tls-private-key-file={keys.serving_key}",
        f"--cert-dir={layout.folder}",
        # Endpoints of the kubernetes service may not be loopback addresses.
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        f"--token-auth-file={layout.token_file}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={keys.service_account_key}",
        f"--service-account-signing-key-file={keys.service_account_key}",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def _controller_manager(layout: Layout, options: ControlPlaneOptions) -> list[str]:
    return [
        *_kubernetes_client(layout, "system:kube-controller-manager", port=layout.ports.controller_manager),
        f"--root-ca-file={layout.keys.ca}",
        f"--service-account-private-key-file={layout.keys.service_account_key}",
        # A node is judged within a second instead of five.
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={options.node_lease_seconds}s",
    ]


def _scheduler(layout: Layout) -> list[str]:
    return _kubernetes_client(layout, "system:kube-scheduler", port=layout.ports.scheduler)


def _kubernetes_client(layout: Layout, user: str, *, port: int) -> list[str]:
    kubeconfig = layout.kubeconfig(user)
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        # Looked up once at the start, when the API server is not there yet; only front proxies would need it.
        "--authentication-skip-lookup=true",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={layout.keys.serving_certificate}",
        f"--tls-private-key-file={layout.keys.serving_key}",
        "--leader-elect=false",
        f"--kube-api-qps={CLIENT_QPS}",
        f"--kube-api-burst={CLIENT_BURST}",
        "--profiling=false",
    ]


def _kwok(layout: Layout, options: ControlPlaneOptions) -> list[str]:
    return [
        f"--kubeconfig={layout.kubeconfig('kwok')}",
        f"--config={write_kwok_config(layout.folder)}",
        f"--manage-nodes-with-annotation-selector={FAKE_NODE_ANNOTATION}=fake",
        f"--server-address={LOOPBACK}:{layout.ports.kwok}",
        f"--node-lease-duration-seconds={options.node_lease_seconds}",
        f"--cidr={POD_RANGE}",
        # Otherwise a line for every pod and every renewed lease.
        "--v=WARN",
    ]


def write_kwok_config(folder: Path) -> Path:
    """Write kwok's configuration: our stages, and parallelism that only its file can set (default 4)."""
    path = folder / "kwok.yaml"
    configuration = """\
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  podPlayStageParallelism: 32
  nodePlayStageParallelism: 32
  nodeLeaseParallelism: 16
  podsOnNodeSyncParallelism: 4
---
"""
    path.write_text(configuration + STAGES.read_text())
    return path
