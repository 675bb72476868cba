"""The volume filters: what each says of a node; and, against the plain reference, of random clusters and batches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.cluster.manifests import with_limits
from springtide.cluster.records import NodeRecord, PodRecord
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.packing.packing import pack
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin
from tests.unit.cluster.storage import (
    DRIVER,
    HOSTNAME,
    ZONE,
    capacity,
    claim,
    csi_driver,
    csi_node,
    free_volume,
    objects_of,
    pod,
    resolved,
    storage_class,
    volume,
)
from tests.unit.scheduling.build import node
from tests.unit.scheduling.reference_volumes import ReferenceCluster

Manifest = dict[str, Any]
VOLUME_PLUGINS = {"VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone"}


def nodes_in(*zones: str | None) -> list[NodeRecord]:
    """n0, n1, … in these zones; None: without the label."""
    return [
        node(f"n{n}", labels={HOSTNAME: f"n{n}", **({ZONE: zone} if zone is not None else {})})
        for n, zone in enumerate(zones)
    ]


def simulated(
    nodes: Sequence[NodeRecord], pods: Sequence[PodRecord], storage: Sequence[Manifest]
) -> Simulation:
    by_node: dict[str, list[PodRecord]] = {}
    for each in pods:
        by_node.setdefault(each.node_name, []).append(each)
    return Simulation.of(with_limits(nodes, objects_of(*storage)), by_node)


def misfits(
    one: Manifest, zones: Sequence[str | None], *storage: Manifest, on: Sequence[Manifest] = ()
) -> list[Any]:
    """(plugin, subject) by node; None where the pod fits."""
    asking, *residents = resolved(objects_of(*storage), one, *on)
    simulation = simulated(nodes_in(*zones), residents, storage)
    found = [simulation.misfit(asking.shape, index) for index in range(simulation.size)]
    return [each and (each.plugin.value, each.subject) for each in found]


FAST = storage_class()
LOCAL = storage_class("local", provisioner="kubernetes.io/no-provisioner")
IN_A = {ZONE: ["a"]}


@pytest.mark.parametrize(
    ("zones", "storage", "expected"),
    [
        pytest.param(
            ["a", "b"],
            [claim("c", "pv"), volume("pv", on=IN_A)],
            [None, ("VolumeBinding", f"a volume that is only in {ZONE} in (a)")],
            id="a bound volume in one zone",
        ),
        pytest.param(
            ["a", "b", None],
            [claim("c", "pv"), volume("pv", labels={ZONE: "a"})],
            [None, ("VolumeZone", f"{ZONE} in (a)"), None],
            id="a volume's zone label; nodes without zones pass",
        ),
        pytest.param(
            ["a", "b"],
            [storage_class(zones=[["b", "c"]]), claim("c")],
            [("VolumeBinding", f"storage class fast makes volumes only in {ZONE} in (b, c)"), None],
            id="allowedTopologies",
        ),
        pytest.param(
            ["a", "b"],
            [
                FAST,
                claim("c"),
                csi_driver(),
                capacity("b", topology={"matchLabels": {ZONE: "b"}}, capacity="1Ti"),
            ],
            [("VolumeBinding", "storage class fast has no capacity of 10Gi there"), None],
            id="capacity by zone",
        ),
        pytest.param(
            ["a", "a"],
            [LOCAL, claim("c", of="local"), free_volume("pv", of="local", on={HOSTNAME: ["n1"]})],
            [("VolumeBinding", "storage class local has no free volume there"), None],
            id="a free local volume",
        ),
        pytest.param(
            ["a", "b"],
            [FAST, claim("c", annotations={"volume.kubernetes.io/selected-node": "n1"})],
            [("VolumeBinding", "a claim whose volume is being made for node n1"), None],
            id="provisioning has begun",
        ),
        pytest.param(
            ["a"], [], [("VolumeRestrictions", "claim c does not exist")], id="a claim that is missing"
        ),
    ],
)
def test_where_volumes_let_a_pod_go(
    zones: list[str | None], storage: list[Manifest], expected: list[Any]
) -> None:
    assert misfits(pod("p", "c"), zones, *storage) == expected


def test_what_is_wrong_with_the_whole_pod_comes_before_any_node() -> None:
    asking = pod("p", "gone", nodeSelector={"disk": "ssd"})
    assert misfits(asking, ["a"]) == [("VolumeRestrictions", "claim gone does not exist")]


def test_unless_the_names_it_asks_for_exclude_each_other_already() -> None:
    two = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in ("n0", "n1")]
    term = {"nodeSelectorTerms": [{"matchFields": two}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
    (found,) = misfits(pod("p", "gone", affinity=affinity), ["a"])
    assert found[0] == "NodeAffinity"


def test_an_exclusive_claim_in_use_rejects_on_every_node() -> None:
    storage = [claim("c", "pv", modes=["ReadWriteOncePod"]), volume("pv")]
    found = misfits(pod("p", "c"), ["a", "b"], *storage, on=[pod("q", "c", node="n1")])
    assert found == [("VolumeRestrictions", "ReadWriteOncePod claim default/c")] * 2


def test_an_unshareable_disk_rejects_where_it_is_mounted() -> None:
    disk = {"volumes": [{"name": "v", "gcePersistentDisk": {"pdName": "d"}}]}
    found = misfits(pod("p", **disk), ["a", "b"], on=[pod("q", node="n0", **disk)])
    assert found == [("VolumeRestrictions", "gcePersistentDisk d"), None]


def own(name: str, zone: str | None = None) -> list[Manifest]:
    """A claim with a volume of its own."""
    on = None if zone is None else {ZONE: [zone]}
    return [claim(name, f"pv-{name}"), volume(f"pv-{name}", handle=f"vol-{name}", on=on)]


@pytest.mark.parametrize(
    ("limit", "residents", "asks", "misfit"),
    [
        pytest.param(2, ["r1"], ["c1"], None, id="room for one"),
        pytest.param(1, ["r1"], ["c1"], Misfit(Plugin.NODE_VOLUME_LIMITS, DRIVER, 1, 0), id="full"),
        pytest.param(
            2, ["r1"], ["c1", "c2"], Misfit(Plugin.NODE_VOLUME_LIMITS, DRIVER, 2, 1), id="one too many"
        ),
        pytest.param(None, ["r1", "r2"], ["c1"], None, id="no limit"),
        pytest.param(0, [], ["c1"], Misfit(Plugin.NODE_VOLUME_LIMITS, DRIVER, 1, 0), id="none at all"),
        pytest.param(1, ["r1"], ["r1"], None, id="attached already"),
        pytest.param(1, ["r1", "r2"], ["r1"], None, id="attached already, on an overfull node"),
        pytest.param(1, ["r1"], [], None, id="no volume"),
    ],
)
def test_attached_volumes_are_limited(
    limit: int | None, residents: list[str], asks: list[str], misfit: Misfit | None
) -> None:
    storage = [thing for name in {*residents, *asks} for thing in own(name)] + [csi_node("n0", limit)]
    manifests = [pod("p", *asks), *(pod(f"on-{name}", name, node="n0") for name in residents)]
    asking, *there = resolved(objects_of(*storage), *manifests)
    assert simulated(nodes_in("a"), there, storage).misfit(asking.shape, 0) == misfit


def test_a_shared_volume_is_free_again_when_the_last_pod_that_uses_it_leaves() -> None:
    storage = [*own("r"), *own("c"), csi_node("n0", 1)]
    asking, one, other = resolved(
        objects_of(*storage), pod("p", "c"), pod("q", "r", node="n0"), pod("s", "r", node="n0")
    )
    simulation = simulated(nodes_in("a"), [one, other], storage)
    simulation.remove(one.shape, 0)
    assert simulation.misfit(asking.shape, 0) is not None
    simulation.remove(other.shape, 0)
    assert simulation.misfit(asking.shape, 0) is None


def test_many_pods_with_a_volume_each_fill_nodes_up_to_their_limits() -> None:
    storage = [FAST, csi_node("n0", 3), csi_node("n1", 2)] + [claim(f"c{n}") for n in range(9)]
    pods = resolved(objects_of(*storage), *(pod(f"p{n}", f"c{n}") for n in range(9)))
    (shape,) = {each.shape for each in pods}
    placement = simulated(nodes_in("a", "b"), [], storage).place(shape, 9)
    assert placement.counts.tolist() == [3, 2]


def test_pods_that_choose_among_volumes_take_them_from_each_other() -> None:
    storage = [LOCAL, *(claim(f"c{n}", of="local") for n in range(4))]
    storage += [free_volume(f"pv-{n}", of="local", on=IN_A) for n in range(3)]
    (shape,) = {
        each.shape for each in resolved(objects_of(*storage), *(pod(f"p{n}", f"c{n}") for n in range(4)))
    }
    simulation = simulated(nodes_in("b", "a", "a"), [], storage)
    fork = simulation.fork()
    assert fork.place(shape, 4, only=np.array([True, True, False])).placed == 3
    assert fork.place(shape, 1).placed == 0
    assert simulation.place(shape, 2).placed == 2, "what the fork promised left no trace"


@pytest.mark.parametrize(
    ("storage", "count", "placed", "nodes"),
    [
        pytest.param([FAST], 5, 5, 3, id="two volumes a node"),
        pytest.param([LOCAL], 5, 3, 2, id="no more pods than volumes"),
    ],
)
def test_new_nodes_for_pods_with_volumes(
    storage: list[Manifest], count: int, placed: int, nodes: int
) -> None:
    of = storage[0]["metadata"]["name"]
    storage = [*storage, *(claim(f"c{n}", of=of) for n in range(count))]
    storage += [free_volume(f"pv-{n}", of="local", on=IN_A) for n in range(3)]
    found = resolved(objects_of(*storage), *(pod(f"p{n}", f"c{n}") for n in range(count)))
    (shape,) = {each.shape for each in found}
    limits = {DRIVER: 2, "kubernetes.io/no-provisioner": 2}
    fresh = FreshNode(labels={ZONE: "a"}, allocatable={"pods": 110}, volume_limits=limits)
    packing = pack(fresh, [(shape, count)], max_nodes=9)
    assert (packing.placed, packing.nodes) == ((placed,), nodes)


def test_pods_with_one_disk_get_a_new_node_each() -> None:
    disk = {"volumes": [{"name": "v", "awsElasticBlockStore": {"volumeID": "vol-1"}}]}
    one, two = resolved(objects_of(), pod("p", **disk), pod("q", **disk))
    assert one.shape is two.shape
    assert pack(FreshNode(allocatable={"pods": 110}), [(one.shape, 2)], max_nodes=9).nodes == 2


# --- against the reference --------------------------------------------------------------------------------------------

COPIES = 3


@st.composite
def storages(draw: st.DrawFn) -> list[Manifest]:
    """Two classes, some claims in all states, each several times, volumes that they are bound to or could get."""
    manifests = [storage_class(zones=draw(st.sampled_from([[], [["a"]], [["b"], ["a"]]]))), LOCAL]
    for n in range(draw(st.integers(1, 5))):
        manifests += draw(equal_claims(f"c{n}"))
    for n in range(draw(st.integers(0, 4))):
        on = draw(st.sampled_from([None, {ZONE: ["b"]}, {HOSTNAME: ["n0"]}]))
        of = draw(st.sampled_from(["fast", "local"]))
        size = draw(st.sampled_from(["5Gi", "20Gi"]))
        modes = ["ReadWriteOnce", "ReadWriteOncePod"]
        manifests.append(free_volume(f"free-{n}", of=of, on=on, size=size, modes=modes))
    for n in range(3):
        driver = draw(st.sampled_from([DRIVER, "kubernetes.io/no-provisioner"]))
        manifests.append(csi_node(f"n{n}", draw(st.sampled_from([None, 0, 1, 2, 5])), driver=driver))
    return manifests


@st.composite
def equal_claims(draw: st.DrawFn, name: str) -> list[Manifest]:
    """Claims name.0, name.1, … that differ in name only, with a volume each where they are bound."""
    of, size = draw(st.sampled_from(["fast", "local"])), draw(st.sampled_from(["5Gi", "10Gi"]))
    modes = draw(st.sampled_from([["ReadWriteOnce"], ["ReadWriteOncePod"]]))
    names = [f"{name}.{copy}" for copy in range(COPIES)]
    if not draw(st.booleans()):
        selected = draw(st.sampled_from([None, None, None, "n0"]))
        marks = {} if selected is None else {"volume.kubernetes.io/selected-node": selected}
        return [claim(each, of=of, size=size, modes=modes, annotations=marks) for each in names]
    on = draw(st.sampled_from([None, {ZONE: ["a"]}, {HOSTNAME: ["n0", "n1"]}]))
    labels = draw(st.sampled_from([{}, {ZONE: "a"}, {ZONE: "a__b"}]))
    common, attached = draw(st.booleans()), draw(st.booleans())
    manifests = []
    for each in names:
        handle = ("common" if common else each) if attached else None
        manifests.append(claim(each, f"of-{each}", of=of, size=size, modes=modes))
        manifests.append(volume(f"of-{each}", of=of, on=on, labels=labels, handle=handle))
    return manifests


disks = st.sampled_from(
    [
        {"gcePersistentDisk": {"pdName": "d"}},
        {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
        {"iscsi": {"iqn": "i"}},
        {"rbd": {"monitors": ["m"], "image": "x"}},
    ]
)


@st.composite
def pods_of(draw: st.DrawFn, name: str, node_name: str = "") -> list[Manifest]:
    """Pods that differ in name, and perhaps in that each has claims of its own."""
    claims = draw(st.lists(st.sampled_from([f"c{n}" for n in range(5)]), max_size=3, unique=True))
    mounted = [{"name": f"d{n}", **disk} for n, disk in enumerate(draw(st.lists(disks, max_size=1)))]
    together = draw(st.booleans())
    return [
        pod(
            f"{name}-{copy}",
            *(f"{claimed}.{0 if together else copy}" for claimed in claims),
            node=node_name,
            volumes=mounted,
        )
        for copy in range(COPIES)
    ]


@given(storage=storages(), data=st.data())
def test_every_filter_says_what_the_reference_says(storage: list[Manifest], data: st.DataObject) -> None:
    nodes = with_limits(nodes_in("a", "b", None), objects_of(*storage))
    places = data.draw(st.lists(st.sampled_from(["n0", "n1", "n2"]), max_size=3))
    there = [one for n, place in enumerate(places) for one in data.draw(pods_of(f"on-{n}", place))]
    asking = [one for n in range(2) for one in data.draw(pods_of(f"asking-{n}"))]
    objects = objects_of(*storage)
    records = resolved(objects, *there, *asking)
    residents, pending = records[: len(there)], records[len(there) :]
    by_node: dict[str, list[PodRecord]] = {}
    for each in residents:
        by_node.setdefault(each.node_name, []).append(each)
    reference = ReferenceCluster(objects, nodes, {name: list(pods) for name, pods in by_node.items()})
    simulation = Simulation.of(nodes, by_node)
    for each in pending:
        for index, one in enumerate(nodes):
            assert _rejecting(simulation, each, index) == reference.rejects(each, one)


@given(storage=storages(), data=st.data())
def test_pods_of_a_shape_go_where_they_would_go_one_by_one(
    storage: list[Manifest], data: st.DataObject
) -> None:
    objects = objects_of(*storage)
    nodes = with_limits(nodes_in("a", "b", None), objects)
    runs = data.draw(st.integers(1, 3))
    manifests = [one for n in range(runs) for one in data.draw(pods_of(f"run-{n}"))]
    records = resolved(objects, *manifests)
    reference, simulation = ReferenceCluster(objects, nodes), Simulation.of(nodes, {})
    for shape, run in itertools.groupby(records, key=lambda each: each.shape):
        copies = list(run)
        placement = simulation.place(shape, len(copies))
        together = [nodes[index].name for index in np.repeat(placement.indices, placement.counts)]
        assert together == [name for copy in copies if (name := reference.place(copy))]


def _rejecting(simulation: Simulation, one: PodRecord, index: int) -> set[str]:
    """The volume plugins that reject the pod on the node, each alone; of whole pods the first only."""
    plugins: set[str] = set()
    for each in FILTERS:
        mask = each.mask(one.shape, simulation.state) if each.plugin.value in VOLUME_PLUGINS else None
        if mask is not None and not mask[index]:
            plugins.add(each.plugin.value)
    rejection = one.shape.volumes.rejection if one.shape.volumes is not None else None
    return {rejection.plugin.value} if rejection is not None else plugins
