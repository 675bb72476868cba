"""Watch events that do not look like the objects they are about, and objects with null where a list is expected."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from springtide.cluster import decode, unreadable
from springtide.cluster.annotations import SCALE_DOWN_DISABLED
from springtide.cluster.codec import EventType, RecordCodec
from springtide.cluster.records import TaintEffect
from springtide.cluster.shape import Unmodelled
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.unreadable import UNREADABLE
from springtide.cluster.volumes import decode as of_volumes
from springtide.cluster.volumes.wire import CsiNodeWire
from springtide.cluster.watching import node_codec, pod_codec
from springtide.cluster.wire import BudgetWire, DaemonSetWire, PodWire

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


# --- objects that cannot be read ------------------------------------------------------------------------------------

NEW_OPERATOR = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Like", "values": ["x*"]}]}]
        }
    }
}


def web(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "41"},
        "spec": {"nodeName": "node-1", **spec},
        "status": {"phase": "Running"},
    }


def page(*items: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"metadata": {"resourceVersion": "50", "continue": "more"}, "items": items})


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        pytest.param(
            web("odd", affinity=NEW_OPERATOR), "'Like' is not a valid NodeSelectorOperator", id="operator"
        ),
        pytest.param(
            web("odd", containers=[{"resources": {"requests": {"cpu": "a lot"}}}]),
            "not a quantity",
            id="quantity",
        ),
        pytest.param(web("odd", tolerations={"key": "a"}), "Expected `array`", id="another type"),
        pytest.param(web("odd", priority=2**40), "Expected `int` <= 2147483647", id="a number beyond int32"),
        pytest.param(web("odd", priority="high"), "Expected `int | null`", id="text for a number"),
    ],
)
def test_a_pod_that_cannot_be_read_hides_no_other_and_keeps_its_node(
    odd: dict[str, Any], reason: str
) -> None:
    read = pod_codec(ShapeTable()).decode_page(page(web("a"), odd, web("b")))
    assert [key for key, _ in read.items] == [("shop", "a"), ("shop", "odd"), ("shop", "b")]
    assert reason in read.unreadable["shop", "odd"]
    assert (read.resource_version, read.continue_token) == ("50", "more")
    stand_in = read.items[1][1]
    assert (stand_in.node_name, stand_in.phase, stand_in.uid) == ("node-1", "Running", "uid-odd")
    assert stand_in.shape.unmodelled == (Unmodelled.UNREADABLE,)


def test_the_same_in_a_watch() -> None:
    odd = {"type": "MODIFIED", "object": web("odd", affinity=NEW_OPERATOR)}
    first, second = pod_codec(ShapeTable()).decode_events(lines(odd, {"type": "ADDED", "object": web("b")}))
    assert first.unreadable
    assert first.item is not None
    assert first.item.shape.unmodelled == (Unmodelled.UNREADABLE,)
    assert (second.key, second.unreadable) == (("shop", "b"), "")
    assert second.item is not None


def test_a_deleted_pod_need_not_be_read() -> None:
    [gone] = pod_codec(ShapeTable()).decode_events(
        lines({"type": "DELETED", "object": web("odd", affinity=NEW_OPERATOR)})
    )
    assert (gone.type, gone.key, gone.item, gone.unreadable) == (EventType.DELETED, ("shop", "odd"), None, "")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"taints": [{"key": "a", "effect": "NoMercy"}]}, id="a taint of a new effect"),
        pytest.param({"taints": 7}, id="another type"),
    ],
)
def test_a_node_that_cannot_be_read_is_there_but_takes_no_pods_and_stays(spec: dict[str, Any]) -> None:
    odd = {
        "metadata": {"name": "node-1", "uid": "uid-1", "labels": {"a": "b"}},
        "spec": {"providerID": "aws:///eu-central-1a/i-1", **spec},
        "status": {"allocatable": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    [(_, node)] = node_codec().decode_page(page(odd)).items
    assert (node.provider_id, node.ready, node.labels) == ("aws:///eu-central-1a/i-1", True, {"a": "b"})
    assert node.annotations == {SCALE_DOWN_DISABLED: "true"}
    assert [(taint.key, taint.effect) for taint in node.taints] == [(UNREADABLE, TaintEffect.NO_SCHEDULE)]
    assert node.allocatable == {}


def test_a_budget_that_cannot_be_read_covers_its_namespace_and_allows_nothing() -> None:
    odd = {
        "metadata": {"name": "odd", "namespace": "shop"},
        "spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}},
        "status": {"disruptionsAllowed": 3},
    }
    codec = RecordCodec(BudgetWire, decode.disruption_budget, stand_in=unreadable.disruption_budget)
    [(_, budget)] = codec.decode_page(page(odd)).items
    assert budget.selector is not None
    assert budget.selector.matches({"any": "pod"})
    assert (budget.namespace, budget.disruptions_allowed) == ("shop", 0)


def test_where_nothing_stands_in_an_object_that_cannot_be_read_is_left_out() -> None:
    read = DAEMON_SET.decode_page(page(web("odd", template=[]), web("good")))
    assert [key for key, _ in read.items] == [("shop", "good")]
    assert list(read.unreadable) == [("shop", "odd")]


def test_an_answer_that_is_no_json_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        POD.decode_page(b'{"items": [{"metadata"')
    with pytest.raises(msgspec.DecodeError):
        POD.decode_events(b'{"type": "ADDED", "object": {\n')
