"""The planner: one pure function from a snapshot to a plan, in Cluster Autoscaler's order of execution.

What exists, what is coming, what has failed; pending pods onto nodes that are there or coming; minimum sizes; scale-up;
scale-down. DryRun pools come last, on a fork: what they would do leaves no trace in what the others do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from springtide.api.settings import Mode
from springtide.cluster.degradation import DegradedMode
from springtide.cluster.snapshot import Snapshot
from springtide.planning.groups.eligibility import Refusal, may_change, may_serve, removals_forbidden
from springtide.planning.groups.families import similar_pools
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.outages import as_degradation
from springtide.planning.groups.passing_taints import with_passing_taints
from springtide.planning.groups.pool_plans import Decisions, of_pools, usage_of_pools
from springtide.planning.groups.readiness import NodeState
from springtide.planning.landscape import GroupKey, Landscape, survey
from springtide.planning.plan import (
    BlockReason,
    ForeignTaintLift,
    NodeVerdict,
    PendingVerdict,
    Plan,
    PlannedCost,
    PoolPlan,
    Purchase,
    SoftTaintChange,
)
from springtide.planning.pods.as_bought import place_as_bought
from springtide.planning.pods.pending import Demand, Pending, sort_out
from springtide.planning.pods.promises import Promises
from springtide.planning.pods.schedulable import place_demands, place_displaced, place_nominated
from springtide.planning.pods.verdicts import of_served
from springtide.planning.scale_down.examined import Examined
from springtide.planning.scale_down.foreign_lifts import lifts
from springtide.planning.scale_down.free_room import FreeRoom
from springtide.planning.scale_down.give_back import (
    NOTHING,
    GivenBack,
    as_dry_run,
    give_back,
)
from springtide.planning.scale_down.soft_taints import changes
from springtide.planning.scale_up.basket import Basket
from springtide.planning.scale_up.catalog import Catalog
from springtide.planning.scale_up.min_size import fill_up
from springtide.planning.scale_up.scale_up import ScaleUp
from springtide.planning.scale_up.searches import Searches
from springtide.planning.situation import Situation, establish
from springtide.planning.wake_up import next_instant
from springtide.planning.workbench import Workbench


def plan(snapshot: Snapshot, *, searches: Searches | None = None, bench: Workbench | None = None) -> Plan:
    """Decide everything that one pass decides. Pure: equal snapshots give equal plans; but for the expander least-cost,
    if `searches` have a clock.

    `searches`: those of the process, which bound the time spent on least-cost, and learn from pass to pass. `bench`: what
    the pass before has left to this one; it changes nothing but the time that planning takes.
    """
    searches = searches if searches is not None else Searches()
    searches.relief = snapshot.relief
    bench = bench if bench is not None else Workbench()
    bench.begin_pass(snapshot.picture)
    snapshot = with_passing_taints(snapshot)
    situation = establish(snapshot)
    landscape = survey(snapshot, situation.readiness, situation.upcoming, bench.ground)
    free_before = FreeRoom.of(landscape)
    ledger = _ledger(situation)
    catalog = Catalog(landscape.fresh)

    pending = _pending(landscape, situation)
    nominated = place_nominated(landscape, pending.nominated)
    place_displaced(landscape, snapshot, situation.readiness)
    active = _buy(situation, Mode.ACTIVE, pending.demands, landscape, ledger, catalog, searches)
    given_back = give_back(
        situation,
        mode=Mode.ACTIVE,
        landscape=landscape,
        free_before=free_before,
        ledger=ledger,
        bought_for=frozenset(purchase.pool for purchase in active.purchases),
        examined=bench.examined,
    )
    dry = _dry_run(situation, active.left, landscape, ledger, catalog, searches, free_before, bench.examined)

    verdicts = {**given_back.verdicts, **dry.nodes}
    return Plan(
        id=snapshot.plan_id,
        now=snapshot.now,
        purchases=active.purchases,
        cancellations=situation.cancellations(),
        removals=given_back.removals,
        unregistered=situation.late_instances(),
        soft_taints=_soft_taints(situation, given_back),
        foreign_taints=_foreign_taints(situation, given_back),
        dry_run_purchases=dry.purchases,
        dry_run_removals=dry.given_back.removals,
        pending=(*pending.verdicts, *nominated, *active.verdicts),
        nodes=verdicts,
        pools=_pools(situation, active, given_back, verdicts, landscape, free_before, ledger),
        costs={**searches.costs(), **active.costs},
        budgets=given_back.budgets,
        cluster_healthy=not situation.unhealthy,
        degradations=(*snapshot.degradations, *as_degradation(situation.outages)),
        wake_at=next_instant(situation, [pending.due_at, given_back.due_at, dry.given_back.due_at]),
    )


# --- steps -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bought:
    purchases: tuple[Purchase, ...]
    left: tuple[Demand, ...]
    """What no group of this mode could help."""
    verdicts: tuple[PendingVerdict, ...]
    costs: Mapping[str, PlannedCost]


@dataclass(frozen=True, slots=True)
class _DryRun:
    purchases: tuple[Purchase, ...]
    given_back: GivenBack
    nodes: dict[str, NodeVerdict]


def _ledger(situation: Situation) -> Ledger:
    ledger = Ledger(situation.states.values(), situation.snapshot.policies)
    for cancelled in situation.cancellations():
        ledger.cancel((cancelled.pool, cancelled.group), cancelled.from_target - cancelled.to_target)
    return ledger


def _pending(landscape: Landscape, situation: Situation) -> Pending:
    snapshot = situation.snapshot
    withdrawn = landscape.simulation.withdrawn
    existing = (
        landscape.simulation.name(number)
        for number in range(landscape.existing_count)
        if not withdrawn[number]
    )
    return sort_out(
        snapshot.picture.pending_pods,
        pools=[pool for pool in snapshot.pools if pool.mode is not Mode.PAUSED],
        node_names=frozenset(existing),
        now=snapshot.now,
        recently_refused=snapshot.recently_refused,
    )


def _buy(
    situation: Situation,
    mode: Mode,
    demands: Sequence[Demand],
    landscape: Landscape,
    ledger: Ledger,
    catalog: Catalog,
    searches: Searches,
) -> _Bought:
    """Bring the pools of a mode to their minimum sizes, use what is there or coming, buy for the rest; changes
    landscape and ledger."""
    snapshot, basket = situation.snapshot, Basket()
    circumstances = situation.circumstances(mode)
    states = list(situation.states.values())
    fill_up(
        [state for state in states if may_change(state, circumstances) is None],
        landscape=landscape,
        ledger=ledger,
        basket=basket,
    )
    placed = place_demands(landscape, demands)
    refusals: dict[GroupKey, Refusal | None] = {
        state.key: may_serve(state, circumstances) for state in states
    }
    promises = Promises(landscape, catalog, ledger, plan_id=snapshot.plan_id)
    bought_for = place_as_bought(landscape, placed.left, snapshot.promised)
    left = promises.keep(bought_for.left, states=states, policies=snapshot.policies)
    run = ScaleUp(
        landscape,
        ledger,
        basket,
        catalog,
        plan_id=f"{snapshot.plan_id}/{mode.value}",
        refusals=refusals,
        searches=searches,
        purpose=mode.value,
    )
    served = run.serve(
        left,
        eligible=[state for state in states if refusals[state.key] is None],
        policies=snapshot.policies,
    )
    verdicts = of_served(served, states=states, refusals=refusals, catalog=catalog, ledger=ledger)
    return _Bought(
        purchases=basket.purchases(situation.states),
        left=tuple(each.left for each in served if each.left.count),
        verdicts=(*placed.verdicts, *bought_for.verdicts, *promises.verdicts, *verdicts),
        costs=run.costs,
    )


def _dry_run(
    situation: Situation,
    left: Sequence[Demand],
    landscape: Landscape,
    ledger: Ledger,
    catalog: Catalog,
    searches: Searches,
    free_before: FreeRoom,
    examined: Examined,
) -> _DryRun:
    """What DryRun pools would do for the pods that the Active ones could not help."""
    if all(pool.mode is not Mode.DRY_RUN for pool in situation.snapshot.pools):
        return _DryRun(purchases=(), given_back=NOTHING, nodes={})
    fork, forked_ledger = landscape.fork(), ledger.fork()
    bought = _buy(situation, Mode.DRY_RUN, left, fork, forked_ledger, catalog, searches)
    given_back = give_back(
        situation,
        mode=Mode.DRY_RUN,
        landscape=fork,
        free_before=free_before,
        ledger=forked_ledger,
        bought_for=frozenset(purchase.pool for purchase in bought.purchases),
        examined=examined,
    )
    return _DryRun(
        purchases=bought.purchases,
        given_back=given_back,
        nodes={name: as_dry_run(verdict) for name, verdict in given_back.verdicts.items()},
    )


def _pools(
    situation: Situation,
    active: _Bought,
    given_back: GivenBack,
    verdicts: Mapping[str, NodeVerdict],
    landscape: Landscape,
    free_before: FreeRoom,
    ledger: Ledger,
) -> Mapping[str, PoolPlan]:
    """The plan as each pool shows it."""
    decisions = Decisions(
        purchases=active.purchases,
        removals=given_back.removals,
        candidates=_candidates(verdicts.values()),
        held=_held(verdicts.values()),
        usage=usage_of_pools(
            situation,
            free_cpu=free_before.by_name(free_before.cpu),
            free_memory=free_before.by_name(free_before.memory),
        ),
        similar=similar_pools(situation.snapshot, landscape.fresh),
    )
    return of_pools(situation, decisions, ledger=ledger)


def _soft_taints(situation: Situation, given_back: GivenBack) -> tuple[SoftTaintChange, ...]:
    snapshot, readiness = situation.snapshot, situation.readiness
    leaving = {removal.node for removal in given_back.removals}
    if removals_forbidden(snapshot) and not _only_the_clock(snapshot):
        return ()
    return changes(
        (
            node
            for node in snapshot.picture.nodes
            if node.name not in leaving and readiness.states[node.name] is not NodeState.BEING_DELETED
        ),
        owners=readiness.owners,
        unneeded_since=given_back.unneeded_since,
        trusted_since=snapshot.unneeded_since,
        frozen_pools=frozenset(
            pool.name for pool in snapshot.pools if pool.mode is not Mode.ACTIVE or pool.left_alone
        ),
    )


def _only_the_clock(snapshot: Snapshot) -> bool:
    """Whether removals are forbidden for nothing but a clock that jumped: then the marks, which hold times, must be
    written anew."""
    forbidding = {each.mode for each in snapshot.degradations if each.forbids_removals and each.pools is None}
    return not snapshot.cluster_autoscaler and forbidding == {DegradedMode.CLOCK_JUMPED}


def _foreign_taints(situation: Situation, given_back: GivenBack) -> tuple[ForeignTaintLift, ...]:
    snapshot = situation.snapshot
    if removals_forbidden(snapshot):
        return ()
    return lifts(
        snapshot.picture.nodes,
        owners=situation.readiness.owners,
        unneeded_since=given_back.unneeded_since,
        snapshot=snapshot,
    )


_HOLDING = frozenset(
    {
        BlockReason.BLOCKED_BY_POD,
        BlockReason.BLOCKED_BY_ON_COMPLETION_POD,
        BlockReason.NO_PLACE_TO_MOVE_PODS,
        BlockReason.NOT_MODELLED,
        BlockReason.SCALE_DOWN_DISABLED_ANNOTATION,
    }
)
"""What keeps an under-used node, and what its owner can do something about."""


def _held(verdicts: Iterable[NodeVerdict]) -> tuple[NodeVerdict, ...]:
    return tuple(
        sorted(
            (v for v in verdicts if v.unneeded_since is None and v.block in _HOLDING),
            key=lambda verdict: verdict.node,
        )
    )


def _candidates(verdicts: Iterable[NodeVerdict]) -> list[NodeVerdict]:
    unneeded = [
        (verdict.unneeded_since, verdict) for verdict in verdicts if verdict.unneeded_since is not None
    ]
    return [verdict for _, verdict in sorted(unneeded, key=lambda entry: (entry[0], entry[1].node))]
