"""Random shapes with rules between pods, and clusters where these rules often meet."""

from __future__ import annotations

from hypothesis import strategies as st

from springtide.cluster.records import NodeRecord
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint
from springtide.scheduling.fresh import FreshNode
from tests.unit.scheduling import build
from tests.unit.scheduling.worlds import host_ports, rarely, taints, terms, tolerations

HOST = "kubernetes.io/hostname"
TOPOLOGIES = ("zone", HOST, "rack")
NAMESPACES = {"default": {"team": "red"}, "other": {"team": "blue"}}

_pod_labels = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b")), max_size=2)
_values = st.lists(st.sampled_from(("a", "b")), min_size=1, max_size=2, unique=True).map(tuple)
_requirements = st.one_of(
    st.builds(
        LabelRequirement,
        st.sampled_from(("app", "tier")),
        st.sampled_from((SelectorOperator.IN, SelectorOperator.IN, SelectorOperator.NOT_IN)),
        _values,
    ),
    st.builds(
        LabelRequirement,
        st.just("tier"),
        st.sampled_from((SelectorOperator.EXISTS, SelectorOperator.DOES_NOT_EXIST)),
    ),
)
_selectors = st.one_of(
    st.lists(_requirements, min_size=1, max_size=2).map(lambda r: LabelSelector(tuple(r))),
    st.lists(_requirements, max_size=2).map(lambda r: LabelSelector(tuple(r))),
    st.none(),
)
_namespace_selectors = st.sampled_from(
    (
        None,
        None,
        LabelSelector(),
        LabelSelector((LabelRequirement("team", SelectorOperator.IN, ("blue",)),)),
        LabelSelector((LabelRequirement("team", SelectorOperator.NOT_IN, ("blue",)),)),
        LabelSelector(
            (LabelRequirement("kubernetes.io/metadata.name", SelectorOperator.IN, ("other", "new")),)
        ),
    )
)
_terms = st.builds(
    PodAffinityTerm,
    st.sampled_from(TOPOLOGIES),
    _selectors,
    st.sampled_from((("default",), ("default",), ("default", "other"), ())),
    _namespace_selectors,
)
_spreads = st.builds(
    SpreadConstraint,
    st.sampled_from(TOPOLOGIES),
    st.integers(1, 3),
    _selectors,
    st.sampled_from((1, 1, 1, 2, 4)),
    st.booleans(),
    st.booleans(),
)
_few = {"max_size": 2}

shapes: st.SearchStrategy[PodShape] = st.builds(
    build.shape,
    st.dictionaries(st.just("cpu"), st.integers(1, 3), max_size=1),
    namespace=st.sampled_from(("default", "default", "other", "new")),
    labels=_pod_labels,
    node_selector=rarely(rarely(st.just({"zone": "a"}), {}), {}),
    node_affinity=rarely(rarely(st.lists(terms, max_size=2).map(tuple), None), None),
    tolerations=tolerations,
    host_ports=rarely(rarely(st.lists(host_ports, max_size=1).map(tuple), ()), ()),
    pod_affinity=rarely(st.lists(_terms, max_size=2).map(tuple), ()),
    pod_anti_affinity=rarely(st.lists(_terms, max_size=2).map(tuple), ()),
    spread=rarely(st.lists(_spreads, max_size=2).map(tuple), ()),
)

_labels = st.fixed_dictionaries(
    {},
    optional={
        "zone": st.sampled_from(("a", "a", "b", "c")),
        "rack": st.sampled_from(("r1", "r2", "r3")),
    },
)
_allocatables = st.builds(lambda cpu, pods: {"cpu": cpu, "pods": pods}, st.integers(0, 12), st.integers(0, 8))


@st.composite
def clusters(draw: st.DrawFn) -> list[NodeRecord]:
    nodes = []
    for number in range(draw(st.integers(1, 7))):
        name = f"n{number}"
        host = draw(st.sampled_from(({HOST: name}, {HOST: name}, {HOST: name}, {HOST: "n0"}, {})))
        nodes.append(
            build.node(
                name,
                draw(_allocatables),
                labels={**draw(_labels), **host},
                taints=draw(rarely(taints, ())),
            )
        )
    return nodes


fresh_nodes = st.builds(
    FreshNode,
    labels=_labels,
    taints=rarely(taints, ()),
    allocatable=_allocatables,
    daemon_shapes=st.lists(shapes, max_size=1).map(tuple),
)
