"""The cluster that is replayed, as formulas: its nodes, pods, controllers and NodePools by number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from benchmarks import recorded
from benchmarks.recorded_pods import MADE, App, Manifest, Template, suffix, uid

DAEMON_SETS: Final = 4


@dataclass(frozen=True)
class Recording:
    """The cluster: everything follows from these numbers."""

    nodes: int = 5000
    pods: int = 150_000
    shapes: int = 3000
    groups: int = 50

    @cached_property
    def daemons(self) -> tuple[App, ...]:
        return tuple(
            App(number=d, kind="DaemonSet", cpu_milli=50 + 10 * d, memory_mib=64, replicas=self.nodes)
            for d in range(DAEMON_SETS)
        )

    @cached_property
    def apps(self) -> tuple[App, ...]:
        """Nine of ten are Deployments, the others StatefulSets; a tenth asks for nodes of tier batch."""
        count = max(1, self.shapes - DAEMON_SETS)
        replicas = max(1, (self.pods - self.nodes * DAEMON_SETS) // count)
        return tuple(
            App(
                number=k,
                kind="StatefulSet" if k % 10 == 9 else "ReplicaSet",
                cpu_milli=50 + 10 * (k % 40),
                memory_mib=64 + 32 * (k % 50),
                replicas=replicas,
            )
            for k in range(DAEMON_SETS, DAEMON_SETS + count)
        )

    def pod(self, i: int, stage: str = "ready", *, version: int = 1, place: int | None = None) -> bytes:
        """Pod i: DaemonSets' first. `place`: number of its node, when it is not the one it has by formula."""
        daemons = self.nodes * DAEMON_SETS
        if i < daemons:
            app, on, ordinal = self.daemons[i // self.nodes], i % self.nodes, i % self.nodes
        else:
            app = self.apps[(i - daemons) % len(self.apps)]
            on, ordinal = (i - daemons) % self.nodes, (i - daemons) // len(self.apps)
        on = on if place is None else place
        tail = str(ordinal) if app.kind == "StatefulSet" else suffix(i)
        fields = {
            b"name": f"{app.owner[0]}-{tail}".encode(),
            b"uid": uid(4, i).encode(),
            b"version": b"%d" % version,
            b"node": node_name(on).encode(),
            b"hostip": address(10, on),
            b"podip": address(100, i),
            b"ordinal": b"%d" % ordinal,
            b"container": (uid(5, i) * 2).replace("-", "").encode(),
        }
        return app.pod(stage, fields)

    def node(self, n: int, *, version: int = 1) -> bytes:
        """Node n of its group, with the provider ID that the simulated cloud gives to the group's instances."""
        group = n % self.groups
        fields = {
            b"name": node_name(n).encode(),
            b"uid": uid(6, n).encode(),
            b"version": b"%d" % version,
            b"provider": f"simulated:///{zone(group)}/{pool_name(group)}-main-{n // self.groups + 1}".encode(),
            b"hostip": address(10, n),
        }
        return self._node_templates[group].render(fields)

    @cached_property
    def _node_templates(self) -> tuple[Template, ...]:
        return tuple(
            Template(recorded.node(zone=zone(g), tier=tier(g), pool=pool_name(g), vcpu=vcpu(g)))
            for g in range(self.groups)
        )

    def node_pool(self, g: int, *, pinned: bool) -> Manifest:
        """`pinned`: minSize is the number of nodes it has, which makes the simulated cloud start with them."""
        count = len(range(g, self.nodes, self.groups))
        group = {
            "name": "main",
            "zone": zone(g),
            "minSize": count if pinned else 0,
            "maxSize": 1000,
            "bootDelay": "0s",
            "capacity": {"cpu": str(vcpu(g)), "memory": f"{4 * vcpu(g)}Gi", "pods": "110"},
            "hourlyPrice": f"{0.06 * vcpu(g):.2f}",
        }
        template = {"labels": {"tier": tier(g)}}
        return own_resource(
            "NodePool", pool_name(g), {"provider": {"simulated": {"groups": [group]}}, "template": template}
        )


def node_name(n: int) -> str:
    return f"ip-10-{n >> 16 & 255}-{n >> 8 & 255}-{n & 255}.eu-central-1.compute.internal"


def pool_name(g: int) -> str:
    return f"pool-{g:02}"


def zone(g: int) -> str:
    return f"eu-central-1{'abc'[g % 3]}"


def tier(g: int) -> str:
    return "batch" if g % 5 == 0 else "service"


def vcpu(g: int) -> int:
    """8, 12 or 16."""
    return 8 + 4 * (g // 5 % 3)


def address(network: int, i: int) -> bytes:
    return b"%d.%d.%d.%d" % (network, i >> 16 & 255, i >> 8 & 255, i & 255)


def own_resource(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "springtide.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "uid": f"uid-{kind}-{name}",
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": MADE,
        },
        "spec": spec,
    }
