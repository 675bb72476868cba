"""What pods' volumes ask of nodes, given the storage objects there are."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.cluster.volumes.mounts import Disk, DiskKind
from springtide.cluster.volumes.needs import Rejection, VolumeNeeds, VolumePlugin, ZoneRequirement
from tests.unit.cluster.storage import (
    DRIVER,
    HOSTNAME,
    ZONE,
    capacity,
    claim,
    csi_driver,
    free_volume,
    objects_of,
    pod,
    resolved,
    storage_class,
    volume,
)

FAST = storage_class()


def needs_of(one: dict[str, Any], *storage: dict[str, Any]) -> VolumeNeeds | None:
    (record,) = resolved(objects_of(*storage), one)
    return record.shape.volumes


def needs(one: dict[str, Any], *storage: dict[str, Any]) -> VolumeNeeds:
    found = needs_of(one, *storage)
    assert found is not None
    return found


EPHEMERAL: dict[str, Any] = {"volumes": [{"name": "scratch", "ephemeral": {}}]}
OWNED = {"ownerReferences": [{"kind": "Pod", "name": "p", "uid": "uid-p", "controller": True}]}


@pytest.mark.parametrize(
    ("one", "storage", "plugin", "subject"),
    [
        pytest.param(pod("p", "gone"), [], "VolumeRestrictions", "claim gone does not exist", id="no claim"),
        pytest.param(
            pod("p", **EPHEMERAL),
            [],
            "VolumeBinding",
            "the claim of ephemeral volume scratch is still to be made",
            id="an ephemeral volume's claim comes later",
        ),
        pytest.param(
            pod("p", **EPHEMERAL),
            [claim("p-scratch", "pv"), volume("pv")],
            "VolumeBinding",
            "claim p-scratch belongs to another pod",
            id="somebody else's claim of that name",
        ),
        pytest.param(
            pod("p", "c"),
            [claim("c", "pv", phase="Lost")],
            "VolumeBinding",
            "claim c has lost its volume pv",
            id="lost",
        ),
        pytest.param(
            pod("p", "c"),
            [claim("c", "pv", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), volume("pv")],
            "VolumeBinding",
            "claim c is being deleted",
            id="deleted",
        ),
        pytest.param(
            pod("p", "c"),
            [claim("c"), storage_class(waits=False)],
            "VolumeBinding",
            "a claim of storage class fast is not bound yet",
            id="immediate binding has not happened",
        ),
        pytest.param(
            pod("p", "c"),
            [claim("c")],
            "VolumeBinding",
            "a claim of storage class fast is not bound yet",
            id="its class does not exist",
        ),
        pytest.param(
            pod("p", "c"),
            [claim("c", of="")],
            "VolumeBinding",
            "a claim without storage class is not bound yet",
            id="no class",
        ),
        pytest.param(
            pod("p", "c"),
            [FAST, claim("c", "pv", bound=False), volume("pv")],
            "VolumeBinding",
            "claim c is not bound to volume pv yet",
            id="half bound",
        ),
        pytest.param(
            pod("p", "c"),
            [claim("c", "pv")],
            "VolumeZone",
            "volume pv of claim c does not exist",
            id="bound to nothing",
        ),
        pytest.param(
            pod("p", "gone", "c"),
            [claim("c", "pv", phase="Lost")],
            "VolumeRestrictions",
            "claim gone does not exist",
            id="the first plugin's word counts",
        ),
    ],
)
def test_pods_that_fit_nowhere(
    one: dict[str, Any], storage: list[dict[str, Any]], plugin: str, subject: str
) -> None:
    assert needs(one, *storage).rejection == Rejection(VolumePlugin(plugin), subject)


def test_only_volume_binding_misses_the_volume_of_an_ephemeral_claim_and_only_node_by_node() -> None:
    found = needs(pod("p", **EPHEMERAL), claim("p-scratch", "pv", metadata=OWNED))
    assert found.rejection == Rejection(
        VolumePlugin.VOLUME_BINDING, "volume pv of claim p-scratch does not exist", before_filters=False
    )


@pytest.mark.parametrize(
    ("one", "storage"),
    [
        pytest.param(pod("p"), [], id="no volume"),
        pytest.param(pod("p", volumes=[{"name": "c", "configMap": {"name": "x"}}]), [], id="other kinds"),
        pytest.param(pod("p", "c"), [claim("c", "pv"), volume("pv")], id="bound, mountable everywhere"),
    ],
)
def test_pods_whose_volumes_ask_for_nothing_keep_their_shape(
    one: dict[str, Any], storage: list[dict[str, Any]]
) -> None:
    assert needs_of(one, *storage) is None


def test_pods_with_a_volume_each_of_the_same_kind_share_a_shape() -> None:
    storage = [
        thing
        for n in range(3)
        for thing in (claim(f"data-{n}", f"pv-{n}"), volume(f"pv-{n}", handle=f"vol-{n}", on={ZONE: ["a"]}))
    ]
    pods = resolved(objects_of(*storage), *(pod(f"db-{n}", f"data-{n}") for n in range(3)))
    (shape,) = {one.shape for one in pods}
    assert shape.volumes is not None
    assert shape.volumes.attaches == ((DRIVER, 1),)
    assert len(shape.volumes.bound) == 1


def test_a_volume_in_another_zone_makes_another_shape() -> None:
    storage = [
        claim("a", "pv-a"),
        claim("b", "pv-b"),
        volume("pv-a", on={ZONE: ["a"]}),
        volume("pv-b", on={ZONE: ["b"]}),
    ]
    first, second = resolved(objects_of(*storage), pod("p", "a"), pod("q", "b"))
    assert first.shape is not second.shape


@pytest.mark.parametrize(
    ("labels", "zones"),
    [
        ({ZONE: "a"}, [(ZONE, ("a",))]),
        ({ZONE: "b__a"}, [(ZONE, ("a", "b"))]),
        (
            {"failure-domain.beta.kubernetes.io/region": "r"},
            [("failure-domain.beta.kubernetes.io/region", ("r",))],
        ),
        ({ZONE: "a__"}, []),
        ({"team": "x"}, []),
    ],
)
def test_zone_labels_of_bound_volumes(
    labels: dict[str, str], zones: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = needs_of(pod("p", "c"), claim("c", "pv"), volume("pv", labels=labels))
    expected = tuple(ZoneRequirement(key, values) for key, values in zones)
    assert (found.zones if found is not None else ()) == expected


@pytest.mark.parametrize(
    ("pods", "storage", "attaches", "shared"),
    [
        pytest.param(
            [pod("p", "c", "d")],
            [claim("c", "pv"), volume("pv", handle="1"), claim("d", "pw"), volume("pw", handle="2")],
            ((DRIVER, 2),),
            (),
            id="two volumes",
        ),
        pytest.param(
            [pod("p", "c"), pod("q", "c")],
            [claim("c", "pv"), volume("pv", handle="1")],
            (),
            ((DRIVER, "1"),),
            id="a claim that another pod uses",
        ),
        pytest.param(
            [pod("p", "c", "d")],
            [claim("c", "pv"), volume("pv", handle="1"), claim("d", "pw"), volume("pw", handle="1")],
            (),
            ((DRIVER, "1"),),
            id="one disk behind two volumes",
        ),
        pytest.param([pod("p", "c")], [FAST, claim("c")], ((DRIVER, 1),), (), id="still to be made"),
        pytest.param(
            [pod("p", "c"), pod("q", "c")],
            [FAST, claim("c")],
            (),
            ((DRIVER, "/default/c"),),
            id="still to be made, for two pods",
        ),
        pytest.param(
            [pod("p", "c")],
            [storage_class(provisioner="kubernetes.io/aws-ebs"), claim("c")],
            ((DRIVER, 1),),
            (),
            id="an in-tree provisioner counts for its CSI driver",
        ),
        pytest.param(
            [pod("p", "c")],
            [claim("c", "pv"), volume("pv", awsElasticBlockStore={"volumeID": "aws://a/vol-1"})],
            ((DRIVER, 1),),
            (),
            id="an in-tree volume counts for its CSI driver",
        ),
        pytest.param(
            [pod("p", volumes=[{"name": "v", "awsElasticBlockStore": {"volumeID": "aws://a/vol-1"}}])],
            [],
            (),
            ((DRIVER, "vol-1"),),
            id="so does a disk without a claim",
        ),
        pytest.param(
            [pod("p", "c")], [claim("c", "pv"), volume("pv", nfs={"server": "x"})], (), (), id="NFS does not"
        ),
    ],
)
def test_what_counts_as_attached(
    pods: list[dict[str, Any]],
    storage: list[dict[str, Any]],
    attaches: tuple[tuple[str, int], ...],
    shared: tuple[tuple[str, str], ...],
) -> None:
    found = resolved(objects_of(*storage), *pods)[0].shape.volumes or VolumeNeeds()
    assert (found.attaches, found.shared) == (attaches, shared)


def test_a_read_write_once_pod_claim_matters_only_when_two_pods_name_it() -> None:
    storage = objects_of(claim("c", "pv", modes=["ReadWriteOncePod"]), volume("pv", on={ZONE: ["a"]}))
    (alone,) = resolved(storage, pod("p", "c"))
    both = resolved(storage, pod("p", "c"), pod("q", "c"))
    assert alone.shape.volumes is not None
    assert alone.shape.volumes.exclusive_claims == ()
    assert {one.shape.volumes.exclusive_claims for one in both if one.shape.volumes} == {("default/c",)}


def test_disks_that_pods_mount_without_a_claim() -> None:
    volumes = [
        {"name": "g", "gcePersistentDisk": {"pdName": "d", "readOnly": True}},
        {"name": "i", "iscsi": {"iqn": "iqn.1", "targetPortal": "t", "lun": 0}},
        {"name": "r", "rbd": {"monitors": ["m2", "m1"], "image": "x"}},
    ]
    assert needs(pod("p", volumes=volumes)).disks == (
        Disk(DiskKind.GCE_PD, "d", read_only=True),
        Disk(DiskKind.ISCSI, "iqn.1"),
        Disk(DiskKind.RBD, "rbd/x", monitors=frozenset({"m1", "m2"})),
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "conflict"),
    [
        (Disk(DiskKind.AWS_EBS, "v", read_only=True), Disk(DiskKind.AWS_EBS, "v", read_only=True), True),
        (Disk(DiskKind.GCE_PD, "v", read_only=True), Disk(DiskKind.GCE_PD, "v", read_only=True), False),
        (Disk(DiskKind.GCE_PD, "v", read_only=True), Disk(DiskKind.GCE_PD, "v"), True),
        (Disk(DiskKind.GCE_PD, "v"), Disk(DiskKind.GCE_PD, "w"), False),
        (Disk(DiskKind.GCE_PD, "v"), Disk(DiskKind.ISCSI, "v"), False),
        (
            Disk(DiskKind.RBD, "r/i", monitors=frozenset("ab")),
            Disk(DiskKind.RBD, "r/i", monitors=frozenset("bc")),
            True,
        ),
        (
            Disk(DiskKind.RBD, "r/i", monitors=frozenset("a")),
            Disk(DiskKind.RBD, "r/i", monitors=frozenset("c")),
            False,
        ),
        (Disk(DiskKind.CINDER, "v"), Disk(DiskKind.CINDER, "v"), False),
    ],
)
def test_which_disks_keep_pods_apart(mine: Disk, theirs: Disk, conflict: bool) -> None:
    assert mine.conflicts(theirs) is theirs.conflicts(mine) is conflict


LOCAL = storage_class("local", provisioner="kubernetes.io/no-provisioner")
WANTED = {"of": "local", "size": "10Gi"}


@pytest.mark.parametrize(
    ("volumes", "spec", "chosen"),
    [
        pytest.param(["pv"], {}, ["pv"], id="free and large enough"),
        pytest.param([("pv", {"size": "9Gi"})], {}, [], id="too small"),
        pytest.param(
            [("large", {"size": "30Gi"}), ("b", {}), ("a", {})], {}, ["a", "b", "large"], id="smallest first"
        ),
        pytest.param([("pv", {"of": "other"})], {}, [], id="another class"),
        pytest.param([("pv", {"phase": "Released"})], {}, [], id="not available"),
        pytest.param([("pv", {"volumeMode": "Block"})], {}, [], id="another mode"),
        pytest.param([("pv", {"volumeMode": "Block"})], {"volumeMode": "Block"}, ["pv"], id="block"),
        pytest.param(["pv"], {"modes": ["ReadWriteMany"]}, [], id="access mode missing"),
        pytest.param(
            [("pv", {"modes": ["ReadWriteOnce", "ReadWriteMany"]})],
            {"modes": ["ReadWriteMany"]},
            ["pv"],
            id="one of its access modes",
        ),
        pytest.param(
            ["plain", ("ssd", {"labels": {"disk": "ssd"}})],
            {"selector": {"matchLabels": {"disk": "ssd"}}},
            ["ssd"],
            id="selector",
        ),
        pytest.param(
            [("pv", {"claim_ref": {"namespace": "default", "name": "other"}})], {}, [], id="another's"
        ),
        pytest.param(
            [
                ("small", {}),
                ("mine", {"size": "50Gi", "claim_ref": {"namespace": "default", "name": "c"}}),
            ],
            {},
            ["mine"],
            id="reserved for it: no other will do",
        ),
        pytest.param(
            [("old", {"claim_ref": {"namespace": "default", "name": "c", "uid": "before"}})],
            {},
            [],
            id="reserved for an earlier claim of the name",
        ),
        pytest.param(
            [("pv", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})], {}, [], id="deleted"
        ),
        pytest.param([("pv", {"volumeAttributesClassName": "gold"})], {}, [], id="another attributes class"),
    ],
)
def test_volumes_that_could_be_bound(volumes: list[Any], spec: dict[str, Any], chosen: list[str]) -> None:
    told = [(entry, {}) if isinstance(entry, str) else entry for entry in volumes]
    free = [
        volume(name, **{"of": "local", "phase": "Available", "on": {HOSTNAME: ["n"]}, **fields})
        for name, fields in told
    ]
    (unbound,) = needs(pod("p", "c"), LOCAL, claim("c", **{**WANTED, **spec}), *free).unbound
    assert ([c.name for c in unbound.pool.candidates] if unbound.pool else []) == chosen
    assert unbound.provisioning is None


def test_smaller_claims_choose_first_and_those_being_made_do_not_choose() -> None:
    found = needs(
        pod("p", "large", "small", "begun"),
        LOCAL,
        claim("large", of="local", size="30Gi"),
        claim("small", of="local", size="5Gi"),
        claim("begun", of="local", annotations={"volume.kubernetes.io/selected-node": "n1"}),
        free_volume("pv", of="local", size="40Gi"),
    )
    assert [each.selected_node for each in found.unbound] == ["n1", None, None]
    assert [each.pool is not None for each in found.unbound] == [False, True, True]
    assert found.one_at_a_time


def test_equal_claims_share_the_volumes_to_choose_from() -> None:
    first, second = resolved(
        objects_of(LOCAL, claim("a", of="local"), claim("b", of="local"), free_volume("pv", of="local")),
        pod("p", "a"),
        pod("q", "b"),
    )
    assert first.shape is second.shape


BIG, SMALL = {"capacity": "20Gi"}, {"capacity": "5Gi"}
IN_A, IN_B = {"matchLabels": {ZONE: "a"}}, {"matchLabels": {ZONE: "b"}}


@pytest.mark.parametrize(
    ("storage", "zones"),
    [
        pytest.param([], None, id="no driver says anything"),
        pytest.param([csi_driver(tracks_capacity=False)], None, id="the driver does not track"),
        pytest.param([csi_driver()], [], id="tracks, but there is none"),
        pytest.param(
            [csi_driver(), capacity("a", topology=IN_A, **BIG), capacity("b", topology=IN_B, **SMALL)],
            ["a"],
            id="enough in one zone",
        ),
        pytest.param(
            [csi_driver(), capacity("a", topology=IN_A, maximumVolumeSize="9Gi", **BIG)],
            [],
            id="the largest volume counts, not what is left in all",
        ),
        pytest.param([csi_driver(), capacity("a", topology={}, **BIG)], None, id="reachable from everywhere"),
        pytest.param([csi_driver(), capacity("a", topology=None, **BIG)], [], id="reachable from nowhere"),
        pytest.param([csi_driver(), capacity("a", topology=IN_A)], [], id="nothing known to be left"),
        pytest.param(
            [csi_driver(), capacity("a", of="slow", topology=IN_A, **BIG)], [], id="of another class"
        ),
    ],
)
def test_where_the_driver_has_capacity(storage: list[dict[str, Any]], zones: list[str] | None) -> None:
    (unbound,) = needs(pod("p", "c"), FAST, claim("c"), *storage).unbound
    assert unbound.provisioning is not None
    roomy = unbound.provisioning.roomy
    assert (None if roomy is None else [term.expressions[0].values[0] for term in roomy]) == zones


def test_a_claim_that_asks_for_no_size_needs_no_capacity() -> None:
    (unbound,) = needs(pod("p", "c"), FAST, claim("c", size=None), csi_driver()).unbound
    assert unbound.provisioning is not None
    assert unbound.provisioning.roomy is None


def test_the_older_annotation_names_the_storage_class() -> None:
    annotated = claim("c", of="slow", annotations={"volume.beta.kubernetes.io/storage-class": "fast"})
    (unbound,) = needs(pod("p", "c"), FAST, annotated).unbound
    assert unbound.class_name == "fast"
