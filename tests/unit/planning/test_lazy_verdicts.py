"""Verdicts on groups are made when they are read, and are then as if they had always been there."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from springtide.planning.plan import GroupRefusal, GroupVerdict, PendingOutcome
from springtide.planning.planner import plan
from springtide.planning.pods.verdicts import GroupVerdicts
from tests.unit.planning.world import group, pending, pool, shape, snapshot

A, B = GroupVerdict(pool="p", group="a", used=True), GroupVerdict(pool="p", group="b", used=True)


def test_nothing_is_made_before_somebody_reads() -> None:
    asked = []

    def make() -> Iterator[GroupVerdict]:
        asked.append(1)
        yield A

    verdicts = GroupVerdicts(make)
    assert not asked
    assert list(verdicts) == [A]
    assert verdicts[0] == A
    assert asked == [1]


def test_it_compares_and_hashes_as_the_tuple() -> None:
    verdicts = GroupVerdicts(lambda: [A, B])
    assert verdicts == (A, B)
    assert verdicts == GroupVerdicts(lambda: [A, B])
    assert verdicts != GroupVerdicts(lambda: [B])
    assert hash(verdicts) == hash((A, B))
    assert verdicts[:1] == (A,)
    assert repr(verdicts) == repr((A, B))


def test_a_recorded_plan_holds_the_tuple() -> None:
    assert pickle.loads(pickle.dumps(GroupVerdicts(lambda: [A, B]))) == (A, B)


@pytest.mark.parametrize("first", [True, False])
def test_read_late_it_says_what_was_true_when_the_plan_was_made(first: bool) -> None:
    """The ledger goes on counting removals, and the DryRun pools' purchases, after the verdicts were given."""
    full = pool("full", group("a", nodes=["n1"], max_size=1))
    made = plan(snapshot(full, pool("p", group("b", max_size=2)), waiting=pending(3, shape(3000))))
    unserved = next(each for each in made.pending if each.outcome is PendingOutcome.NO_GROUP)
    order = unserved.groups if first else tuple(reversed(unserved.groups))
    assert {verdict.refusal for verdict in order} == {GroupRefusal.MAX_REACHED}
    assert [verdict.detail for verdict in unserved.groups] == ["max 1", "max 2"]
