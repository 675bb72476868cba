"""The roll of pods tells the same whether it was called before or not, and forgets what is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from springtide.cluster.records import NodeRecord, PodPhase, PodRecord
from springtide.cluster.shape import PodShape
from springtide.scheduling.nodes.roll import Roll
from tests.unit.planning.world import NOW, node, pod

SHAPES: Final = [PodShape(number=0, namespace="default", labels={}, requests={"cpu": n}) for n in range(6)]
NODES: Final[Sequence[NodeRecord]] = [node(name) for name in "abcd"]
_sizes = count(1)

a_pod = st.builds(
    lambda shape, phase, ending: pod(shape, phase=phase, deletion_timestamp=NOW if ending else None),
    st.sampled_from(SHAPES),
    st.sampled_from([PodPhase.RUNNING, PodPhase.SUCCEEDED]),
    st.booleans(),
)
pods_of_a_node = st.lists(a_pod, max_size=4).map(tuple)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), pods_of_a_node), min_size=1, max_size=5))
def test_what_was_called_before_does_not_show(pictures: list[dict[str, tuple[PodRecord, ...]]]) -> None:
    roll, there = Roll(), dict[str, tuple[PodRecord, ...]]()
    for changed in pictures:
        there = {**there, **changed}
        told, anew = roll.call(NODES, there), Roll().call(NODES, there)
        assert (told.kinds.tolist(), told.counts) == (anew.kinds.tolist(), anew.counts)
        assert list(told.numbers.items()) == list(anew.numbers.items())


def test_shapes_that_are_gone_are_not_kept_for_ever() -> None:
    roll = Roll()
    for _ in range(5):
        crowd = tuple(pod(replace(SHAPES[0], labels={"app": str(next(_sizes))})) for _ in range(1000))
        roll.call(NODES, {"a": crowd})
    assert roll.shapes <= 3000


def test_nodes_that_are_gone_are_forgotten() -> None:
    roll = Roll()
    roll.call(NODES, {})
    roll.call(NODES[:1], {})
    assert roll.nodes == {"a"}
