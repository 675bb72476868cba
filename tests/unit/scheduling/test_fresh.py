"""Which daemon pods a new node will carry, and why a pod would not fit it."""

from __future__ import annotations

import pytest

from springtide.cluster.groups import Template
from springtide.cluster.records import DaemonSetRecord, Workload
from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape import HostPort, PodAffinityTerm, PodShape, Toleration, Unmodelled
from springtide.scheduling.fresh import FreshNode, fresh_node, misfit_on_fresh
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin
from tests.unit.scheduling.build import shape, taint, term


def daemon(of: PodShape) -> DaemonSetRecord:
    return DaemonSetRecord(
        workload=Workload(kind="DaemonSet", namespace="kube-system", name="d", uid="d"), shape=of
    )


def template(*taints: str, startup: tuple[str, ...] = ()) -> Template:
    resources = {"cpu": 4000, "memory": 1 << 30, "pods": 10}
    return Template(
        capacity=resources,
        allocatable=resources,
        labels={"disk": "ssd"},
        taints=tuple(taint(text) for text in taints),
        startup_taints=tuple(taint(text) for text in startup),
    )


@pytest.mark.parametrize(
    ("taints", "daemon_shape", "runs"),
    [
        pytest.param((), shape({"cpu": 100}), True, id="anywhere"),
        pytest.param((), shape(node_selector={"disk": "ssd"}), True, id="where its selector matches"),
        pytest.param((), shape(node_selector={"disk": "hdd"}), False, id="not where it does not"),
        pytest.param(
            (), shape(node_affinity=(term("disk NotIn ssd"),)), False, id="nor against its affinity"
        ),
        pytest.param(("team=a:NoSchedule",), shape(), False, id="not behind a taint"),
        pytest.param(
            ("team=a:NoSchedule",),
            shape(tolerations=(Toleration(operator="Exists"),)),
            True,
            id="that it does not tolerate",
        ),
        pytest.param(("team=a:PreferNoSchedule",), shape(), True, id="soft taints do not count"),
        pytest.param(
            ("node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/disk-pressure:NoSchedule"),
            shape(),
            True,
            id="its controller lets it tolerate a node in trouble",
        ),
        pytest.param((), shape({"cpu": 4001}), False, id="not where it can never fit"),
        pytest.param(
            (),
            shape({"cpu": 1}, unmodelled=(Unmodelled.RESOURCE_CLAIMS,)),
            True,
            id="counted when not modelled",
        ),
        pytest.param(
            (),
            shape({"cpu": 1}, pod_affinity=(PodAffinityTerm("zone", LabelSelector()),)),
            True,
            id="counted when it goes where other pods are",
        ),
    ],
)
def test_daemon_sets_run_where_their_controller_puts_them(
    taints: tuple[str, ...], daemon_shape: PodShape, runs: bool
) -> None:
    fresh = fresh_node(template(*taints), [daemon(daemon_shape)])
    assert fresh.daemon_shapes == ((daemon_shape,) if runs else ())


def test_the_daemon_pod_of_higher_priority_gets_the_place() -> None:
    low, high = shape({"cpu": 3000}, priority=1), shape({"cpu": 3000}, priority=9)
    assert fresh_node(template(), [daemon(low), daemon(high)]).daemon_shapes == (high,)


def test_daemon_pods_do_not_share_a_host_port() -> None:
    first, second = (shape(host_ports=(HostPort("TCP", "", 9100),)) for _ in range(2))
    assert fresh_node(template(), [daemon(first), daemon(second)]).daemon_shapes == (first,)


def test_startup_taints_are_not_there_to_stay() -> None:
    fresh = fresh_node(
        template("cni=late:NoExecute", "team=a:NoSchedule", startup=("cni=late:NoExecute",)), []
    )
    assert fresh.taints == (taint("team=a:NoSchedule"),)


AGENT = shape({"cpu": 500}, host_ports=(HostPort("TCP", "", 9100),))


@pytest.mark.parametrize(
    ("one", "misfit"),
    [
        (shape({"cpu": 3500}), None),
        (shape({"cpu": 3501}), Misfit(Plugin.NODE_RESOURCES_FIT, subject="cpu", requested=3501, free=3500)),
        (
            shape({"example.com/gpu": 1}),
            Misfit(Plugin.NODE_RESOURCES_FIT, subject="example.com/gpu", requested=1, free=0),
        ),
        (shape(host_ports=(HostPort("TCP", "", 9100),)), Misfit(Plugin.NODE_PORTS, subject="9100/TCP")),
        (shape(node_selector={"disk": "hdd"}), Misfit(Plugin.NODE_AFFINITY, subject="disk=hdd")),
    ],
)
def test_why_a_pod_does_not_fit_a_new_node(one: PodShape, misfit: Misfit | None) -> None:
    assert misfit_on_fresh(one, fresh_node(template(), [daemon(AGENT)])) == misfit


def test_asking_about_a_fresh_node_does_not_fill_it() -> None:
    fresh = fresh_node(template(), [])
    whole = shape({"cpu": 4000})
    assert [misfit_on_fresh(whole, fresh) for _ in range(2)] == [None, None]


def test_every_new_node_has_its_own_hostname() -> None:
    simulation = Simulation.empty()
    fresh = FreshNode(labels={"kubernetes.io/hostname": "of-the-template"}, allocatable={"pods": 1})
    second = simulation.add_nodes(fresh, 2, prefix="new")[1]
    named = shape(node_selector={"kubernetes.io/hostname": simulation.name(second)})
    assert simulation.feasible(named).tolist() == [False, True]
    further = simulation.add_nodes(fresh, 1, prefix="new")[0]
    assert simulation.feasible(named).tolist() == [False, True, False]
    latecomer = shape(node_selector={"kubernetes.io/hostname": simulation.name(further)})
    assert simulation.feasible(latecomer).tolist() == [False, False, True]
