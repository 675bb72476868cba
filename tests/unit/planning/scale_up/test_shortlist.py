"""The shortlist: of hundreds of candidates the promising are packed, and what is bought is what would have been."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from springtide.api.settings import Expander
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, PodShape
from springtide.planning.expanders.appraisal import Appraisal
from springtide.planning.groups.readiness import assess
from springtide.planning.planner import plan
from springtide.planning.pods.pending import Demand
from springtide.planning.scale_up.catalog import Candidate, Catalog
from springtide.planning.scale_up.shortlist import LEAST_PACKED, MOST_PACKED, Shortlist
from springtide.scheduling.fresh import fresh_node
from tests.unit.planning.world import GIB, group, pending, policy, pool, shape, snapshot, template

GROUPS = 60


def many_groups(count: int = GROUPS) -> list[object]:
    """1 … count vCPU, 4 GiB and 0.05 $ each."""
    return [
        pool(
            f"p{n:03}",
            group(
                f"g{n:03}",
                made_of=template(cpu=1000 * n, memory=4 * n * GIB, price=0.05 * n),
                max_size=1000,
            ),
        )
        for n in range(1, count + 1)
    ]


def listed(
    demands: Sequence[Demand], expander: Expander, *, groups: int = GROUPS
) -> tuple[Shortlist, Sequence[Candidate]]:
    pools = many_groups(groups)
    states = list(assess(snapshot(*pools)).groups.values())  # type: ignore[arg-type]
    catalog = Catalog(
        {state.key: fresh_node(state.group.template, ()) for state in states if state.group.template}
    )
    appraisal = Appraisal(policy(expanders=(expander,)), catalog, states)
    candidates = catalog.candidates(states, [d.shape for d in demands], apart=appraisal.apart)
    return Shortlist(candidates, demands, catalog=catalog, appraisal=appraisal), candidates


def promising(
    demands: Sequence[Demand], expander: Expander, *, groups: int = GROUPS, room: int = 1000
) -> list[str]:
    """The groups in the order in which they are packed, as many as will do."""
    shortlist, candidates = listed(demands, expander, groups=groups)
    left = np.array([demand.count for demand in demands], dtype=np.int64)
    numbers, enough = shortlist.promising(left, lambda _: room)
    return [candidates[number].label for number in numbers[:enough]]


def demand(of: PodShape, count: int) -> Demand:
    return Demand(shape=of, pods=tuple(pending(count, of)))


def alone(app: str) -> PodShape:
    """A shape whose pods keep off each other's nodes."""
    term = PodAffinityTerm(
        topology_key="kubernetes.io/hostname",
        selector=LabelSelector((LabelRequirement("app", SelectorOperator.IN, (app,)),)),
        namespaces=("default",),
    )
    return PodShape(
        number=0,
        namespace="default",
        labels={"app": app},
        requests={"cpu": 1000, "memory": 4 * GIB},
        pod_anti_affinity=(term,),
    )


def test_a_few_candidates_are_all_packed() -> None:
    assert len(promising([demand(shape(1000), 5)], Expander.LEAST_WASTE, groups=MOST_PACKED)) == MOST_PACKED


def test_of_many_only_so_many_as_are_worth_the_time() -> None:
    few_shapes = [demand(shape(1000), 5)]
    many_shapes = [demand(shape(1000 + n, 4 * GIB + n), 1) for n in range(700)]
    assert len(promising(few_shapes, Expander.LEAST_WASTE)) == MOST_PACKED
    assert len(promising(many_shapes, Expander.LEAST_WASTE)) == LEAST_PACKED


@pytest.mark.parametrize(
    ("expander", "demands", "best"),
    [
        pytest.param(
            Expander.LEAST_NODES, [demand(shape(1000), 120)], "g060", id="fewest nodes: the largest ones"
        ),
        pytest.param(
            Expander.LEAST_WASTE,
            [demand(shape(7000, 28 * GIB), 10)],
            "g035",
            id="least waste: that which two rows of five fill to the brim",
        ),
        pytest.param(
            Expander.LEAST_WASTE,
            [demand(alone("lonely"), 50)],
            "g001",
            id="least waste: nodes no larger than a pod that keeps its node for itself",
        ),
        pytest.param(
            Expander.PRICE, [demand(alone("lonely"), 50)], "g001", id="the cheapest for pods that stand alone"
        ),
        pytest.param(
            Expander.MOST_PODS,
            [demand(shape(1000), 50), demand(shape(60_000), 1)],
            "g060",
            id="most pods: the only ones that hold them all",
        ),
    ],
)
def test_the_best_by_the_expander_comes_first(expander: Expander, demands: list[Demand], best: str) -> None:
    names = promising(demands, expander)
    assert best in names
    if expander is not Expander.LEAST_WASTE or best == "g001":
        assert names[0] == best


def test_candidates_without_room_or_takers_are_left_out() -> None:
    assert promising([demand(shape(59_500), 3)], Expander.LEAST_NODES) == ["g060"]
    assert promising([demand(shape(1000), 3)], Expander.LEAST_NODES, room=0) == []


def test_closed_pools_are_not_asked() -> None:
    closed = Demand(shape=shape(1000), pods=tuple(pending(3, shape(1000))), closed_pools=frozenset({"p002"}))
    shortlist, candidates = listed([closed], Expander.LEAST_NODES, groups=3)
    left = np.array([3], dtype=np.int64)
    asking = {candidates[n].label: shortlist.asking(n, left) for n in range(3)}
    assert asking == {"g001": [0], "g002": [], "g003": [0]}


@pytest.mark.parametrize("expander", [Expander.LEAST_WASTE, Expander.LEAST_NODES, Expander.MOST_PODS])
def test_what_is_bought_among_many_groups_is_what_is_bought_among_the_best(expander: Expander) -> None:
    """With the candidates that were not packed taken away altogether, the plan is the same."""
    waiting = [p for n in range(40) for p in pending(3, shape(500 + 170 * n, (1 + n % 7) * GIB))]
    everything = plan(
        snapshot(*many_groups(), waiting=waiting, policies=[policy(expanders=(expander,))])  # type: ignore[arg-type]
    )
    used = {purchase.pool for purchase in everything.purchases}
    assert used
    assert sum(len(purchase.pods) for purchase in everything.purchases) == len(waiting)
    only = plan(
        snapshot(
            *(each for each in many_groups() if each.name in used),  # type: ignore[attr-defined]
            waiting=waiting,
            policies=[policy(expanders=(expander,))],
        )
    )
    bought = {(p.group, p.count) for p in everything.purchases}
    assert {(p.group, p.count) for p in only.purchases} == bought
