"""Joint plans: what one policy buys in an attempt, planned anew over all its groups together, at least cost.

The greedy purchases are where the search starts, and what it can never be worse than: every pod they serve stays
served. Nodes with pods whose rules the optimiser cannot express stay as they were bought. What comes out is checked
against every bound on sizes again, and dropped if it breaks one that the search could not know.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from springtide.api.settings import Expander
from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import PolicyView
from springtide.planning.expanders.expanders import Choice
from springtide.planning.groups.limits import Ledger, is_atomic
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.planning.optimizer import Lot as Nodes
from springtide.planning.optimizer import Problem, Solution, cost_of, volume_bound
from springtide.planning.optimizer.linear import LinearProgram, SolverError, highs
from springtide.planning.optimizer.problem import Floats
from springtide.planning.plan import PlannedCost
from springtide.planning.scale_up.buying import Bought, Buying
from springtide.planning.scale_up.joint_problem import NodeKind, Stage, kinds_of
from springtide.planning.scale_up.offers import Contents, Offer
from springtide.planning.scale_up.searches import Searches
from springtide.scheduling.packing.bins import Bin
from springtide.scheduling.packing.packing import Packing

_MOST_PAIRS = 8_000
"""Items times types up to which a greedy plan gets the better of the two bounds: it takes some 30 ms here."""
_MOST_CONSIDERED = 100_000
"""The same, or types times types, up to which it gets either: beyond, even putting the problem together takes longer than
the plan."""
_ROUNDING = 1 - 1e-9
"""Cheaper by less than this is not cheaper."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one policy bought in an attempt."""

    policy: PolicyView
    states: Mapping[GroupKey, GroupState]
    bought: tuple[Bought, ...]

    @property
    def searches(self) -> bool:
        return Expander.LEAST_COST in self.policy.spec.expanders


@dataclass(frozen=True, slots=True)
class Outcome:
    """All purchases of an attempt, some of them planned anew, and what they cost by policy."""

    bought: tuple[Bought, ...]
    costs: Mapping[str, PlannedCost]


def planned_jointly(
    attempt: Buying,
    turns: Sequence[tuple[PolicyView, Sequence[GroupState]]],
    *,
    ledger: Ledger,
    searches: Searches,
    purpose: str,
) -> Outcome:
    """The attempt's purchases, those of policies with the expander least-cost planned anew.

    `ledger`: before the attempt. `purpose`: searches for it learn from each other, and from no others.
    """
    done: list[Bought] = []
    costs: dict[str, PlannedCost] = {}
    for policy, states in turns:
        by_key = {state.key: state for state in states}
        turn = Turn(policy, by_key, tuple(each for each in attempt.bought if each.key in by_key))
        if not turn.bought:
            continue
        others = [each for each in attempt.bought if each.key not in by_key]
        bought, cost = _Replanning(attempt, turn, _with(ledger, others), searches, purpose).run()
        done += bought
        if cost is not None:
            costs[policy.name] = cost
    return Outcome(tuple(done), costs)


def _with(ledger: Ledger, bought: Sequence[Bought]) -> Ledger:
    counted = ledger.fork()
    for each in bought:
        counted.buy(each.key, len(each.nodes))
    return counted


