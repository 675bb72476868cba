"""Planning again: what has not changed is not planned anew, and nobody can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.api.settings import ScaleDownSettings
from springtide.cluster.groups import InstanceState
from springtide.cluster.records import NodeRecord, PodRecord
from springtide.cluster.snapshot import PoolView, Snapshot
from springtide.planning.again import MOST_AGE, Planner, still_holds
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    NOW,
    ago,
    group,
    instance_of,
    node,
    pending,
    pool,
    running,
    shape,
    snapshot,
)


@dataclass
class Cluster:
    """Two groups of three nodes, one pod on each; what happens to it happens between two snapshots."""

    now: datetime = NOW
    version: int = 1
    unneeded: Mapping[str, datetime] | None = None

    def __post_init__(self) -> None:
        self.nodes: list[NodeRecord] = [node(f"{zone}{n}") for zone in "ab" for n in range(3)]
        self.pods: dict[str, Sequence[PodRecord]] = {
            each.name: running(1, shape(1500)) for each in self.nodes
        }
        self.waiting: list[PodRecord] = []

    def seen(self) -> Snapshot:
        down = ScaleDownSettings(unneeded_time=timedelta(minutes=2))
        groups = [
            group(f"asg-{zone}", nodes=[f"{zone}{n}" for n in range(3)], min_size=1, read_at=self.now)
            for zone in "ab"
        ]
        made = snapshot(
            pool("p", *groups, down=down),
            nodes=self.nodes,
            pods=self.pods,
            waiting=self.waiting,
            now=self.now,
            plan_id=f"plan-{self.now:%H%M%S}",
            unneeded_since=self.unneeded or {},
        )
        return replace(made, picture=replace(made.picture, version=self.version))

    def heard(self, made: Plan) -> None:
        """The engine keeps the timers."""
        self.unneeded = {v.node: v.unneeded_since for v in made.nodes.values() if v.unneeded_since}

    # --- what happens

    def seconds_pass(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def pod_pends(self) -> None:
        self.version += 1
        self.waiting = [*self.waiting, *pending(1, shape(3900), unschedulable_since=self.now)]

    def pods_leave(self) -> None:
        self.version += 1
        self.waiting = []
        self.pods["a0"] = ()

    def node_is_unready(self) -> None:
        self.version += 1
        self.nodes[1] = replace(self.nodes[1], ready=False, ready_changed_at=self.now)


events = st.one_of(
    st.integers(1, 40).map(lambda seconds: ("seconds_pass", seconds)),
    st.sampled_from(["pod_pends", "pods_leave", "node_is_unready"]).map(lambda name: (name,)),
)


def told(made: Plan) -> Any:
    """The plan without the texts that tell how long something has been so."""
    return replace(
        made,
        nodes={name: replace(verdict, detail="") for name, verdict in made.nodes.items()},
        pools={
            name: replace(
                each,
                candidates=tuple(replace(v, detail="") for v in each.candidates),
                held=tuple(replace(v, detail="") for v in each.held),
            )
            for name, each in made.pools.items()
        },
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(events, max_size=12))
def test_the_plans_are_those_that_would_have_been_made(story: list[tuple[Any, ...]]) -> None:
    cluster, planner = Cluster(), Planner()
    for what, *how in [("seconds_pass", 1), *story]:
        getattr(cluster, what)(*how)
        seen = cluster.seen()
        made = planner.plan(seen)
        assert told(made) == told(plan(seen))
        cluster.heard(made)


def quiet() -> tuple[Snapshot, Plan]:
    """A snapshot whose plan has nothing to do: the timers run."""
    cluster = Cluster()
    cluster.heard(plan(cluster.seen()))
    seen = replace(cluster.seen(), unneeded_since=cluster.unneeded or {})
    made = replace(plan(seen), soft_taints=())
    assert made.wake_at is not None
    return seen, made


def after(seen: Snapshot, seconds: float) -> Snapshot:
    return replace(seen, now=seen.now + timedelta(seconds=seconds), plan_id="later")


def test_a_heartbeat_later_it_still_holds() -> None:
    seen, made = quiet()
    assert still_holds(made, made_for=seen, at=after(seen, 10))


def changed(view: PoolView, **fields: Any) -> dict[str, Any]:
    return {"pools": (replace(view, **fields),)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda seen: {"picture": replace(seen.picture, version=9)}, id="the cluster changed"),
        pytest.param(
            lambda seen: {"removals_forbidden": "the picture is too old"}, id="removals are forbidden"
        ),
        pytest.param(lambda seen: {"cluster_autoscaler": "ca-1"}, id="Cluster Autoscaler woke up"),
        pytest.param(lambda seen: {"unneeded_since": {}}, id="timers were lost"),
        pytest.param(lambda seen: {"policies": ()}, id="the policy is gone"),
        pytest.param(lambda seen: changed(seen.pools[0], max_size=3), id="the pool's bounds changed"),
        pytest.param(
            lambda seen: changed(
                seen.pools[0],
                groups=(replace(seen.pools[0].groups[0], target=9), seen.pools[0].groups[1]),
            ),
            id="somebody raised a group's target",
        ),
        pytest.param(
            lambda seen: changed(
                seen.pools[0],
                groups=(
                    replace(
                        seen.pools[0].groups[0],
                        instances=(
                            instance_of("a0", state=InstanceState.DELETING),
                            *seen.pools[0].groups[0].instances[1:],
                        ),
                    ),
                    seen.pools[0].groups[1],
                ),
            ),
            id="an instance is going",
        ),
        pytest.param(
            lambda seen: changed(seen.pools[0], last_scale_up=ago(seconds=1)), id="a cool-down began"
        ),
        pytest.param(lambda seen: {"now": seen.now + MOST_AGE}, id="it is too old"),
        pytest.param(lambda seen: {"now": seen.now - timedelta(seconds=11)}, id="the clock was set back"),
    ],
)
def test_it_does_not_hold_when(change: Any) -> None:
    seen, made = quiet()
    later = after(seen, 10)
    assert not still_holds(made, made_for=seen, at=replace(later, **change(later)))


def test_it_ends_with_the_timer_that_it_waits_for() -> None:
    seen, made = quiet()
    soon = replace(made, wake_at=seen.now + timedelta(seconds=5))
    assert still_holds(soon, made_for=seen, at=after(seen, 4))
    assert not still_holds(soon, made_for=seen, at=after(seen, 5))


def test_a_plan_that_acts_is_never_taken_again() -> None:
    cluster = Cluster()
    cluster.pod_pends()
    seen = cluster.seen()
    made = plan(seen)
    assert made.purchases
    assert not still_holds(made, made_for=seen, at=after(seen, 1))


def test_an_unnumbered_picture_is_never_trusted() -> None:
    seen, made = quiet()
    unnumbered = replace(seen, picture=replace(seen.picture, version=0))
    assert not still_holds(made, made_for=unnumbered, at=after(unnumbered, 1))


def test_ages_of_listings_do_not_matter() -> None:
    seen, made = quiet()
    later = after(seen, 10)
    fresh = replace(
        later.pools[0],
        picture_age=timedelta(seconds=7),
        groups=tuple(replace(each, read_at=later.now) for each in later.pools[0].groups),
    )
    assert still_holds(made, made_for=seen, at=replace(later, pools=(fresh,)))
