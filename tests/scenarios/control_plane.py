"""A miniature control plane: scheduler, controllers and kubelets that do to the scenario's objects what the real ones do.

Whether a pod fits a node is asked of springtide.scheduling, whose verdicts are held against kube-scheduler's elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from springtide.cluster.records import NodeRecord, PodPhase, PodRecord, TaintEffect
from springtide.providers.simulated.cloud import SimulatedInstance
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.simulation import Simulation
from tests.scenarios.api_server import ApiServer, Manifest, key_of
from tests.scenarios.virtual_time import now

REACTION_SECONDS: Final = 0.02
"""From a change until controllers and scheduler have seen it."""
STARTING_SECONDS: Final = 1.0
"""From the binding of a pod until it runs."""
ENDING_SECONDS: Final = 2.0
"""A pod's end, once it was asked to end."""
REGISTERED_TO_READY_SECONDS: Final = 5.0
NODE_DELETION_SECONDS: Final = 10.0
"""From the end of an instance until the cloud's node controller deletes its Node."""
SILENCE_SECONDS: Final = 40.0
"""A kubelet that is silent for so long is unreachable; default of the node controller."""
TOLERATION_SECONDS: Final = 300.0
"""So long pods tolerate an unreachable node, by default."""

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
UNREACHABLE = (
    {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
)


class ControlPlane:
    """Acts on every change, a moment later."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.silent: set[str] = set()
        """Nodes whose kubelet does nothing any more."""
        self._off: set[str] = set()
        """Nodes whose machine is off."""
        self.boot_seconds = REGISTERED_TO_READY_SECONDS
        self._numbers = itertools.count(1)
        self._due = False
        server.listeners.append(self._noticed)

    # --- nodes --------------------------------------------------------------------------------------------------

    def register(self, instance: SimulatedInstance) -> None:
        """The kubelet of a fresh instance creates its Node, which is not ready yet."""
        template = instance.group.template
        taints = [*template.taints, *template.startup_taints]
        self.server.create(
            "Node",
            {
                "metadata": {
                    "name": instance.id,
                    "labels": {**template.labels, "kubernetes.io/hostname": instance.id},
                },
                "spec": {
                    "providerID": instance.provider_id,
                    "taints": [
                        NOT_READY,
                        *({"key": t.key, "value": t.value, "effect": t.effect} for t in taints),
                    ],
                },
                "status": {
                    "capacity": _texts(template.capacity),
                    "allocatable": _texts(template.allocatable),
                    "conditions": [_ready("False")],
                },
            },
        )
        for daemon_set in list(self.server.objects["DaemonSet"].values()):
            self._start_daemon(daemon_set, instance.id)
        asyncio.get_running_loop().call_later(self.boot_seconds, self.recover, instance.id)

    def recover(self, name: str) -> None:
        """The kubelet says that it is ready (again), and catches up on its pods."""
        node = self.server.get("Node", name)
        if node is None or name in self._off:
            return
        keys = {NOT_READY["key"], UNREACHABLE[0]["key"]}
        self._edit_node(node, ready="True", taints=[t for t in _taints(node) if t["key"] not in keys])
        if name in self.silent:
            self.silent.discard(name)
            for pod in self.server.pods:
                if pod.node_name == name:
                    catch_up = self._run if pod.deletion_timestamp is None else self._end
                    catch_up(pod)

    def silence(self, name: str) -> None:
        """The kubelet stops: after a while the node is unreachable, and later its pods are given up."""
        self.silent.add(name)
        loop = asyncio.get_running_loop()
        loop.call_later(SILENCE_SECONDS, self._unreachable, name)
        loop.call_later(SILENCE_SECONDS + TOLERATION_SECONDS, self._give_up_pods, name)

    def instance_gone(self, instance: SimulatedInstance) -> None:
        """The machine is off; its Node goes a little later."""
        self.silent.add(instance.id)
        self._off.add(instance.id)
        asyncio.get_running_loop().call_later(NODE_DELETION_SECONDS, self.delete_node, instance.id)

    def delete_node(self, name: str) -> None:
        """The Node is deleted, and with it the pods that were bound to it."""
        self.server.delete("Node", ("", name))
        for pod in self.server.pods:
            if pod.node_name == name:
                self.server.delete("Pod", (pod.namespace, pod.name))

    def find_machines_that_are_off(self) -> None:
        """After Nodes of the past came back, the cloud's node controller finds that some have no machine."""
        for node in self.server.nodes:
            if node.name in self._off:
                asyncio.get_running_loop().call_later(NODE_DELETION_SECONDS, self.delete_node, node.name)

    def _unreachable(self, name: str) -> None:
        node = self.server.get("Node", name)
        if node is not None and name in self.silent:
            self._edit_node(node, ready="Unknown", taints=[*_taints(node), *UNREACHABLE])

    def _give_up_pods(self, name: str) -> None:
        for pod in self.server.pods:
            if pod.node_name == name and name in self.silent and not pod.is_daemon:
                self.delete_pod(pod)

    def _edit_node(self, node: Manifest, *, ready: str, taints: list[Manifest]) -> None:
        status = {**node["status"], "conditions": [_ready(ready)]}
        self.server.put("Node", {**node, "spec": {**node["spec"], "taints": taints}, "status": status})

    # --- pods ---------------------------------------------------------------------------------------------------

    def create_pod(self, manifest: Manifest, *, owner: Manifest | None = None) -> None:
        """A pod of a template; `owner`: the controller that made it."""
        metadata = dict(manifest["metadata"])
        if owner is not None:
            metadata["name"] = f"{owner['metadata']['name']}-{next(self._numbers)}"
            metadata["ownerReferences"] = [
                {
                    "apiVersion": "apps/v1",
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ]
        status = {"phase": "Pending"}
        self.server.create("Pod", {**manifest, "metadata": metadata, "status": status})

    def bind(self, pod: PodRecord, node: str) -> None:
        manifest = self.server.objects["Pod"][pod.namespace, pod.name]
        status = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}
        self.server.put("Pod", {**manifest, "spec": {**manifest["spec"], "nodeName": node}, "status": status})
        asyncio.get_running_loop().call_later(STARTING_SECONDS, self._run, pod)

    def delete_pod(self, pod: PodRecord) -> None:
        """Ask a pod to end, as a controller, a user or an eviction does."""
        manifest = self.server.get("Pod", pod.name, pod.namespace)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            return
        if not manifest["spec"].get("nodeName"):
            self.server.delete("Pod", (pod.namespace, pod.name))
            return
        grace = manifest["spec"].get("terminationGracePeriodSeconds", 30)
        ends = (now() + timedelta(seconds=grace)).isoformat()
        metadata = {**manifest["metadata"], "deletionTimestamp": ends, "deletionGracePeriodSeconds": grace}
        self.server.put("Pod", {**manifest, "metadata": metadata})
        asyncio.get_running_loop().call_later(min(ENDING_SECONDS, grace), self._end, pod)

    def _run(self, pod: PodRecord) -> None:
        manifest = self.server.get("Pod", pod.name, pod.namespace)
        if manifest is None or manifest["metadata"]["uid"] != pod.uid:
            return
        if manifest["spec"].get("nodeName") not in self.silent:
            status = {**manifest["status"], "phase": "Running"}
            self.server.put("Pod", {**manifest, "status": status})

    def _end(self, pod: PodRecord) -> None:
        known = self.server.truth.pods.get((pod.namespace, pod.name))
        # A silent kubelet confirms no end: its pods stay Terminating until the Node is deleted.
        if known is not None and known.uid == pod.uid and known.node_name not in self.silent:
            self.server.delete("Pod", (pod.namespace, pod.name))

    def _start_daemon(self, daemon_set: Manifest, node: str) -> None:
        template = daemon_set["spec"]["template"]
        metadata = {"namespace": daemon_set["metadata"]["namespace"], **template["metadata"]}
        spec = {**template["spec"], "nodeName": node}
        self.create_pod({"metadata": metadata, "spec": spec}, owner=daemon_set)

    # --- controllers --------------------------------------------------------------------------------------------

    def _noticed(self, kind: str) -> None:
        if not self._due and kind not in ("NodePool", "AutoscalerPolicy", "Lease"):
            self._due = True
            asyncio.get_running_loop().call_later(REACTION_SECONDS, self._react)

    def _react(self) -> None:
        self._due = False
        self._replicate()
        self._count_disruptions()
        self._schedule()

    def _replicate(self) -> None:
        """Each ReplicaSet gets the pods it wants; the newest, pending ones first, go when there are too many."""
        alive: dict[str, list[PodRecord]] = {}
        for pod in self.server.pods:
            if pod.owner is not None and pod.deletion_timestamp is None:
                alive.setdefault(pod.owner.uid, []).append(pod)
        for replica_set in list(self.server.objects["ReplicaSet"].values()):
            pods = alive.pop(replica_set["metadata"]["uid"], [])
            wanted = replica_set["spec"]["replicas"]
            for _ in range(wanted - len(pods)):
                self.create_pod(replica_set["spec"]["template"], owner=replica_set)
            pods.sort(key=lambda pod: (pod.node_name == "", pod.created_at or now(), pod.name))
            for pod in pods[wanted:]:
                self.delete_pod(pod)
        for uid, pods in alive.items():
            if uid.startswith("replicaset"):
                for pod in pods:
                    self.delete_pod(pod)

    def _count_disruptions(self) -> None:
        for budget in list(self.server.objects["PodDisruptionBudget"].values()):
            allowed = self.disruptions_allowed(budget)
            if budget["status"]["disruptionsAllowed"] != allowed:
                self.server.put("PodDisruptionBudget", {**budget, "status": {"disruptionsAllowed": allowed}})

    def disruptions_allowed(self, budget: Manifest) -> int:
        """How many of the budget's pods may be evicted right now."""
        healthy = sum(
            pod.phase is PodPhase.RUNNING and pod.deletion_timestamp is None and self.covers(budget, pod)
            for pod in self.server.pods
        )
        least: int = budget["spec"]["minAvailable"]
        return max(0, healthy - least)

    @staticmethod
    def covers(budget: Manifest, pod: PodRecord) -> bool:
        wanted = budget["spec"]["selector"]["matchLabels"]
        return pod.namespace == key_of(budget)[0] and wanted.items() <= dict(pod.labels).items()

    # --- the scheduler ------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        picture = self.server.picture()
        if not picture.pending_pods:
            return
        simulation = Simulation.of(picture.nodes, picture.pods_by_node, picture.namespaces)
        score = _avoided(picture.nodes)
        hopeless: set[int] = set()
        for pod in sorted(
            picture.pending_pods, key=lambda pod: (-pod.shape.priority, pod.created_at or now())
        ):
            if pod.shape.number in hopeless:
                self._refuse(pod)
                continue
            fits = np.flatnonzero(simulation.feasible(pod.shape))
            if not fits.size:
                hopeless.add(pod.shape.number)
                self._refuse(pod)
                continue
            # As kube-scheduler by default: the least allocated node, those with soft taints last.
            best = int(fits[np.argmax((simulation.free("cpu") + score)[fits])])
            simulation.place_on(pod.shape, best)
            self.bind(pod, simulation.name(best))

    def _refuse(self, pod: PodRecord) -> None:
        if pod.unschedulable_since is not None:
            return
        manifest = self.server.objects["Pod"][pod.namespace, pod.name]
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "lastTransitionTime": now().isoformat(),
        }
        status = {**manifest["status"], "conditions": [condition]}
        self.server.put("Pod", {**manifest, "status": status})


def _avoided(nodes: tuple[NodeRecord, ...]) -> IntArray:
    soft = [any(t.effect is TaintEffect.PREFER_NO_SCHEDULE for t in node.taints) for node in nodes]
    return np.where(np.array(soft, dtype=np.bool_), -(10**9), 0)


def _texts(resources: Any) -> dict[str, str]:
    return {name: f"{amount}m" if name == "cpu" else str(amount) for name, amount in resources.items()}


def _taints(node: Manifest) -> list[Manifest]:
    return list(node["spec"].get("taints") or ())


def _ready(status: str, at: datetime | None = None) -> Manifest:
    return {"type": "Ready", "status": status, "lastTransitionTime": (at or now()).isoformat()}
