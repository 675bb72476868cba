"""Nodes that were bought for pods with rules arrive one by one: nothing is bought twice, and everybody finds a place."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from springtide.cluster.groups import NodeGroup
from springtide.cluster.records import NodeRecord, PodRecord, Taint, TaintEffect
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import GroupMemory, Promise, Snapshot
from springtide.planning.groups.upcoming import remembered
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from tests.unit.planning.test_zones import ABC, ZONE, waiting
from tests.unit.planning.world import NOW, instance_of, node, pool, snapshot
from tests.unit.scheduling.arrangement import Place, admits
from tests.unit.scheduling.companies import app, near, spread

BOOT_TAINT = Taint(key="node.kubernetes.io/not-ready", value="", effect=TaintEffect.NO_SCHEDULE)
STEP = timedelta(seconds=20)


class Story:
    """A cluster that grows from nothing as a first plan said."""

    def __init__(self, pods: list[PodRecord], *, remembers: bool) -> None:
        self.now = NOW
        self.promised: dict[str, Promise] = {}
        self.pending = list(pods)
        self.nodes: dict[str, NodeRecord] = {}
        self.groups = {each.id: each for each in ABC}
        self.on: dict[str, list[PodRecord]] = {}
        self.memory: dict[str, GroupMemory] = {}
        self.first = plan(self.snapshot())
        self.promised = {
            uid: promise
            for purchase in self.first.purchases
            if remembers
            for uid, promise in purchase.promises(self.first.id)
        }
        for purchase in self.first.purchases:
            self.groups[purchase.group] = replace(self.groups[purchase.group], target=purchase.to_target)
            outstanding = remembered(
                since=self.now,
                before=0,
                to=purchase.to_target,
                plan_id=self.first.id,
                missing_before=0,
                registered=0,
            )
            self.memory[purchase.group] = GroupMemory(purchase=outstanding, ever_matched=True)

    def snapshot(self) -> Snapshot:
        memory = {each: self.memory.get(each, GroupMemory(ever_matched=True)) for each in self.groups}
        return snapshot(
            pool("general", *self.groups.values(), memory=memory),
            nodes=list(self.nodes.values()),
            pods=self.on,
            waiting=self.pending,
            now=self.now,
            promised=self.promised,
        )

    def awaited(self) -> list[str]:
        """Groups that wait for a node."""
        return [each.id for each in self.groups.values() if each.target > len(each.instances)]

    def arrive(self, group: str) -> None:
        """A node of the group registers, and is not ready yet."""
        found: NodeGroup = self.groups[group]
        name = f"{group}-{len(found.instances)}"
        self.groups[group] = replace(found, instances=(*found.instances, instance_of(name)))
        assert found.template is not None
        self.nodes[name] = node(
            name,
            labels={**found.template.labels, HOSTNAME_LABEL: name},
            taints=(BOOT_TAINT,),
            ready=False,
            created_at=self.now,
            ready_changed_at=self.now,
        )

    def start_all(self) -> None:
        for name, each in self.nodes.items():
            if not each.ready:
                self.nodes[name] = replace(each, taints=(), ready=True, ready_changed_at=self.now)

    def bind(self, lots: random.Random) -> None:
        """The scheduler binds what it can, in any order, on any node that will do."""
        lots.shuffle(self.pending)
        for each in list(self.pending):
            places = {
                name: Place(n.labels, n.allocatable, [p.shape for p in self.on.get(name, ())])
                for name, n in self.nodes.items()
                if n.ready
            }
            fitting = [name for name, p in places.items() if admits(p, each.shape, list(places.values()))]
            if fitting:
                self.on.setdefault(lots.choice(fitting), []).append(replace(each, unschedulable_since=None))
                self.pending.remove(each)

    def tick(self) -> Plan:
        self.now += STEP
        return plan(self.snapshot())


WEB = app("web", 1000, spreads=(spread("web", key=ZONE),))
EVEN = app("even", 1000, spreads=(spread("even"),))
BOTH = app("both", 1000, spreads=(spread("both", key=ZONE), spread("both")))
LONER = app("loner", 500, anti=(near("loner"),))
LOVERS = app("lovers", 1000, affinity=(near("lovers", key=ZONE),))

DEPLOYMENTS = {
    "a zone spread": [(WEB, 20)],
    "a spread over nodes": [(EVEN, 14)],
    "a spread over both": [(BOTH, 20)],
    "pods that repel their own": [(LONER, 7)],
    "pods that gather in a zone": [(LOVERS, 9)],
}
MIX = [(WEB, 9), (LONER, 5), (LOVERS, 6), (app("plain", 700), 9)]


def pods_of(deployments: list[tuple[PodShape, int]]) -> list[PodRecord]:
    return [each for shape, count in deployments for each in waiting(count, shape)]


@pytest.mark.parametrize("remembers", [True, False], ids=["as bought", "after a restart"])
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_nothing_is_bought_twice_while_nodes_arrive(name: str, remembers: bool) -> None:
    story = Story(pods_of(DEPLOYMENTS[name]), remembers=remembers)
    lots = random.Random(name)
    again = []
    assert story.first.purchases
    while groups := story.awaited():
        story.arrive(lots.choice(groups))
        again += story.tick().purchases
        if lots.random() < 0.5:
            story.start_all()
            again += story.tick().purchases
            story.bind(lots)
            again += story.tick().purchases
    assert not again


def test_nor_when_several_wait_for_their_nodes_together() -> None:
    story = Story(pods_of(MIX), remembers=True)
    lots = random.Random(0)
    while groups := story.awaited():
        story.arrive(lots.choice(groups))
        assert not story.tick().purchases
    story.start_all()
    assert not story.tick().purchases
