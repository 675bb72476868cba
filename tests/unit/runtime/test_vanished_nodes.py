"""Instances whose Node vanished after their cloud was read: left out until a newer listing shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from springtide.cluster.groups import NodeGroup
from springtide.runtime.vanished import REMEMBERED, VanishedNodes
from tests.unit.planning.world import NOW, group, node, snapshot


class Watched:
    """Two nodes, both seen by a pass; node a vanishes two seconds later."""

    def __init__(self) -> None:
        self.now = NOW
        self.nodes = VanishedNodes(lambda: self.now)
        self.see("a", "b")
        self.now += timedelta(seconds=2)
        self.nodes.gone("a")

    def see(self, *names: str) -> None:
        self.nodes.saw(snapshot(nodes=[node(name) for name in names]).picture)

    def listed(self, *, read_at: datetime | None) -> NodeGroup:
        """What is left of the group's listing."""
        return self.nodes.without(replace(group(nodes=["a", "b"]), read_at=read_at))


@pytest.mark.parametrize(
    ("read_after", "left"),
    [
        pytest.param(1, ["i-b"], id="read before: it cannot know"),
        pytest.param(2, ["i-a", "i-b"], id="read then: it runs without a Node"),
        pytest.param(9, ["i-a", "i-b"], id="read later: the same"),
    ],
)
def test_a_listing_speaks_for_an_instance_only_if_it_is_newer_than_its_nodes_end(
    read_after: int, left: list[str]
) -> None:
    watched = Watched()
    listed = watched.listed(read_at=NOW + timedelta(seconds=read_after))
    assert [instance.id for instance in listed.instances] == left
    assert listed.target == 2


def test_an_instance_that_outlived_its_node_is_marked_as_long_as_a_purchase_may_be_waited_for() -> None:
    watched = Watched()
    for _ in range(3):
        watched.now += timedelta(minutes=19)
        watched.see("b")
        listed = watched.listed(read_at=watched.now)
        assert {instance.id: instance.lost_node for instance in listed.instances} == {
            "i-a": True,
            "i-b": False,
        }
    watched.now += timedelta(minutes=19)
    watched.see("b")
    assert not any(instance.lost_node for instance in watched.listed(read_at=watched.now).instances)


def test_a_clock_that_was_set_back_hides_no_instance_for_longer() -> None:
    watched = Watched()
    watched.now -= timedelta(hours=1)
    watched.nodes.clock_jumped(-timedelta(hours=1))
    watched.see("b")
    assert len(watched.listed(read_at=watched.now).instances) == 2


def test_a_node_that_comes_back_was_not_lost() -> None:
    watched = Watched()
    watched.see("a", "b")
    assert len(watched.listed(read_at=NOW).instances) == 2


def test_a_cloud_that_was_not_read_for_long_is_believed_again() -> None:
    watched = Watched()
    watched.now += REMEMBERED
    watched.see("b")
    assert len(watched.listed(read_at=NOW).instances) == 1
    watched.now += timedelta(seconds=1)
    watched.see("b")
    assert len(watched.listed(read_at=NOW).instances) == 2


def test_nodes_of_nobody_and_groups_never_read_are_let_be() -> None:
    watched = Watched()
    watched.nodes.gone("stranger")
    assert len(watched.listed(read_at=None).instances) == 2
