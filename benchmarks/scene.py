"""A scene: the cluster, the clouds and the resources of one workload, and the Snapshot that the operator makes of them.

Nothing is built by hand that the operator would decode: pods, nodes and controllers go as bytes of a LIST through the
informers' codecs into a ClusterState; NodePools and policies are parsed and resolved. Only what a cloud says of its
groups (NodeGroup, Template) is given as records, for that is what a provider returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import msgspec

from benchmarks.manifests import NOW, Manifest, custom_resource, pages, provider_id
from springtide.api.nodepool import NodePool
from springtide.api.parse import parse_nodepool, parse_policy
from springtide.api.policy import AutoscalerPolicy
from springtide.cluster import decode
from springtide.cluster.codec import Codec, RecordCodec
from springtide.cluster.groups import Instance, InstanceState, NodeGroup, PoolListing, Template
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.snapshot import Snapshot
from springtide.cluster.state import ClusterState
from springtide.cluster.store import Store
from springtide.cluster.wire import BudgetWire, DaemonSetWire, NodeWire, PodWire, WorkloadWire
from springtide.runtime.pools import policy_views, pool_views

T = TypeVar("T")

PAGE = 500
"""Objects in a page of a LIST, as informers ask for them."""

EAGER_POLICY: Mapping[str, Any] = {
    "scaleUp": {"maxNodesPerPass": 100_000},
    "scaleDown": {"enabled": False},
}
"""Scale-up only, as many nodes in one pass as it takes."""

Objects = Callable[[], Iterator[Manifest]]
"""Makes the same manifests, one after another, whenever it is called."""


def nothing() -> Iterator[Manifest]:
    return iter(())


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One NodePool and the node groups that its cloud lists for it."""

    name: str
    groups: tuple[NodeGroup, ...]
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that a pass sees."""

    pools: tuple[Pool, ...]
    pods: Objects
    nodes: Objects = nothing
    replica_sets: Objects = nothing
    budgets: Objects = nothing
    daemon_sets: Objects = nothing
    policy: Mapping[str, Any] = field(default_factory=lambda: EAGER_POLICY)


@dataclass(frozen=True, slots=True)
class Built:
    """A snapshot, and what making it took."""

    snapshot: Snapshot
    cpu_s: float
    wall_s: float


def group(
    name: str,
    resources: Mapping[str, int],
    *,
    max_size: int,
    zone: str = "",
    labels: Mapping[str, str] | None = None,
    allocatable: Mapping[str, int] | None = None,
    price: float | None = None,
    nodes: Iterable[str] = (),
) -> NodeGroup:
    """A node group as a cloud lists it. `resources`: capacity of a node; `nodes`: names of those it has."""
    zoned = {"topology.kubernetes.io/zone": zone} if zone else {}
    instances = tuple(
        Instance(id=f"i-{each}", provider_id=provider_id(each), state=InstanceState.RUNNING, zone=zone)
        for each in nodes
    )
    return NodeGroup(
        id=name,
        pool="",
        target=len(instances),
        min_size=0,
        max_size=max_size,
        instances=instances,
        template=Template(
            capacity=resources,
            allocatable=resources if allocatable is None else allocatable,
            labels={"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", **zoned, **(labels or {})},
            hourly_price=hourly_price(resources) if price is None else price,
            source="benchmark",
        ),
        zones=(zone,) if zone else (),
        read_at=NOW,
    )


def hourly_price(resources: Mapping[str, int]) -> float:
    """The one formula by which all peers' plans are priced: 0.04 per vCPU, 0.005 per GiB, 1 per GPU, in dollars."""
    return (
        0.04 * resources.get("cpu", 0) / 1000
        + 0.005 * resources.get("memory", 0) / 2**30
        + 1.0 * resources.get("nvidia.com/gpu", 0)
    )


def build(scene: Scene) -> Built:
    """Decode and freeze. Times are those of the operator's own work: making the manifests' bytes does not count."""
    stopwatch = _Stopwatch()
    state, shapes = ClusterState(), ShapeTable()
    pod = partial(decode.pod_record, shapes=shapes)
    daemon_set = partial(decode.daemon_set_record, shapes=shapes)
    replica_set = partial(decode.workload, kind="ReplicaSet")
    stopwatch.load(scene.nodes, RecordCodec(NodeWire, decode.node_record), state.nodes)
    stopwatch.load(scene.pods, RecordCodec(PodWire, pod), state.pods)
    stopwatch.load(scene.budgets, RecordCodec(BudgetWire, decode.disruption_budget), state.disruption_budgets)
    stopwatch.load(scene.daemon_sets, RecordCodec(DaemonSetWire, daemon_set), state.daemon_sets)
    workloads = RecordCodec(WorkloadWire, replica_set)
    stopwatch.load(scene.replica_sets, workloads, state.workloads["ReplicaSet"])
    with stopwatch:
        snapshot = _snapshot(scene, state)
    return Built(snapshot=snapshot, cpu_s=stopwatch.cpu_s, wall_s=stopwatch.wall_s)


def _bodies(objects: Objects) -> Iterator[bytes]:
    """LIST answers, one page after another, so that no more than one is in memory."""
    encode = msgspec.json.Encoder().encode
    for page in pages(objects(), PAGE):
        yield encode({"metadata": {"resourceVersion": "1"}, "items": page})


def _snapshot(scene: Scene, state: ClusterState) -> Snapshot:
    policy = parse_policy(custom_resource("AutoscalerPolicy", "default", scene.policy))
    assert isinstance(policy, AutoscalerPolicy), policy
    listings = {
        pool.name: PoolListing(
            pool=pool.name, groups=tuple(replace(each, pool=pool.name) for each in pool.groups), read_at=NOW
        )
        for pool in scene.pools
    }
    views = pool_views([_node_pool(pool) for pool in scene.pools], (policy,), listings, {}, now=NOW)
    return Snapshot(
        now=NOW,
        plan_id="benchmark",
        picture=state.freeze(now=NOW),
        pools=views,
        policies=policy_views((policy,)),
    )


def _node_pool(pool: Pool) -> NodePool:
    provider = {"aws": {"region": "us-east-1", "discovery": {"tags": {"pool": pool.name}}}}
    parsed = parse_nodepool(custom_resource("NodePool", pool.name, {"provider": provider, **pool.spec}))
    assert isinstance(parsed, NodePool), parsed
    return parsed


class _Stopwatch:
    """Adds up the time spent inside it."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0

    def load(self, objects: Objects, codec: Codec[T], store: Store[T]) -> None:
        """Decode all pages into the store."""
        for body in _bodies(objects):
            with self:
                store.upsert_all(codec.decode_page(body).items)

    def __enter__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu_s += time.process_time() - self._cpu
        self.wall_s += time.perf_counter() - self._wall
