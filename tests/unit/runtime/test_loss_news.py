"""Instances that clouds took away: each is told once, by whoever was looking, with the Node it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from springtide.actuation.outcome import InstanceLost
from springtide.cluster.groups import Loss, LossCause
from springtide.cluster.snapshot import RemovalInFlight, Snapshot
from springtide.reporting.notes import note_of
from springtide.runtime.losses import REMEMBERED, LossNews
from tests.unit.planning.world import NOW, group, node, pool, snapshot

LOST = Loss("i-a", "cloud:///a", NOW, LossCause.AZ_REBALANCE, "instances were launched to balance instances")


def before() -> Snapshot:
    """Two nodes, nothing lost."""
    return snapshot(pool("general", group(nodes=["a", "b"])), nodes=[node("a"), node("b")])


def after(*losses: Loss, nodes: str = "b", later: timedelta = timedelta(), phase: str = "") -> Snapshot:
    """Node a's instance is gone, and said to be lost."""
    listed = replace(group(nodes=["b"]), losses=losses)
    removals = [RemovalInFlight("a", "general", "asg-a", phase, NOW)] if phase else []
    there = [node(name) for name in nodes]
    return snapshot(pool("general", listed), nodes=there, removals=removals, now=NOW + later)


def test_a_loss_is_told_once_with_its_node_even_though_that_is_gone() -> None:
    news = LossNews()
    assert news.of(before()) == []
    [told] = news.of(after(LOST))
    assert (told.instance, told.node, told.cause) == ("i-a", "a", LossCause.AZ_REBALANCE)
    assert news.of(after(LOST)) == []


def test_a_loss_that_is_explained_late_still_names_the_node() -> None:
    news = LossNews()
    news.of(before())
    news.of(after())
    assert [told.node for told in news.of(after(LOST, later=REMEMBERED))] == ["a"]


def test_what_an_earlier_process_saw_is_not_told_again() -> None:
    news = LossNews()
    assert news.of(after(LOST)) == []
    assert news.of(after(LOST)) == []


def test_a_removal_of_ours_is_no_loss_but_one_that_is_not_that_far_is() -> None:
    told = {}
    for phase in ("Terminating", "Draining"):
        news = LossNews()
        news.of(before())
        told[phase] = len(news.of(after(LOST, nodes="ab", phase=phase)))
    assert told == {"Terminating": 0, "Draining": 1}


def test_the_event_names_instance_node_process_and_quotes_the_cloud() -> None:
    outcome = InstanceLost(
        at=NOW,
        pool="general",
        group="asg-a",
        instance="i-a",
        node="a",
        cause=LossCause.AZ_REBALANCE,
        message="At noon",
    )
    note = note_of(outcome)
    assert note is not None
    assert note.message == (
        "instance i-a of general/asg-a (node a) was taken away, not by Springtide: AZRebalance: At noon"
    )
    assert (note.reason, note.pool, note.node) == ("InstanceLost", "general", "a")
