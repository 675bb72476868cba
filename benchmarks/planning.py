"""One planning workload measured in this process: the snapshot is built, planned, and planned again until nothing more
is bought, with the purchases of the pass before on their way."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from benchmarks.check import Verified, verify
from benchmarks.manifests import GIB, pod
from benchmarks.scene import Built, Pool, Scene, build, group
from springtide.cluster.snapshot import GroupMemory, PoolView, Snapshot
from springtide.planning.groups.upcoming import remembered
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from springtide.planning.scale_up.searches import Searches
from springtide.runtime.garbage import look_seldom, spare_what_is_here

MOST_PASSES = 100
BACKGROUND_SECONDS = 30.0
"""Of search in all, the first pass' and the second's planning budgets included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Figures of one workload; times in seconds, of the first pass alone where not said otherwise."""

    wall_s: float
    cpu_s: float
    snapshot_wall_s: float
    snapshot_cpu_s: float
    quiet_cpu_s: float
    """The pass after the last that bought something: it finds everything on its way."""
    peak_rss_mib: float
    passes: int
    """That bought something."""
    background_cost: float | None
    """$/h of the first pass' purchases if it were made again after BACKGROUND_SECONDS of search in all; None: nothing
    is searched for."""
    plan_bound: float | None
    """The lower bound that the plan itself proves, $/h."""
    verified: Verified


def measure(scene: Scene) -> Measured:
    """Run it. To be called once in a fresh process, or the peak of memory is another's."""
    warm_up()
    built = build(scene)
    settle()
    searches = Searches(time.monotonic)
    plans: list[Plan] = []
    snapshot, times = built.snapshot, []
    while len(plans) < MOST_PASSES:
        began, cpu = time.perf_counter(), time.process_time()
        made = plan(snapshot, searches=searches)
        times.append((time.perf_counter() - began, time.process_time() - cpu))
        plans.append(made)
        if not made.purchases:
            break
        snapshot = after(snapshot, made)
    return _measured(built, plans, times)


def _measured(built: Built, plans: list[Plan], times: list[tuple[float, float]]) -> Measured:
    peak = peak_rss_mib()
    return Measured(
        background_cost=_background_cost(built.snapshot),
        wall_s=times[0][0],
        cpu_s=times[0][1],
        snapshot_wall_s=built.wall_s,
        snapshot_cpu_s=built.cpu_s,
        quiet_cpu_s=times[-1][1],
        peak_rss_mib=peak,
        passes=sum(bool(made.purchases) for made in plans),
        plan_bound=_bound(plans[0]),
        verified=verify(built.snapshot, plans),
    )


def _background_cost(snapshot: Snapshot) -> float | None:
    """As the operator goes on searching between its passes; the next pass begins where the search ended."""
    searches = Searches(time.monotonic)
    began = time.monotonic()
    plan(snapshot, searches=searches)
    if not searches.costs():
        return None
    budget = max(policy.spec.planning_budget.total_seconds() for policy in snapshot.policies)
    searches.improve(seconds=BACKGROUND_SECONDS - budget - (time.monotonic() - began))
    return verify(snapshot, [plan(snapshot, searches=searches)]).hourly_cost


def _bound(made: Plan) -> float | None:
    """The lower bound on all policies' purchases together."""
    costs = made.costs.values()
    return sum(cost.lower_bound for cost in costs) if costs else None


def warm_up() -> None:
    """Plan something tiny: modules are imported, numpy has found its feet, as in an operator that runs."""
    look_seldom()
    resources = {"cpu": 4000, "memory": GIB, "pods": 10}
    pools = (Pool(name="warm-up", groups=(group("warm-up", resources, max_size=2),)),)
    plan(build(Scene(pools=pools, pods=lambda: iter([pod("warm-up", {"cpu": 1})]))).snapshot)


def settle() -> None:
    """As the operator does when its informers are synced; garbage of making the input is not the plan's to collect."""
    spare_what_is_here()


def after(snapshot: Snapshot, made: Plan) -> Snapshot:
    """The next pass: targets are raised, the nodes on their way, the pods still pending."""
    return replace(
        snapshot,
        now=snapshot.now + timedelta(seconds=1),
        plan_id=f"{made.id}+",
        pools=tuple(_grown(pool, made) for pool in snapshot.pools),
        promised={
            **snapshot.promised,
            **{uid: p for each in made.purchases for uid, p in each.promises(made.id)},
        },
    )


def _grown(pool: PoolView, made: Plan) -> PoolView:
    bought = {p.group: p for p in made.purchases if p.pool == pool.name}
    if not bought:
        return pool
    before = {each.group: each for each in made.pools[pool.name].groups}
    memory = dict(pool.memory)
    for name, purchase in bought.items():
        known = memory.get(name, GroupMemory())
        outstanding = remembered(
            since=made.now,
            before=purchase.from_target,
            to=purchase.to_target,
            plan_id=made.id,
            missing_before=before[name].missing,
            registered=before[name].counts.registered,
        )
        memory[name] = replace(known, purchase=outstanding)
    groups = tuple(
        replace(each, target=bought[each.id].to_target) if each.id in bought else each for each in pool.groups
    )
    return replace(pool, groups=groups, memory=memory)


def peak_rss_mib() -> float:
    """Of this process since it was started. Not getrusage: that begins with what the parent had."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmHWM")
