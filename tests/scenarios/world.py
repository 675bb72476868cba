"""The world of a scenario: a cluster, a simulated cloud and the real operator between them, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from springtide.actuation.outcome import Outcome, PurchaseStarted
from springtide.cluster.annotations import REMOVAL
from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.groups import InstanceState
from springtide.cluster.records import NodeRecord, PodPhase, PodRecord
from springtide.planning.plan import PurchaseReason
from springtide.providers.base import TerminateOutcome
from springtide.providers.simulated.cloud import SimulatedCloud, SimulatedGroup
from springtide.runtime.settings import OperatorSettings
from tests.scenarios.api_server import ApiServer, Manifest
from tests.scenarios.control_plane import ControlPlane
from tests.scenarios.door import Doorkeeper, Unhindered
from tests.scenarios.process import Process, Raise, Termination
from tests.scenarios.virtual_time import now, outside, prepare

HARD = "ToBeDeletedByClusterAutoscaler"
SOFT = "DeletionCandidateOfClusterAutoscaler"
STEP_SECONDS = 0.5
"""Between two looks at the world while waiting for something."""


def group(name: str = "a", **fields: Any) -> Manifest:
    """A simulated node group of machines with 4 cpu that boot within 30 s."""
    return {"name": name, "capacity": {"cpu": "4", "memory": "16Gi"}, **fields}


class World:
    """`await World().started()` has policy "default" and NodePool "general" with group "a", unless told otherwise."""

    def __init__(
        self,
        *,
        pools: Mapping[str, Mapping[str, Any]] | None = None,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        settings: OperatorSettings | None = None,
    ) -> None:
        """`pools`: name -> spec with `groups` in place of provider; `policies`: name -> spec."""
        self._pools = {"general": {"groups": [group()]}} if pools is None else pools
        self._policies = {"default": {}} if policies is None else policies
        self._settings = settings or OperatorSettings()
        self.raises: list[Raise] = []
        self.terminations: list[Termination] = []
        self.evictions: list[PodRecord] = []
        self.outcomes: list[Outcome] = []
        self.events: list[Manifest] = []
        self.status_writes: list[tuple[datetime, str, str]] = []
        self.violations: list[str] = []
        """Of what must never happen; looked at after every step."""
        self.listing_seconds = 0.0
        """So long a cloud's listing is on its way, getting older."""
        self.api_silence_seconds = 0.0
        """So long ago the informers heard from the API server."""
        self.silent_kinds: dict[str, float] = {}
        """The same for single kinds of objects, by plural name."""
        self.api_calls = ApiCalls()
        """How the operator's calls to the API server fared in the last minute."""
        self.pass_seconds = 0.0
        """What each reading of a stopwatch adds to what a pass takes; planning itself takes no virtual time."""
        self._stopped = 0.0
        self.clock_error = timedelta(0)
        """By how much the wall clock of the operator's machine is wrong."""
        self.on_raise: Callable[[Raise], None] = lambda raised: None
        """Called in the instant in which a target was raised."""
        self.on_termination: Callable[[Termination], None] = lambda asked: None
        """Called in the instant in which the cloud was asked to terminate an instance."""
        self.doorkeeper: Doorkeeper = Unhindered()
        """Told of every call of the operators that changes something; may hinder it."""
        self.process: Process | None = None

    async def started(self) -> World:
        prepare(asyncio.get_running_loop())
        self.server = ApiServer()
        self.control_plane = ControlPlane(self.server)
        self.cloud = SimulatedCloud(
            clock=now,
            on_instance_running=outside(self.control_plane.register),
            on_instance_gone=outside(self.control_plane.instance_gone),
        )
        for name, spec in self._policies.items():
            self.add_policy(name, **spec)
        for name, spec in self._pools.items():
            self.add_pool(name, **spec)
        self.start_operator()
        await self.after(5)
        return self

    def stopwatch(self) -> float:
        self._stopped += self.pass_seconds
        return self._stopped

    # --- the operator -------------------------------------------------------------------------------------------

    def start_operator(self) -> Process:
        self.process = Process(self, self._settings)
        self.process.start()
        return self.process

    async def kill_operator(self) -> None:
        if self.process is not None:
            await self.process.kill()
            self.process = None

    async def restart_operator(self, *, away: float = 5.0) -> None:
        """Killed, and started anew after so many seconds."""
        await self.kill_operator()
        await self.after(away)
        self.start_operator()

    @property
    def operator(self) -> Process:
        assert self.process is not None, "the operator is not running"
        return self.process

    @property
    def passes(self) -> dict[str, int]:
        """Passes of the present process, by what asked for them first."""
        return self.operator.engine.passes

    # --- what users do ------------------------------------------------------------------------------------------

    def add_policy(self, name: str = "default", **spec: Any) -> None:
        self.server.create("AutoscalerPolicy", {"metadata": {"name": name}, "spec": spec})

    def add_pool(self, name: str, *, groups: Sequence[Manifest], **spec: Any) -> None:
        spec["provider"] = {"simulated": {"groups": list(groups)}}
        self.server.create("NodePool", {"metadata": {"name": name}, "spec": spec})

    def edit_pool(
        self, name: str = "general", *, groups: Sequence[Manifest] | None = None, **spec: Any
    ) -> None:
        """Change some fields of a NodePool's spec; None takes a field out."""
        if groups is not None:
            spec["provider"] = {"simulated": {"groups": list(groups)}}
        self.server.change_spec("NodePool", name, **spec)

    def edit_policy(self, name: str = "default", **spec: Any) -> None:
        self.server.change_spec("AutoscalerPolicy", name, **spec)

    def delete_pool(self, name: str = "general") -> None:
        self.server.mark_deleted("NodePool", name)

    def delete_policy(self, name: str = "default") -> None:
        self.server.mark_deleted("AutoscalerPolicy", name)

    def deploy(self, name: str, replicas: int, *, cpu: str = "1", memory: str = "1Gi", **pod: Any) -> None:
        """A Deployment's ReplicaSet of so many pods; again with the same name: scaled."""
        known = self.server.get("ReplicaSet", name, "default")
        if known is not None:
            spec = {**known["spec"], "replicas": replicas}
            self.server.put("ReplicaSet", {**known, "spec": spec})
            return
        template = pod_template(name, cpu=cpu, memory=memory, **pod)
        self.server.create(
            "ReplicaSet",
            {
                "kind": "ReplicaSet",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"replicas": replicas, "template": template},
            },
        )

    def undeploy(self, name: str) -> None:
        self.server.delete("ReplicaSet", ("default", name))

    def bare_pod(self, name: str, **pod: Any) -> None:
        """A pod that no controller would start again."""
        template = pod_template(name, **pod)
        self.control_plane.create_pod({**template, "metadata": {**template["metadata"], "name": name}})

    def daemon_set(self, name: str, *, cpu: str = "100m", memory: str = "64Mi") -> None:
        """One pod on every node that registers from now on."""
        template = pod_template(name, cpu=cpu, memory=memory, tolerations=[{"operator": "Exists"}])
        self.server.create(
            "DaemonSet",
            {
                "kind": "DaemonSet",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"template": template},
            },
        )

    def budget(self, app: str, *, min_available: int) -> None:
        """A PodDisruptionBudget over the pods of a deployment; again: changed."""
        spec = {"minAvailable": min_available, "selector": {"matchLabels": {"app": app}}}
        known = self.server.get("PodDisruptionBudget", app, "default")
        if known is not None:
            self.server.put("PodDisruptionBudget", {**known, "spec": spec})
            return
        self.server.create(
            "PodDisruptionBudget",
            {
                "metadata": {"name": app, "namespace": "default"},
                "spec": spec,
                "status": {"disruptionsAllowed": 0},
            },
        )

    def set_unschedulable(self, node: str, value: bool) -> None:
        """As `kubectl cordon` and `kubectl uncordon`."""
        manifest = self.server.get("Node", node)
        assert manifest is not None
        spec = {key: each for key, each in manifest["spec"].items() if key != "unschedulable"}
        self.server.put("Node", {**manifest, "spec": {**spec, "unschedulable": True} if value else spec})

    def land(self, node: str, app: str = "late") -> None:
        """A pod that gets past the taints, as the scheduler's race with a taint makes possible."""
        owner = {"kind": "ReplicaSet", "metadata": {"name": "outsider", "uid": "outsider"}}
        self.control_plane.create_pod(pod_template(app), owner=owner)
        landed = next(pod for pod in self.pending if pod.labels.get("app") == app)
        self.control_plane.bind(landed, node)

    def cluster_autoscaler_lives(self) -> None:
        """Its Lease was renewed just now."""
        spec = {
            "holderIdentity": "cluster-autoscaler-0",
            "renewTime": now().isoformat(),
            "leaseDurationSeconds": 15,
        }
        metadata = {"name": "cluster-autoscaler", "namespace": "kube-system"}
        self.server.put("Lease", {"metadata": metadata, "spec": spec})

    # --- time ---------------------------------------------------------------------------------------------------

    async def after(self, seconds: float) -> None:
        """Let so much time pass; then nothing forbidden may have happened."""
        await asyncio.sleep(seconds)
        self.check()

    async def until(self, what: Callable[[], object], *, within: float) -> float:
        """Wait until it is so; how many seconds that took. Fails after `within` seconds."""
        begun = asyncio.get_running_loop().time()
        while not what():
            waited = asyncio.get_running_loop().time() - begun
            assert waited < within, f"not within {within:g} s: {self.describe()}"
            await self.after(min(STEP_SECONDS, within - waited + 0.01))
        return asyncio.get_running_loop().time() - begun

    def check(self) -> None:
        """Nothing that must never happen has happened."""
        self.violations += _overbought(self.outcomes)
        self.violations += self.server.past_the_door
        assert not self.violations, f"{self.violations}: {self.describe()}"

    # --- looking ------------------------------------------------------------------------------------------------

    @property
    def targets(self) -> dict[str, int]:
        """pool/group -> target."""
        return {f"{pool}/{name}": each.target for (pool, name), each in self.cloud.groups.items()}

    def group(self, pool: str = "general", name: str = "a") -> SimulatedGroup:
        return self.cloud.group(pool, name)

    @property
    def nodes(self) -> list[NodeRecord]:
        return sorted(self.server.nodes, key=lambda node: node.name)

    def running(self, app: str | None = None) -> list[PodRecord]:
        """Pods that run (of one deployment), DaemonSets' aside."""
        return [
            pod
            for pod in self.server.pods
            if pod.phase is PodPhase.RUNNING
            and pod.deletion_timestamp is None
            and not pod.is_daemon
            and (app is None or pod.labels.get("app") == app)
        ]

    @property
    def pending(self) -> list[PodRecord]:
        return [pod for pod in self.server.pods if not pod.node_name]

    def on(self, node: str) -> list[PodRecord]:
        return [pod for pod in self.server.pods if pod.node_name == node]

    def residents(self, node: str) -> tuple[str, ...]:
        """Pods that are at home on the node and were not asked to end, DaemonSets' aside."""
        return tuple(
            pod.name for pod in self.on(node) if pod.deletion_timestamp is None and not pod.is_daemon
        )

    def marked(self, *kinds: str) -> list[str]:
        """Nodes that carry one of these marks; by default any of ours."""
        kinds = kinds or (HARD, SOFT, REMOVAL, "cordon")
        return [node.name for node in self.nodes if marks_of(node) & set(kinds)]

    @property
    def terminated(self) -> list[str]:
        """Instances that the operator terminated."""
        return [t.instance for t in self.terminations if t.outcome is TerminateOutcome.TERMINATED]

    @property
    def alive(self) -> int:
        """Instances that exist and are not going."""
        return sum(i.state is not InstanceState.DELETING for i in self.cloud.instances)

    def of(self, kind: type[Any]) -> list[Any]:
        return [outcome for outcome in self.outcomes if isinstance(outcome, kind)]

    def status(self, pool: str = "general") -> Mapping[str, Any]:
        manifest = self.server.get("NodePool", pool)
        assert manifest is not None
        status: Mapping[str, Any] = manifest.get("status", {})
        return status

    def condition(self, kind: str = "Ready", *, pool: str = "general") -> Mapping[str, Any]:
        return next((c for c in self.status(pool).get("conditions", ()) if c["type"] == kind), {})

    def condition_of(self, condition: str, *, kind: str, name: str) -> Mapping[str, Any]:
        """The same of a NodePool or an AutoscalerPolicy."""
        manifest = self.server.get(kind, name)
        assert manifest is not None
        told = manifest.get("status", {}).get("conditions", ())
        return next((each for each in told if each["type"] == condition), {})

    def metric(self, name: str, **labels: str) -> float | None:
        """What the operator's registry says now; None: there is no such series."""
        return self.operator.metrics.registry.get_sample_value(name, labels)

    def event_reasons(self) -> set[str]:
        return {event["reason"] for event in self.events}

    def note_raise(self, raised: Raise) -> None:
        self.raises.append(raised)
        self.on_raise(raised)

    def note_termination(self, asked: Termination) -> None:
        before = {each.instance for each in self.terminations}
        self.terminations.append(asked)
        self.on_termination(asked)
        if asked.residents and not asked.was_going:
            self.violations.append(f"{asked.instance} was terminated with {asked.residents} on it")
        if asked.was_going and asked.instance in before and not self.listing_seconds:
            self.violations.append(f"{asked.instance} was terminated twice")

    def describe(self) -> str:
        pods = [f"{pod.name}@{pod.node_name or '-'} {pod.phase}" for pod in self.server.pods][:20]
        nodes = {node.name: (node.ready, sorted(marks_of(node))) for node in self.nodes}
        return f"at {now():%H:%M:%S} targets {self.targets}, nodes {nodes}, pods {pods}"


