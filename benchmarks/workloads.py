"""The planning workloads, each a scene made from integer formulas, so that anyone can make the same input.

Unless said otherwise: an empty cluster, allocatable = capacity, 110 pods a node, no DaemonSets, nodes priced by
`benchmarks.scene.hourly_price`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from benchmarks import karpenter_mix, trace
from benchmarks.large_cluster import LargeCluster
from benchmarks.manifests import GIB, HOSTNAME, MIB, ZONE, Manifest, node, pod, replica_set
from benchmarks.scene import EAGER_POLICY, Pool, Scene, group

ZONES: Final = ("zone-a", "zone-b", "zone-c")
SMALL: Final = {"cpu": 4000, "memory": 16 * GIB, "pods": 110}
"""Nodes of a1 … b3."""
TENS: Final = {"cpu": 10_000, "memory": 10_000, "pods": 100}
"""Nodes of up-50k and down-80k."""


def up_50k() -> Scene:
    """50,000 equal pods, 50 to a node."""

    def pods() -> Iterator[Manifest]:
        for i in range(50_000):
            yield pod(f"up-{i}", {"cpu": 200, "memory": 200})

    return Scene(pools=(_pool("tens", TENS, max_size=10_000),), pods=pods)


def down_80k() -> Scene:
    """80,000 pods spread thin over 2,000 nodes, of which 800 hold them all."""
    names = [f"node-{n:04}" for n in range(2000)]

    def nodes() -> Iterator[Manifest]:
        return (node(name, TENS) for name in names)

    def pods() -> Iterator[Manifest]:
        safe = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
        for i in range(80_000):
            yield pod(f"down-{i}", {"cpu": 100, "memory": 100}, node=names[i % 2000], annotations=safe)

    everything = {
        "unneededTime": "0s",
        "delayAfterAdd": "0s",
        "maxParallel": 10_000,
        "maxParallelDrain": 10_000,
    }
    tens = Pool(name="tens", groups=(group("tens", TENS, max_size=10_000, nodes=names),))
    return Scene(pools=(tens,), nodes=nodes, pods=pods, policy={"scaleDown": everything})


def est_51k() -> Scene:
    """Many small pods and some of twice the size."""

    def pods() -> Iterator[Manifest]:
        for i in range(50_000):
            yield pod(f"small-{i}", {"cpu": 50, "memory": 100})
        for i in range(1000):
            yield pod(f"large-{i}", {"cpu": 95, "memory": 190})

    resources = {"cpu": 1000, "memory": 5000 * MIB, "pods": 100}
    return Scene(pools=(_pool("est", resources, max_size=3000),), pods=pods)


def a1() -> Scene:
    """5,000 pods, none of which may share a node."""

    def pods() -> Iterator[Manifest]:
        for i in range(5000):
            requests = {"cpu": 500, "memory": GIB}
            yield pod(f"a-{i}", requests, labels={"app": "anti"}, affinity=_apart("anti"))

    return Scene(pools=(_pool("small", SMALL, max_size=10_000),), pods=pods)


def a2(policy: Mapping[str, Any] = EAGER_POLICY) -> Scene:
    """50 apps of 100 pods; none shares a node with its own kind."""

    def pods() -> Iterator[Manifest]:
        for i in range(5000):
            k = i % 50
            requests = {"cpu": 100 + 50 * (7 * k % 18), "memory": (256 + 128 * (5 * k % 24)) * MIB}
            yield pod(f"a-{i}", requests, labels={"app": f"app-{k}"}, affinity=_apart(f"app-{k}"))

    return Scene(pools=(_pool("small", SMALL, max_size=10_000),), pods=pods, policy=policy)


def b1(*, apps: int = 1, full_nodes: bool = False) -> Scene:
    """5,000 pods spread evenly over three zones; `full_nodes`: each zone has one, which holds no pod of theirs."""

    def nodes() -> Iterator[Manifest]:
        return (node(f"node-{zone}", SMALL, labels={ZONE: zone}) for zone in ZONES if full_nodes)

    def pods() -> Iterator[Manifest]:
        for zone in ZONES if full_nodes else ():
            yield pod(f"full-{zone}", {"cpu": 4000, "memory": 16 * GIB}, node=f"node-{zone}")
        for i in range(5000):
            app = f"app-{i % apps}"
            yield pod(
                f"b-{i}",
                {"cpu": 500, "memory": GIB},
                labels={"app": app},
                topologySpreadConstraints=[_spread(app)],
            )

    groups = tuple(
        group(
            f"small-{zone}",
            SMALL,
            max_size=10_000,
            zone=zone,
            nodes=(f"node-{zone}",) if full_nodes else (),
        )
        for zone in ZONES
    )
    return Scene(pools=(Pool(name="small", groups=groups),), nodes=nodes, pods=pods)


def b2() -> Scene:
    """b1 with a full node in each zone."""
    return b1(full_nodes=True)


def b3() -> Scene:
    """b2 with twenty apps that spread each for itself."""
    return b1(apps=20, full_nodes=True)


def c(policy: Mapping[str, Any] = EAGER_POLICY) -> Scene:
    """15,000 pods of 300 controllers, 20 groups of five sizes and four ratios of memory to cpu."""
    owners = [replica_set(f"c-{k}", replicas=50) for k in range(300)]

    def pods() -> Iterator[Manifest]:
        for i in range(15_000):
            k = i % 300
            requests = {"cpu": 100 + 50 * (7 * k % 40), "memory": (128 + 64 * (13 * k % 64)) * MIB}
            yield pod(f"c-{k}-{i // 300}", requests, owner=owners[k], labels={"app": f"c-{k}"})

    pools = []
    for g in range(20):
        vcpu = 2 << (g % 5)
        gib = vcpu * (2 << (g // 5))
        resources = {"cpu": 1000 * vcpu, "memory": gib * GIB, "pods": 110}
        pools.append(_pool(f"g{g:02}-{vcpu}x{gib}", resources, max_size=1000))
    return Scene(pools=tuple(pools), pods=pods, replica_sets=lambda: iter(owners), policy=policy)


def xl() -> Scene:
    """Larger than any peer has published: see LargeCluster."""
    return LargeCluster(nodes=5000, running=150_000, pending=10_000, shapes=3000, groups=50).scene()


def _pool(name: str, resources: Mapping[str, int], *, max_size: int) -> Pool:
    return Pool(name=name, groups=(group(name, resources, max_size=max_size),))


def _apart(app: str) -> Manifest:
    """Required anti-affinity to pods of the same app, by node."""
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _spread(app: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}},
    }


PRICE: Final[Mapping[str, Any]] = {**EAGER_POLICY, "expanders": ["price"]}
LEAST_COST: Final[Mapping[str, Any]] = {**EAGER_POLICY, "expanders": ["least-cost"], "planningBudget": "5s"}
"""Joint planning of all groups; purchases are held back for it no longer than five seconds."""

WORKLOADS: Final[Mapping[str, Callable[[], Scene]]] = {
    "up-50k": up_50k,
    "down-80k": down_80k,
    "est-51k": est_51k,
    "a1": a1,
    "a2": a2,
    "a2-least-cost": lambda: a2(LEAST_COST),
    "b1": b1,
    "b2": b2,
    "b3": b3,
    "c": c,
    "c-least-cost": lambda: c(LEAST_COST),
    "o": lambda: trace.openb(PRICE),
    "o-least-cost": lambda: trace.openb(LEAST_COST),
    "k-5000": lambda: karpenter_mix.diverse(5000),
    "k-20000": lambda: karpenter_mix.diverse(20_000),
    "k-pref": karpenter_mix.preferences,
    "xl": xl,
}
