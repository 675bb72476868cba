"""The nearest miss: which group would hold the pod with the fewest changes, and which changes those are."""

from __future__ import annotations

from typing import Any

from springtide.cluster.records import Taint, TaintEffect
from springtide.planning.plan import NearestMiss, PendingOutcome
from springtide.planning.planner import plan
from springtide.reporting import phrases
from tests.unit.planning.world import GIB, group, pending, pool, shape, snapshot, template

DEDICATED = Taint(key="dedicated", value="gpu", effect=TaintEffect.NO_SCHEDULE)


def nearest(*groups: Any, of: Any) -> NearestMiss | None:
    made = plan(snapshot(pool("general", *groups), waiting=pending(1, of)))
    (verdict,) = made.pending
    assert verdict.outcome is PendingOutcome.NO_GROUP
    return verdict.nearest


def told(miss: NearestMiss | None) -> str:
    assert miss is not None
    return phrases.nearest_miss(miss)


def test_the_node_that_is_short_by_least() -> None:
    miss = nearest(
        group("small", made_of=template(cpu=2000)),
        group("large", made_of=template(cpu=8000)),
        of=shape(cpu=9000),
    )
    assert told(miss) == (
        "nearest is general/large: it would do if the pod requested at most 8 cpu instead of 9"
    )


def test_one_change_is_nearer_than_two() -> None:
    miss = nearest(
        group("tainted", made_of=template(cpu=4000, taints=(DEDICATED,))),
        group("tight", made_of=template(cpu=3000, memory=GIB)),
        of=shape(cpu=4000, memory=2 * GIB),
    )
    assert (
        told(miss) == "nearest is general/tainted: it would do if the pod tolerated dedicated=gpu:NoSchedule"
    )


def test_every_change_of_the_nearest_is_named() -> None:
    miss = nearest(
        group("only", made_of=template(cpu=1000, taints=(DEDICATED,))),
        of=shape(cpu=2000, selector={"disk": "ssd"}, extended={"nvidia.com/gpu": 1}),
    )
    assert told(miss) == (
        "nearest is general/only: it would do if the pod tolerated dedicated=gpu:NoSchedule, "
        "its nodes matched disk=ssd, the pod requested at most 1 cpu instead of 2 and 1 more"
    )


def test_a_group_that_fits_but_may_not_grow_misses_by_that_alone() -> None:
    miss = nearest(
        group("full", max_size=0),
        group("small", made_of=template(cpu=500)),
        of=shape(cpu=4000, memory=16 * GIB),
    )
    assert miss is not None
    assert (miss.group, miss.misfits) == ("full", ())
    assert told(miss) == "nearest is general/full: it would do if it could grow (max size reached (max 0))"


def test_a_group_nothing_is_known_of_is_not_near() -> None:
    assert nearest(group("unknown", made_of=None), of=shape()) is None


def test_the_event_tells_it_after_the_reasons() -> None:
    waiting = pending(1, shape(cpu=9000))
    (verdict,) = plan(snapshot(pool("general", group("asg-a")), waiting=waiting)).pending
    assert phrases.not_triggered(verdict).endswith(
        "; nearest is general/asg-a: it would do if the pod requested at most 4 cpu instead of 9"
    )
