"""ClusterState: every change shows in the next picture and in none before; news wake exactly when they should."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.cluster.manifests import (
    daemon_set_from_manifest,
    disruption_budget_from_manifest,
    lease_from_manifest,
    namespace_from_manifest,
    node_from_manifest,
    pod_from_manifest,
    workload_from_manifest,
)
from springtide.cluster.state import ClusterState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNSCHEDULABLE = {
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


class Cluster:
    def __init__(self):
        self.wakes: list[str] = []
        self.state = ClusterState(wake_up=self.wakes.append)

    def pod(self, name, *, status=None, deleting=False, **spec):
        meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
        if deleting:
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        record = pod_from_manifest({"metadata": meta, "spec": spec, "status": status or {}})
        self.state.pods.upsert(("shop", name), record)

    def node(self, name, *, version="1", **rest):
        manifest = {"metadata": {"name": name, "resourceVersion": version}} | rest
        self.state.nodes.upsert(("", name), node_from_manifest(manifest))

    def node_pool(self, name="general", *, generation=1, status=None, **meta):
        metadata = {"name": name, "uid": name, "generation": generation} | meta
        self.state.node_pools.upsert(("", name), {"metadata": metadata, "status": status or {}})

    def picture(self):
        return self.state.freeze(now=NOW)


@pytest.fixture
def cluster():
    return Cluster()


def keys(pods):
    return [pod.name for pod in pods]


def test_pods_are_where_they_belong(cluster):
    cluster.pod("bound", nodeName="n1")
    cluster.pod("waiting")
    cluster.pod("gated", schedulingGates=[{"name": "g"}])
    cluster.pod("done", nodeName="n1", status={"phase": "Succeeded"})
    cluster.pod("ending", nodeName="n1", deleting=True)
    cluster.pod("never-started", deleting=True)

    picture = cluster.picture()
    assert keys(picture.pods_by_node["n1"]) == ["bound", "ending"]
    assert keys(picture.pending_pods) == ["waiting"]


def test_a_pod_that_is_bound_moves_from_pending_to_its_node(cluster):
    cluster.pod("web")
    before = cluster.picture()
    cluster.pod("web", nodeName="n1")
    after = cluster.picture()
    assert (keys(before.pending_pods), dict(before.pods_by_node)) == (["web"], {})
    assert (keys(after.pending_pods), keys(after.pods_by_node["n1"])) == ([], ["web"])


def test_the_last_pod_of_a_node_takes_its_entry_along(cluster):
    cluster.pod("web", nodeName="n1")
    cluster.picture()
    cluster.state.pods.delete(("shop", "web"))
    assert "n1" not in cluster.picture().pods_by_node


def test_untouched_parts_are_shared_between_pictures(cluster):
    cluster.node("n1")
    cluster.pod("a", nodeName="n1")
    cluster.pod("b", nodeName="n2")
    before = cluster.picture()
    cluster.pod("c", nodeName="n2")
    after = cluster.picture()
    assert after.pods_by_node["n1"] is before.pods_by_node["n1"]
    assert after.nodes is before.nodes
    assert cluster.picture().pods_by_node is after.pods_by_node


def test_a_waiting_pod_keeps_its_turn_when_it_changes(cluster):
    cluster.pod("first")
    cluster.pod("second")
    cluster.pod("first", status=UNSCHEDULABLE)
    assert keys(cluster.picture().pending_pods) == ["first", "second"]


def test_the_version_counts_what_decisions_could_see(cluster):
    cluster.pod("web", nodeName="n1")
    cluster.node("n1")
    version = cluster.state.version

    cluster.pod("web", nodeName="n1", status={"podIP": "10.0.0.1"})
    cluster.node("n1", version="2")
    cluster.node_pool()
    cluster.node_pool(status={"size": {"target": 3}})
    assert cluster.state.version == version + 1, "only the NodePool's appearance counts"

    cluster.node("n1", spec={"unschedulable": True})
    assert cluster.state.version == version + 2


def test_a_heartbeat_leaves_the_same_nodes(cluster):
    cluster.node("n1", version="1")
    before = cluster.picture().nodes
    cluster.node("n1", version="2")
    assert cluster.picture().nodes is before


def test_a_pod_that_comes_again_is_not_held_twice(cluster):
    cluster.pod("web", nodeName="n1")
    (pod,) = cluster.picture().pods_by_node["n1"]
    cluster.pod("web", nodeName="n1", status={"podIP": "10.0.0.1"})
    assert next(iter(cluster.state.pods)) is pod


def test_a_pod_wakes_once_when_it_becomes_unschedulable(cluster):
    cluster.pod("web")
    assert cluster.wakes == []
    cluster.pod("web", status=UNSCHEDULABLE)
    cluster.pod("web", status=UNSCHEDULABLE, priority=1)
    assert cluster.wakes == ["pod shop/web became unschedulable"]


@pytest.mark.parametrize(
    "spec", [{"nodeName": "n1"}, {"schedulingGates": [{"name": "g"}]}, {"deleting": True}]
)
def test_a_pod_that_is_not_pending_never_wakes(cluster, spec):
    cluster.pod("web", status=UNSCHEDULABLE, **spec)
    assert cluster.wakes == []


def test_nodes_wake_when_they_become_ready_or_vanish(cluster):
    cluster.node("n1")
    assert cluster.wakes == []
    cluster.node("n1", status=READY)
    cluster.node("n1", status=READY, spec={"unschedulable": True})
    cluster.state.nodes.delete(("", "n1"))
    assert cluster.wakes == ["node n1 became ready", "node n1 vanished"]


def test_custom_resources_wake_by_what_users_do_not_by_our_status(cluster):
    cluster.node_pool()
    cluster.node_pool(status={"lastProbeTime": "now"})
    cluster.node_pool(labels={"team": "a"})
    cluster.node_pool(generation=2)
    cluster.node_pool(generation=2, deletionTimestamp="2026-01-01T00:00:00Z")
    cluster.state.node_pools.delete(("", "general"))
    assert cluster.wakes == [
        "NodePool general appeared",
        "NodePool general was changed",
        "NodePool general is being deleted",
        "NodePool general is gone",
    ]


def test_the_newest_status_is_in_the_picture_although_it_wakes_nobody(cluster):
    cluster.node_pool()
    cluster.picture()
    cluster.node_pool(status={"size": {"target": 3}})
    (pool,) = cluster.picture().node_pools
    assert pool["status"] == {"size": {"target": 3}}


def test_workloads_by_uid_follow_recreation_and_deletion(cluster):
    def replica_set(uid, replicas=1):
        manifest = {
            "kind": "ReplicaSet",
            "metadata": {"name": "web", "uid": uid},
            "spec": {"replicas": replicas},
        }
        cluster.state.workloads["ReplicaSet"].upsert(("", "web"), workload_from_manifest(manifest))

    replica_set("old")
    replica_set("new", 2)
    daemon_set = daemon_set_from_manifest({"metadata": {"name": "agent", "uid": "ds"}})
    cluster.state.daemon_sets.upsert(("", "agent"), daemon_set)
    picture = cluster.picture()
    assert {uid: w.replicas for uid, w in picture.workloads.items()} == {"new": 2, "ds": 0}
    assert picture.daemon_sets == (daemon_set,)

    cluster.state.daemon_sets.delete(("", "agent"))
    cluster.state.workloads["ReplicaSet"].delete(("", "web"))
    assert cluster.picture().workloads == {}


def test_budgets_and_the_newest_lease(cluster):
    budget = disruption_budget_from_manifest({"metadata": {"name": "b"}})
    cluster.state.disruption_budgets.upsert(("", "b"), budget)
    for namespace, renewed in (
        ("old", "2026-01-01T00:00:00Z"),
        ("kube-system", "2026-01-02T00:00:00Z"),
        ("x", None),
    ):
        lease = {
            "metadata": {"name": "cluster-autoscaler", "namespace": namespace},
            "spec": {"renewTime": renewed},
        }
        cluster.state.leases.upsert((namespace, "cluster-autoscaler"), lease_from_manifest(lease))
    picture = cluster.picture()
    assert picture.disruption_budgets == (budget,)
    assert picture.ca_lease.namespace == "kube-system"


def test_namespaces_and_their_labels_are_a_change_that_decisions_see(cluster):
    def upsert(**labels):
        manifest = {"metadata": {"name": "shop", "labels": labels}}
        cluster.state.namespaces.upsert(("", "shop"), namespace_from_manifest(manifest))

    upsert(team="red")
    first = cluster.picture()
    upsert(team="red")
    assert cluster.picture().version == first.version
    upsert(team="blue")
    second = cluster.picture()
    assert (first.namespaces, second.namespaces) == ({"shop": {"team": "red"}}, {"shop": {"team": "blue"}})
    assert second.version > first.version
    cluster.state.namespaces.delete(("", "shop"))
    assert cluster.picture().namespaces == {}


def test_nodes_come_in_the_order_of_their_names(cluster):
    for name in ("n2", "n10", "n1"):
        cluster.node(name)
    assert [node.name for node in cluster.picture().nodes] == ["n1", "n10", "n2"]


POD_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d"]),
        st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {
                    "nodeName": st.sampled_from(["", "n1", "n2"]),
                    "phase": st.sampled_from(["Pending", "Running", "Succeeded"]),
                    "deleting": st.booleans(),
                    "freeze": st.booleans(),
                }
            ),
        ),
    ),
    max_size=30,
)


@given(POD_CHANGES)
def test_whatever_happens_the_picture_equals_one_taken_from_scratch(changes):
    cluster, truth, promised = Cluster(), {}, []
    for name, change in changes:
        if change is None:
            cluster.state.pods.delete(("shop", name))
            truth.pop(name, None)
            continue
        args = {
            "nodeName": change["nodeName"],
            "status": {"phase": change["phase"]},
            "deleting": change["deleting"],
        }
        cluster.pod(name, **args)
        truth[name] = args
        if change["freeze"]:
            picture = cluster.picture()
            promised.append((picture, shown(picture)))

    fresh = Cluster()
    for name, args in truth.items():
        fresh.pod(name, **args)
    assert shown(cluster.picture()) == shown(fresh.picture())
    for picture, as_it_was in promised:
        assert shown(picture) == as_it_was, "a picture never changes after it was taken"


def shown(picture):
    bound = {node: [pod.key for pod in pods] for node, pods in picture.pods_by_node.items()}
    return bound, sorted(pod.key for pod in picture.pending_pods)
