"""Pods are resolved again when, and only when, something that their volumes hang on has changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from springtide.cluster.manifests import add_storage, node_from_manifest, pod_from_manifest, with_volumes
from springtide.cluster.records import PodRecord
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.state import ClusterState
from springtide.cluster.volumes.book import VolumeBook
from springtide.cluster.volumes.needs import VolumeNeeds
from springtide.cluster.volumes.objects import VolumeObjects
from tests.unit.cluster.storage import (
    ZONE,
    capacity,
    claim,
    csi_driver,
    csi_node,
    free_volume,
    pod,
    storage_class,
    volume,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = storage_class("local", provisioner="kubernetes.io/no-provisioner")


class Bench:
    """A book, and what it says of pods as things change."""

    def __init__(self, *manifests: dict[str, Any]) -> None:
        self.objects = VolumeObjects()
        self.shapes = ShapeTable()
        self.book = VolumeBook(self.objects, self.shapes)
        self.pods: dict[str, PodRecord] = {}
        for manifest in manifests:
            self.put(manifest)

    def put(self, manifest: dict[str, Any]) -> list[str]:
        """Names of the pods that were looked at because of it."""
        if manifest["kind"] == "Pod":
            new = pod_from_manifest(manifest, shapes=self.shapes)
            self.book.pod_changed(self.pods.get(new.name), new)
            self.pods[new.name] = new
        else:
            add_storage(self.objects, manifest)
        return self._settled()

    def delete(self, name: str) -> list[str]:
        self.book.pod_changed(self.pods.pop(name), None)
        return self._settled()

    def _settled(self) -> list[str]:
        self.last = {each.name: each for each in self.book.settle()}
        return sorted(self.last)

    def needs(self, name: str) -> VolumeNeeds | None:
        return self.last[name].shape.volumes


def test_a_pod_is_looked_at_when_its_claim_or_its_volume_changes_and_no_other() -> None:
    bench = Bench(pod("p", "a"), pod("q", "b"))
    assert bench.put(claim("a", "pv-a")) == ["p"]
    assert bench.put(volume("pv-a", on={ZONE: ["a"]})) == ["p"]
    assert bench.put(volume("pv-else")) == []
    assert bench.put(claim("else")) == []
    assert bench.put(pod("r")) == []


def test_pods_that_wait_are_looked_at_when_something_of_their_class_changes() -> None:
    bench = Bench(LOCAL, claim("a", of="local"), pod("p", "a"), claim("b", "pv"), volume("pv"), pod("q", "b"))
    assert bench.put(free_volume("local-1", of="local")) == ["p"]
    assert bench.put(volume("local-1", of="local")) == ["p"], "taken by somebody"
    assert bench.put(free_volume("fast-1", of="fast")) == []
    assert bench.put(storage_class("local")) == ["p"]
    assert bench.put(capacity("x", of="local", topology={}, capacity="1Gi")) == ["p"]
    assert bench.put(csi_driver()) == ["p"]


def test_a_second_user_of_a_claim_is_news_to_the_first_and_so_is_its_end() -> None:
    bench = Bench(claim("a", "pv"), volume("pv", handle="h"), pod("p", "a"))
    assert bench.put(pod("q", "a")) == ["p", "q"]
    assert bench.put(pod("r", "a")) == ["r"]
    assert bench.delete("r") == []
    assert bench.delete("q") == ["p"]
    needs = bench.needs("p")
    assert needs is not None
    assert (needs.attaches, needs.shared) == (((("ebs.csi.aws.com"), 1),), ())


def test_a_second_volume_on_the_same_disk_is_news_to_the_first_ones_user() -> None:
    bench = Bench(claim("a", "pv-a"), volume("pv-a", handle="h"), pod("p", "a"))
    assert bench.put(volume("pv-b", handle="h")) == ["p"]
    bench.objects.volumes.delete(("", "pv-b"))
    assert [each.name for each in bench.book.settle()] == ["p"]


def test_a_pod_that_waits_for_a_claim_finds_it() -> None:
    bench = Bench(pod("p", "a"))
    assert bench.put(claim("a", "pv")) == ["p"]
    assert bench.put(volume("pv")) == ["p"]
    assert bench.needs("p") is None


CHANGES = st.sampled_from(
    [
        storage_class(),
        storage_class(waits=False),
        LOCAL,
        *(claim(name, of=of) for name in ("a", "b") for of in ("fast", "local")),
        *(claim(name, "pv", modes=["ReadWriteOncePod"]) for name in ("a", "b")),
        volume("pv", handle="h"),
        volume("pv", on={ZONE: ["a"]}),
        volume("pw", handle="h"),
        free_volume("free", of="local"),
        free_volume("free", of="local", claim_ref={"namespace": "default", "name": "a"}),
        csi_driver(),
        capacity("x", topology={"matchLabels": {ZONE: "a"}}, capacity="1Ti"),
        capacity("x", topology={"matchLabels": {ZONE: "a"}}, capacity="1Gi"),
        pod("p", "a"),
        pod("p", "a", node="n"),
        pod("p"),
        pod("q", "a", "b"),
        pod("q", "b"),
        "p",
        "q",
    ]
)


@given(st.lists(CHANGES, max_size=25))
def test_after_any_changes_all_pods_are_as_if_resolved_afresh(changes: list[Any]) -> None:
    bench = Bench()
    known: dict[str, VolumeNeeds | None] = {}
    for change in changes:
        if not isinstance(change, str):
            if change["kind"] == "Pod":
                known[change["metadata"]["name"]] = None  # its new record takes the resolved one's place
            bench.put(change)
        elif change in bench.pods:
            bench.delete(change)
        else:
            continue
        known.update((name, each.shape.volumes) for name, each in bench.last.items())
    afresh = with_volumes(list(bench.pods.values()), bench.objects, shapes=bench.shapes)
    assert {each.name: _plain(each.shape.volumes) for each in afresh} == {
        each.name: _plain(known.get(each.name)) for each in afresh
    }


def _plain(needs: VolumeNeeds | None) -> object:
    """Pools compare by identity; here their content counts."""
    if needs is None:
        return None
    pools = [claim.pool.candidates if claim.pool is not None else None for claim in needs.unbound]
    fields = (needs.rejection, needs.bound, needs.zones, needs.attaches, needs.shared, needs.exclusive_claims)
    return fields, pools, [(claim.selected_node, claim.provisioning) for claim in needs.unbound]


def test_the_picture_shows_what_volumes_need_and_shares_all_else() -> None:
    state = ClusterState()
    for manifest in (pod("db", "a", node="n1"), pod("web", node="n2"), pod("waits", "gone")):
        record = pod_from_manifest(manifest, shapes=state.shapes)
        state.pods.upsert((record.namespace, record.name), record)
    for manifest in (claim("a", "pv"), volume("pv", on={ZONE: ["a"]})):
        add_storage(state.volumes, manifest)
    before = state.freeze(now=NOW)
    (db,), (waits,) = before.pods_by_node["n1"], before.pending_pods
    assert db.shape.volumes is not None
    assert waits.shape.volumes is not None

    add_storage(state.volumes, volume("pv", on={ZONE: ["b"]}))
    after = state.freeze(now=NOW)
    assert after.version > before.version
    assert after.pods_by_node["n1"][0].shape is not db.shape
    assert after.pods_by_node["n2"] is before.pods_by_node["n2"]
    assert after.pending_pods is before.pending_pods


def test_nodes_carry_the_limits_of_their_csi_nodes_while_those_exist() -> None:
    state = ClusterState()
    for name in ("n1", "n2"):
        state.nodes.upsert(("", name), node_from_manifest({"metadata": {"name": name, "uid": name}}))
    add_storage(state.volumes, csi_node("n1", 25))
    first, second = state.freeze(now=NOW).nodes
    assert (first.volume_limits, second.volume_limits) == ({"ebs.csi.aws.com": 25}, {})
    assert state.freeze(now=NOW).nodes[0] is first
    state.volumes.csi_nodes.delete(("", "n1"))
    assert state.freeze(now=NOW).nodes[0].volume_limits == {}
