"""A large cluster in everyday operation: controllers with budgets, nodes half used and nodes full, pods
that wait. Any size; `xl`, the curve, and the memory and steady-state measurements are made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.manifests import GIB, MIB, ZONE, Manifest, disruption_budget, node, pod, replica_set
from benchmarks.scene import Pool, Scene, group

ZONES: Final = ("zone-a", "zone-b", "zone-c")
TIER: Final = "tier"
POLICY: Final[Mapping[str, Any]] = {"scaleUp": {"maxNodesPerPass": 100_000}}
"""Scale-down with all its defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeCluster:
    """`running` pods on `nodes` nodes of `groups` groups; `pending` pods that only a fifth of the groups may take."""

    nodes: int
    running: int
    pending: int
    shapes: int
    groups: int
    policy: Mapping[str, Any] = field(default_factory=lambda: POLICY)

    def scene(self) -> Scene:
        """One NodePool for each group."""
        pools = []
        for g in range(self.groups):
            names = [self.node_name(n) for n in range(g, self.nodes, self.groups)]
            made_of = group(
                f"group-{g:02}",
                self._size(g),
                max_size=10_000,
                zone=ZONES[g % 3],
                labels={TIER: _tier(g)},
                nodes=names,
            )
            pools.append(Pool(name=f"pool-{g:02}", groups=(made_of,)))
        return Scene(
            pools=tuple(pools),
            nodes=self.node_manifests,
            pods=self.pod_manifests,
            replica_sets=self.replica_sets,
            budgets=self.budgets,
            policy=self.policy,
        )

    @staticmethod
    def node_name(number: int) -> str:
        return f"node-{number:05}"

    def _size(self, group_number: int) -> dict[str, int]:
        """8, 12 or 16 vCPU with 4 GiB each for 30 pods a node, in proportion for more: the running pods use 92, 61 or
        46 percent of the cpu."""
        vcpu = (8 + 4 * (group_number // 5 % 3)) * max(1, -(-self.running // self.nodes) // 30)
        return {"cpu": 1000 * vcpu, "memory": 4 * vcpu * GIB, "pods": 110}

    @property
    def running_shapes(self) -> int:
        """Five of six shapes run, the sixth pends."""
        return max(1, self.shapes - self.shapes // 6) if self.pending else self.shapes

    def node_manifests(self) -> Iterator[Manifest]:
        for n in range(self.nodes):
            g = n % self.groups
            labels = {ZONE: ZONES[g % 3], TIER: _tier(g), "pool": f"pool-{g:02}"}
            yield node(self.node_name(n), self._size(g), labels=labels)

    def pod_manifests(self) -> Iterator[Manifest]:
        """The running ones, then the pending ones."""
        for i in range(self.running):
            yield self.running_pod(i)
        waiting = max(1, self.shapes - self.running_shapes)
        for i in range(self.pending):
            k = i % waiting
            requests = {"cpu": 500 + 50 * (k % 30), "memory": (512 + 64 * (k % 60)) * MIB}
            owner = replica_set(f"batch-{k}", replicas=self.pending // waiting)
            labels = {"app": f"batch-{k}"}
            yield pod(f"batch-{k}-{i}", requests, labels=labels, owner=owner, nodeSelector={TIER: "batch"})

    def running_pod(self, i: int, *, generation: int = 0) -> Manifest:
        """Pod i on its node: 245m and 850 MiB in the mean."""
        k = (7 * i + 11 * (i // self.nodes)) % self.running_shapes
        requests = {"cpu": 50 + 10 * (k % 40), "memory": (64 + 32 * (k % 50)) * MIB}
        owner = replica_set(f"app-{k}", replicas=max(1, self.running // self.running_shapes))
        name = f"app-{k}-{i}" if not generation else f"app-{k}-{i}-{generation}"
        return pod(
            name, requests, node=self.node_name(i % self.nodes), labels={"app": f"app-{k}"}, owner=owner
        )

    def replica_sets(self) -> Iterator[Manifest]:
        for k in range(self.running_shapes):
            yield replica_set(f"app-{k}", replicas=max(1, self.running // self.running_shapes))

    def budgets(self) -> Iterator[Manifest]:
        """One for every tenth app; a tenth of these allows no disruption now."""
        for k in range(0, self.running_shapes, 10):
            yield disruption_budget(f"app-{k}", app=f"app-{k}", allowed=0 if k % 100 == 0 else 5)


def _tier(group_number: int) -> str:
    return "batch" if group_number % 5 == 0 else "service"
