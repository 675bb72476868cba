"""In which order nodes are tried to be given back, and that the search ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from springtide.api.settings import ScaleDownSettings
from springtide.cluster.snapshot import PoolView
from springtide.planning.ground import Ground
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.readiness import NodeOwner, NodeState
from springtide.planning.landscape import survey
from springtide.planning.plan import BlockReason
from springtide.planning.planner import plan
from springtide.planning.scale_down.drain_rules import NodeDrain
from springtide.planning.scale_down.node_eligibility import Spare
from springtide.planning.scale_down.unneeded import find
from springtide.planning.scale_down.victims import in_order, rotated
from springtide.planning.situation import establish
from tests.unit.planning.world import (
    NOW,
    ago,
    group,
    instance_of,
    node,
    policy,
    pool,
    running,
    shape,
    snapshot,
    template,
)

AT_ONCE = ScaleDownSettings(max_parallel=1000, max_parallel_drain=1000)


def spare(name: str, *, of: PoolView, group_number: int = 0, used: float = 0.2, pods: int = 1) -> Spare:
    return Spare(
        node=node(name),
        owner=NodeOwner(of, of.groups[group_number], instance_of(name)),
        state=NodeState.READY,
        utilization=used,
        drain=NodeDrain(to_evict=tuple(running(pods, shape(200)))),
        expendable=(),
    )


ONE = pool("one", group("one-a", nodes=["a", "b", "c"]), group("one-b", nodes=["d"]))
TWO = pool("two", group("two-a", nodes=["e", "f"]))
FAMILIES = {("one", "one-a"): "one", ("one", "one-b"): "one", ("two", "two-a"): "two"}


def ledger() -> Ledger:
    return Ledger(establish(snapshot(ONE, TWO)).states.values(), ())


def order(*spares: Spare, since: tuple[str, ...] = ()) -> list[str]:
    known = {name: ago(hours=1) for name in since}
    return [each.node.name for each in in_order(spares, since=known, ledger=ledger(), families=FAMILIES)]


def test_empty_nodes_go_first_then_those_that_were_unneeded_before_then_the_emptiest() -> None:
    nodes = (
        spare("e", of=TWO, used=0.1),
        spare("f", of=TWO, used=0.3),
        spare("a", of=ONE, used=0.4, pods=0),
        spare("b", of=ONE, used=0.2),
    )
    assert order(*nodes, since=("f",)) == ["a", "f", "e", "b"]


def test_within_a_family_the_largest_group_gives_first() -> None:
    nodes = [spare(name, of=ONE, used=0.4) for name in "abc"]
    assert order(*nodes, spare("d", of=ONE, group_number=1, used=0.1)) == ["a", "b", "d", "c"]


@pytest.mark.parametrize(
    ("similar", "goes"),
    [
        pytest.param(True, ["b1", "b2"], id="similar pools are balanced: the larger gives"),
        pytest.param(False, ["a1", "a2"], id="others are not"),
    ],
)
def test_similar_pools_stay_balanced(similar: bool, goes: list[str]) -> None:
    zones = {"a": ["a1", "a2"], "b": ["b1", "b2", "b3", "b4"]}
    pools = [
        pool(
            zone,
            group(f"asg-{zone}", nodes=names, made_of=template(labels={"topology.kubernetes.io/zone": zone})),
            down=AT_ONCE,
        )
        for zone, names in zones.items()
    ]
    names = [name for there in zones.values() for name in there]
    made = plan(
        snapshot(
            *pools,
            nodes=[node(name) for name in names],
            unneeded_since={name: ago(hours=1) for name in names},
            policies=[policy(balance_similar_pools=similar, limits={"min": {"nodes": 4}})],
        )
    )
    assert sorted(removal.node for removal in made.removals) == goes


# --- the end of the search -------------------------------------------------------------------------------------


def test_each_node_comes_first_at_some_time_when_not_all_can_be_asked() -> None:
    victims = [spare(name, of=ONE) for name in "abc"] + [spare(name, of=TWO) for name in "ef"]
    since = {"a": ago(hours=1)}
    firsts: Counter[str] = Counter()
    for second in range(500):
        asked = rotated(victims, since=since, now=NOW + timedelta(seconds=10 * second))
        assert [each.node.name for each in asked[:1]] == ["a"]
        assert sorted(each.node.name for each in asked) == sorted("abcef")
        firsts[asked[1].node.name] += 1
    assert set(firsts) == set("bcef")
    assert min(firsts.values()) > 80


def test_a_node_that_nobody_could_be_asked_about_says_so() -> None:
    names = [f"n{number}" for number in range(20)]
    world = snapshot(
        pool("p", group(nodes=names, max_size=100), down=AT_ONCE), nodes=[node(name) for name in names]
    )
    situation = establish(world)
    owner = replace(world.pools[0])
    spares = [spare(name, of=owner) for name in names]
    found = find(
        spares,
        landscape=survey(world, situation.readiness, situation.upcoming, Ground()),
        ledger=Ledger(situation.states.values(), ()),
        since={"n7": ago(hours=1)},
        now=NOW,
        families=dict.fromkeys(situation.states, "p"),
        max_examined=-1,
    )
    assert found.unneeded == ()
    assert {verdict.block for verdict in found.kept} == {BlockReason.PARALLELISM}
    assert found.kept[0].detail == "not examined in this pass, which has compared 0 places already"
    assert found.victims[0].node.name == "n7"