def pod_template(
    app: str,
    *,
    cpu: str = "1",
    memory: str = "1Gi",
    annotations: Mapping[str, str] | None = None,
    priority: int = 0,
    grace_seconds: int = 30,
    **spec: Any,
) -> Manifest:
    resources = {"requests": {"cpu": cpu, "memory": memory}}
    return {
        "metadata": {"namespace": "default", "labels": {"app": app}, "annotations": dict(annotations or {})},
        "spec": {
            "containers": [{"name": "main", "resources": resources}],
            "priority": priority,
            "terminationGracePeriodSeconds": grace_seconds,
            **spec,
        },
    }


def marks_of(node: NodeRecord) -> set[str]:
    """What we or a removal of ours put on the node."""
    marks = {taint.key for taint in node.taints if taint.key in (HARD, SOFT)}
    marks |= {REMOVAL} & set(node.annotations)
    return marks | ({"cordon"} if node.unschedulable else set())


def minutes(count: float) -> float:
    """In seconds."""
    return timedelta(minutes=count).total_seconds()


def _overbought(outcomes: Sequence[Outcome]) -> list[str]:
    """Never more nodes than pods they are bought for."""
    return [
        f"{outcome.to_target - outcome.from_target} nodes for {len(outcome.pods)} pods in {outcome.group}"
        for outcome in outcomes
        if isinstance(outcome, PurchaseStarted)
        and outcome.reason is PurchaseReason.PENDING_PODS
        and outcome.to_target - outcome.from_target > len(outcome.pods)
    ]