@dataclass
class _Replanning:
    """One policy's turn."""

    attempt: Buying
    turn: Turn
    ledger: Ledger
    """With the purchases of all other policies."""
    searches: Searches
    purpose: str

    def run(self) -> tuple[tuple[Bought, ...], PlannedCost | None]:
        """(the purchases, their cost; None if some price is unknown)."""
        whole = self._stage(self.ledger)
        cost = self._cost(self.turn.bought)
        if not self.turn.searches:
            return self.turn.bought, None if cost is None else self._greedy_cost(whole, cost)
        kept, free = self._split(whole)
        stage = self._stage(_with(self.ledger, kept), atomic=False)
        start, counts = _start(
            free, {key: number for number, kind in enumerate(stage.kinds) for key in kind.keys}
        )
        problem = stage.problem(counts)
        if problem is None:
            return self.turn.bought, None if cost is None else self._greedy_cost(whole, cost)
        solution = self._searched(stage, problem, start, counts)
        bought = self.turn.bought
        if solution.cost < cost_of(problem, start) * _ROUNDING:
            anew = self._bought(stage, solution, free, list(counts))
            bought = (*kept, *anew) if anew is not None else bought
        cost = self._cost(bought)
        if cost is None:
            return bought, None
        if kept:
            # The search knew nothing of their pods; and of the room they take it must not be bounded.
            return bought, self._greedy_cost(whole, cost)
        self.searches.bought(self._name, policy=self.turn.policy.name, cost=cost)
        return bought, PlannedCost(planned=cost, lower_bound=min(solution.lower_bound, cost))

    @property
    def _name(self) -> str:
        return f"{self.purpose}/{self.turn.policy.name}"

    def _stage(self, ledger: Ledger, *, atomic: bool = True) -> Stage:
        """`atomic`: with atomic groups, too. A bound must know them; a search cannot buy from them."""
        candidates = self.attempt.candidates[self.turn.policy.name]
        return Stage(
            catalog=self.attempt.catalog,
            ledger=ledger,
            rulebook=self.attempt.rulebook,
            lots=self.attempt.lots,
            kinds=kinds_of(candidates, self.turn.states, ledger, atomic=atomic),
        )

    # --- what the search may change ---------------------------------------------------------------------------

    def _split(self, stage: Stage) -> tuple[list[Bought], list[Bought]]:
        """(nodes that stay as they are, nodes that may be replaced)."""
        known = {key for kind in stage.kinds for key in kind.keys}
        kept: list[Bought] = []
        free: list[Bought] = []
        for each in self.turn.bought:
            fixed = [
                each.key not in known
                or is_atomic(self.turn.states[each.key].pool)
                or not contents
                or any(not stage.expressible(each.offer.shapes[place]) for place, _ in contents)
                for contents in each.nodes
            ]
            for part, chosen in zip(_parted(each, fixed), (kept, free), strict=True):
                if part is not None:
                    chosen.append(part)
        return kept, free

    # --- the search ---------------------------------------------------------------------------------------------

    def _searched(
        self, stage: Stage, problem: Problem, start: Sequence[Nodes], counts: Mapping[int, int]
    ) -> Solution:
        return self.searches.search(
            self._name,
            problem,
            start,
            names=stage.names(list(counts)),
            seconds=self.turn.policy.spec.planning_budget.total_seconds(),
        )

    def _bought(
        self, stage: Stage, solution: Solution, free: Sequence[Bought], items: Sequence[int]
    ) -> list[Bought] | None:
        """The solution as purchases; None if some bound on sizes does not allow it."""
        pods: defaultdict[int, list[PodRecord]] = defaultdict(list)
        for each in free:
            for lot, taken in each.lots.items():
                pods[lot] += taken
        lots = [
            replace(lot, demand=replace(lot.demand, pods=tuple(pods[number])))
            for number, lot in enumerate(stage.lots)
        ]
        buying = replace(self.attempt, ledger=stage.ledger.fork(), lots=lots, bought=[], left=[])
        story = f"least-cost {solution.cost:.2f} an hour, at most {solution.gap:.1%} above the least possible"
        by_candidate: defaultdict[int, list[tuple[NodeKind, Nodes]]] = defaultdict(list)
        for nodes in solution.lots:
            kind = stage.kinds[nodes.node_type]
            by_candidate[id(kind.candidate)].append((kind, nodes))
        for parts in by_candidate.values():
            offer = self._offer(buying, parts, items)
            if any(buying.ledger.room(*kind.keys).nodes < count for kind, count in _nodes_by_kind(parts)):
                return None
            before = sum(len(each.nodes) for each in buying.bought)
            buying.accept(offer, Choice(option=offer.option, story=story))
            if sum(len(each.nodes) for each in buying.bought) - before != offer.packing.nodes:
                return None
        return None if any(demand.count for demand in buying.left) else buying.bought

    @staticmethod
    def _offer(buying: Buying, parts: Sequence[tuple[NodeKind, Nodes]], items: Sequence[int]) -> Offer:
        asking = sorted({item for _, nodes in parts for item, _ in nodes.pods})
        place = {item: number for number, item in enumerate(asking)}
        placed = [0] * len(asking)
        bins = []
        for kind, nodes in parts:
            contents = tuple((place[item], count) for item, count in nodes.pods)
            bins.append(Bin(nodes=nodes.nodes, contents=contents, site=kind.site))
            for number, count in contents:
                placed[number] += count * nodes.nodes
        packing = Packing(nodes=sum(each.nodes for each in bins), placed=tuple(placed), bins=tuple(bins))
        return Offer.of(parts[0][0].candidate, buying.left, [items[item] for item in asking], packing)

    # --- cost ---------------------------------------------------------------------------------------------------

    def _cost(self, bought: Sequence[Bought]) -> float | None:
        """Per hour; None: a price is unknown."""
        total = 0.0
        for each in bought:
            price = self.turn.states[each.key].group.hourly_price
            if price is None:
                return None
            total += price * len(each.nodes)
        return total

    def _greedy_cost(self, stage: Stage, cost: float) -> PlannedCost:
        """The cost beside the quick bound on what all these pods must cost."""
        counts: Counter[int] = Counter()
        for each in self.turn.bought:
            counts.update({lot: len(pods) for lot, pods in each.lots.items()})
        if max(len(counts), len(stage.kinds)) * len(stage.kinds) > _MOST_CONSIDERED:
            return PlannedCost(planned=cost, lower_bound=min(stage.rough_bound(counts), cost))
        problem = stage.problem(counts)
        if problem is None:
            return PlannedCost(planned=cost, lower_bound=0.0)
        solver = highs if problem.fits.size <= _MOST_PAIRS else _no_solver
        bound = volume_bound(problem, solver=solver)
        return PlannedCost(planned=cost, lower_bound=min(bound, cost))


