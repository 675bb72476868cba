"""Random small clusters and shapes from small vocabularies, so that constraints often meet."""

from __future__ import annotations

from hypothesis import strategies as st

from springtide.cluster.records import NodeRecord, Taint, TaintEffect
from springtide.cluster.shape import (
    HostPort,
    NodeRequirement,
    NodeSelectorOperator,
    NodeSelectorTerm,
    PodShape,
    Toleration,
    Unmodelled,
)
from springtide.scheduling.fresh import FreshNode
from tests.unit.scheduling import build

KEYS = ("zone", "disk", "kubernetes.io/hostname")
VALUES = ("a", "b", "n0", "7", "007", "-3", "1.5", "")
RESOURCES = ("cpu", "memory", "example.com/dongle")
TAINT_KEYS = ("dedicated", "node.kubernetes.io/unschedulable")
NAMES = ("n0", "n1", "n2", "elsewhere")

amounts = st.dictionaries(st.sampled_from(RESOURCES), st.integers(1, 4), max_size=3)
allocatables = st.builds(
    lambda some, pods: {**some, "pods": pods},
    st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 12), max_size=3),
    st.integers(0, 6),
)
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
taints = st.lists(
    st.builds(Taint, st.sampled_from(TAINT_KEYS), st.sampled_from(("", "a")), st.sampled_from(TaintEffect)),
    max_size=2,
).map(tuple)
tolerations = st.lists(
    st.one_of(
        st.builds(
            Toleration,
            key=st.sampled_from(("", *TAINT_KEYS)),
            operator=st.just("Exists"),
            effect=st.sampled_from(("", *(e.value for e in TaintEffect))),
        ),
        st.builds(
            Toleration,
            key=st.sampled_from(TAINT_KEYS),
            operator=st.sampled_from(("", "Equal")),
            value=st.sampled_from(("", "a")),
            effect=st.sampled_from(("", *(e.value for e in TaintEffect))),
        ),
    ),
    max_size=2,
).map(tuple)

_SET = (NodeSelectorOperator.IN, NodeSelectorOperator.NOT_IN)
_PRESENCE = (NodeSelectorOperator.EXISTS, NodeSelectorOperator.DOES_NOT_EXIST)
_ORDER = (NodeSelectorOperator.GT, NodeSelectorOperator.LT)
_some_values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True).map(tuple)
expressions = st.one_of(
    st.builds(NodeRequirement, st.sampled_from(KEYS), st.sampled_from(_SET), _some_values),
    st.builds(NodeRequirement, st.sampled_from(KEYS), st.sampled_from(_PRESENCE)),
    st.builds(
        NodeRequirement, st.sampled_from(KEYS), st.sampled_from(_ORDER), st.sampled_from([("3",), ("-4",)])
    ),
)
name_fields = st.builds(
    NodeRequirement,
    st.just("metadata.name"),
    st.sampled_from(_SET),
    st.sampled_from(NAMES).map(lambda n: (n,)),
)
terms = st.builds(
    NodeSelectorTerm,
    st.lists(expressions, max_size=2).map(tuple),
    st.lists(name_fields, max_size=2).map(tuple),
)
host_ports = st.builds(
    HostPort,
    st.sampled_from(("TCP", "UDP")),
    st.sampled_from(("", "0.0.0.0", "10.0.0.1", "::")),
    st.sampled_from((80, 443)),
)


def rarely(strategy: st.SearchStrategy[object], otherwise: object) -> st.SearchStrategy[object]:
    """Mostly absent: a shape with every constraint at once fits nowhere."""
    return st.one_of(st.just(otherwise), st.just(otherwise), strategy)


shapes: st.SearchStrategy[PodShape] = st.builds(
    build.shape,
    amounts,
    node_selector=rarely(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=1), {}),
    node_affinity=rarely(st.lists(terms, max_size=2).map(tuple), None),
    tolerations=tolerations,
    host_ports=rarely(
        st.lists(host_ports, max_size=2, unique_by=lambda p: (p.protocol, p.port)).map(tuple), ()
    ),
    required_node_name=rarely(rarely(st.sampled_from(NAMES), ""), ""),
    unmodelled=rarely(rarely(st.just((Unmodelled.RESOURCE_CLAIMS,)), ()), ()),
)


@st.composite
def clusters(draw: st.DrawFn) -> list[NodeRecord]:
    return [
        build.node(
            f"n{number}",
            draw(allocatables),
            labels=draw(labels),
            taints=draw(rarely(taints, ())),
            unschedulable=draw(rarely(st.booleans(), False)),
        )
        for number in range(draw(st.integers(0, 5)))
    ]


fresh_nodes = st.builds(
    FreshNode,
    labels=labels,
    taints=rarely(taints, ()),
    allocatable=allocatables,
    daemon_shapes=st.lists(shapes, max_size=1).map(tuple),
)
