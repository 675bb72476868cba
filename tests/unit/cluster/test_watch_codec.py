"""Watch events that do not look like the objects they are about, and objects with null where a list is expected."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from springtide.cluster import decode
from springtide.cluster.codec import EventType, RecordCodec
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.volumes import decode as of_volumes
from springtide.cluster.volumes.wire import CsiNodeWire
from springtide.cluster.wire import DaemonSetWire, PodWire

POD = RecordCodec(PodWire, partial(decode.pod_record, shapes=ShapeTable()))
DAEMON_SET = RecordCodec(DaemonSetWire, partial(decode.daemon_set_record, shapes=ShapeTable()))


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def bookmark(**fields: Any) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "42"}, **fields}}


@pytest.mark.parametrize(
    ("codec", "event"),
    [
        # As kube-apiserver 1.36 sends them: Go's zero value of the kind, in which required lists are null.
        pytest.param(POD, bookmark(kind="Pod", spec={"containers": None}, status={}), id="pod"),
        pytest.param(
            DAEMON_SET,
            bookmark(kind="DaemonSet", spec={"selector": None, "template": {"spec": {"containers": None}}}),
            id="daemon set",
        ),
    ],
)
def test_a_bookmark_is_read_for_its_version_only(codec: RecordCodec[Any, Any], event: dict[str, Any]) -> None:
    [seen] = codec.decode_events(lines(event))
    assert (seen.type, seen.resource_version, seen.item) == (EventType.BOOKMARK, "42", None)


def test_what_comes_in_the_same_chunk_is_read_as_well() -> None:
    added = {
        "type": "ADDED",
        "object": {"metadata": {"name": "web", "namespace": "shop", "resourceVersion": "41"}},
    }
    first, second = POD.decode_events(lines(added, bookmark(spec={"containers": None})))
    assert (first.type, first.key) == (EventType.ADDED, ("shop", "web"))
    assert first.item is not None
    assert second.resource_version == "42"


def test_a_node_on_which_no_csi_driver_has_registered_yet_is_read() -> None:
    """Its list of drivers is null: one such node must not spoil the list of all."""
    codec = RecordCodec(CsiNodeWire, of_volumes.csi_node)
    driver = {"name": "disk.example.com", "nodeID": "b", "allocatable": {"count": 25}}
    items = [
        {"metadata": {"name": "a"}, "spec": {"drivers": None}},
        {"metadata": {"name": "b"}, "spec": {"drivers": [driver]}},
    ]
    page = codec.decode_page(msgspec.json.encode({"metadata": {"resourceVersion": "42"}, "items": items}))
    assert [dict(record.volume_limits) for _, record in page.items] == [{}, {"disk.example.com": 25}]
