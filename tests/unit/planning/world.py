"""A small world for tests of planning: pods, nodes, groups, pools and policies in a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from springtide.api.policy import AutoscalerPolicySpec
from springtide.api.resolve import PoolSettings
from springtide.api.settings import Mode, ScaleDownSettings, ScaleUpSettings
from springtide.cluster.groups import Instance, InstanceState, LaunchFailure, NodeGroup, Template
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import (
    DaemonSetRecord,
    DisruptionBudget,
    NodeRecord,
    OwnerReference,
    PodPhase,
    PodRecord,
    Taint,
    Workload,
)
from springtide.cluster.shape import PodShape, Toleration, Unmodelled
from springtide.cluster.snapshot import (
    GroupMemory,
    PolicyView,
    PoolView,
    RemovalInFlight,
    Snapshot,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
GIB = 2**30

_numbers = count()
_shapes: dict[Any, PodShape] = {}


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


# --- pods ------------------------------------------------------------------------------------------------------


def shape(
    cpu: int = 1000,
    memory: int = GIB,
    *,
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    selector: Mapping[str, str] | None = None,
    priority: int = 0,
    unmodelled: tuple[Unmodelled, ...] = (),
    tolerations: tuple[Toleration, ...] = (),
    extended: Mapping[str, int] | None = None,
) -> PodShape:
    """Interned: equal arguments give the same shape, as a ShapeTable would."""
    known = (
        cpu,
        memory,
        namespace,
        tuple(sorted((labels or {}).items())),
        tuple(sorted((selector or {}).items())),
        priority,
        unmodelled,
        tolerations,
        tuple(sorted((extended or {}).items())),
    )
    if known not in _shapes:
        requests = {"cpu": cpu, "memory": memory, **(extended or {})}
        _shapes[known] = PodShape(
            number=len(_shapes),
            namespace=namespace,
            labels=labels or {},
            requests={name: amount for name, amount in requests.items() if amount},
            node_selector=selector or {},
            priority=priority,
            unmodelled=unmodelled,
            tolerations=tolerations,
        )
    return _shapes[known]


REPLICA_SET = Workload(kind="ReplicaSet", namespace="default", name="web", uid="rs-web", replicas=3)
DAEMON_SET = Workload(kind="DaemonSet", namespace="default", name="agent", uid="ds-agent")


def owned_by(workload: Workload) -> OwnerReference:
    return OwnerReference(api_version="apps/v1", kind=workload.kind, name=workload.name, uid=workload.uid)


def pod(of: PodShape | None = None, *, owner: Workload | None = REPLICA_SET, **fields: Any) -> PodRecord:
    """A pod of a ReplicaSet, unless said otherwise."""
    number = next(_numbers)
    given = of if of is not None else shape()
    defaults: dict[str, Any] = {
        "uid": f"pod-{number}",
        "namespace": given.namespace,
        "name": f"pod-{number}",
        "shape": given,
        "created_at": LONG_AGO,
        "owner": owned_by(owner) if owner is not None else None,
    }
    return PodRecord(**(defaults | fields))


def pending(count_: int = 1, of: PodShape | None = None, **fields: Any) -> list[PodRecord]:
    """Pods that the scheduler has just refused."""
    return [pod(of, **({"unschedulable_since": ago(seconds=1)} | fields)) for _ in range(count_)]


def running(count_: int = 1, of: PodShape | None = None, **fields: Any) -> list[PodRecord]:
    return [pod(of, **({"phase": PodPhase.RUNNING} | fields)) for _ in range(count_)]


# --- nodes and groups ------------------------------------------------------------------------------------------


def resources(cpu: int = 4000, memory: int = 16 * GIB, **extended: int) -> dict[str, int]:
    return {"cpu": cpu, "memory": memory, "pods": 110, **extended}


def template(
    *,
    cpu: int = 4000,
    memory: int = 16 * GIB,
    labels: Mapping[str, str] | None = None,
    taints: tuple[Taint, ...] = (),
    startup_taints: tuple[Taint, ...] = (),
    price: float | None = 0.2,
    extended: Mapping[str, int] | None = None,
) -> Template:
    amounts = {**resources(cpu, memory), **(extended or {})}
    return Template(
        capacity=amounts,
        allocatable=amounts,
        labels=labels or {},
        taints=taints,
        startup_taints=startup_taints,
        hourly_price=price,
        source="test",
    )


def instance_of(node_name: str, *, state: InstanceState = InstanceState.RUNNING) -> Instance:
    return Instance(id=f"i-{node_name}", provider_id=f"cloud:///{node_name}", state=state)


def node(name: str, **fields: Any) -> NodeRecord:
    """A ready node of 4 cpu and 16 GiB that has been there for a day."""
    defaults: dict[str, Any] = {
        "name": name,
        "uid": f"uid-{name}",
        "created_at": LONG_AGO,
        "provider_id": f"cloud:///{name}",
        "labels": {"kubernetes.io/hostname": name},
        "capacity": resources(),
        "allocatable": resources(),
        "ready": True,
        "ready_changed_at": LONG_AGO,
    }
    return NodeRecord(**(defaults | fields))


_UNSET: Any = object()


def group(
    name: str = "asg-a",
    *,
    nodes: Sequence[str] = (),
    target: int | None = None,
    min_size: int = 0,
    max_size: int = 10,
    made_of: Template | None = _UNSET,
    instances: Sequence[Instance] = (),
    failures: Sequence[LaunchFailure] = (),
    read_at: datetime | None = NOW,
) -> NodeGroup:
    """A group whose target is what it has, unless said otherwise; `pool` fills in its owner."""
    alive = (*(instance_of(each) for each in nodes), *instances)
    return NodeGroup(
        id=name,
        pool="",
        target=len(alive) if target is None else target,
        min_size=min_size,
        max_size=max_size,
        instances=alive,
        template=template() if made_of is _UNSET else made_of,
        failures=tuple(failures),
        read_at=read_at,
    )


def pool(
    name: str = "general",
    *groups: NodeGroup,
    mode: Mode = Mode.ACTIVE,
    policy: str = "default",
    min_size: int | None = None,
    max_size: int | None = None,
    up: ScaleUpSettings | None = None,
    down: ScaleDownSettings | None = None,
    memory: Mapping[str, GroupMemory] | None = None,
    **fields: Any,
) -> PoolView:
    return PoolView(
        name=name,
        uid=f"uid-{name}",
        generation=1,
        created_at=LONG_AGO,
        mode=mode,
        policy=policy,
        settings=PoolSettings(
            mode=mode,
            min_size=min_size,
            max_size=max_size,
            scale_up=up or ScaleUpSettings(),
            scale_down=down or ScaleDownSettings(),
        ),
        min_size=min_size,
        max_size=max_size,
        groups=tuple(replace(each, pool=name) for each in groups),
        memory=memory or {each.id: GroupMemory(ever_matched=True) for each in groups},
        **fields,
    )


def policy(name: str = "default", *, created_at: datetime = LONG_AGO, **spec: Any) -> PolicyView:
    return PolicyView(
        name=name,
        uid=f"uid-{name}",
        generation=1,
        created_at=created_at,
        spec=AutoscalerPolicySpec(**spec),
    )


def snapshot(
    *pools: PoolView,
    nodes: Sequence[NodeRecord] = (),
    pods: Mapping[str, Sequence[PodRecord]] | None = None,
    waiting: Sequence[PodRecord] = (),
    policies: Sequence[PolicyView] = (),
    budgets: Sequence[DisruptionBudget] = (),
    daemon_sets: Sequence[DaemonSetRecord] = (),
    removals: Sequence[RemovalInFlight] = (),
    **fields: Any,
) -> Snapshot:
    defaults: dict[str, Any] = {
        "now": NOW,
        "plan_id": "plan-1",
        "picture": ClusterPicture(
            taken_at=NOW,
            nodes=tuple(sorted(nodes, key=lambda each: each.name)),
            pods_by_node={name: tuple(there) for name, there in (pods or {}).items()},
            pending_pods=tuple(waiting),
            disruption_budgets=tuple(budgets),
            workloads={each.uid: each for each in (REPLICA_SET, DAEMON_SET)},
            daemon_sets=tuple(daemon_sets),
        ),
        "pools": tuple(pools),
        "policies": tuple(policies) or (policy(),),
        "removals": {each.node: each for each in removals},
    }
    return Snapshot(**(defaults | fields))