def _no_solver(_lower: Floats, _upper: Floats) -> LinearProgram:
    raise SolverError("the quick bound must do")


def _nodes_by_kind(parts: Sequence[tuple[NodeKind, Nodes]]) -> list[tuple[NodeKind, int]]:
    counts: Counter[int] = Counter()
    kinds = {}
    for kind, nodes in parts:
        counts[kind.site] += nodes.nodes
        kinds[kind.site] = kind
    return [(kinds[site], count) for site, count in counts.items()]


def _parted(bought: Bought, fixed: Sequence[bool]) -> tuple[Bought | None, Bought | None]:
    """A purchase in two: its nodes that are fixed, and the others; None for a part without nodes."""
    if not any(fixed):
        return None, bought
    if all(fixed):
        return bought, None
    nodes = [
        tuple(n for n, is_fixed in zip(bought.nodes, fixed, strict=True) if is_fixed is wanted)
        for wanted in (True, False)
    ]
    first = _counts(bought.offer, nodes[0])
    return (
        replace(bought, nodes=nodes[0], lots={lot: bought.lots[lot][:count] for lot, count in first.items()}),
        replace(
            bought,
            nodes=nodes[1],
            lots={lot: bought.lots[lot][first[lot] :] for lot in _counts(bought.offer, nodes[1])},
        ),
    )


def _counts(offer: Offer, nodes: Sequence[Contents]) -> Counter[int]:
    """Lot's index -> its pods on these nodes."""
    counts: Counter[int] = Counter()
    for contents in nodes:
        for place, count in contents:
            counts[offer.asking[place]] += count
    return counts


def _start(free: Sequence[Bought], type_of: Mapping[GroupKey, int]) -> tuple[list[Nodes], dict[int, int]]:
    """(the greedy nodes in the optimiser's words, lot's index -> pods; in the order of its items)."""
    counts: Counter[int] = Counter()
    for each in free:
        counts.update(_counts(each.offer, each.nodes))
    item = {lot: number for number, lot in enumerate(sorted(counts))}
    alike: Counter[tuple[int, tuple[tuple[int, int], ...]]] = Counter()
    for each in free:
        for contents in each.nodes:
            pods = _counts(each.offer, [contents])
            on_node = tuple(sorted((item[lot], count) for lot, count in pods.items()))
            alike[type_of[each.key], on_node] += 1
    start = [Nodes(node_type, nodes, pods) for (node_type, pods), nodes in alike.items()]
    return start, {lot: counts[lot] for lot in sorted(counts)}
