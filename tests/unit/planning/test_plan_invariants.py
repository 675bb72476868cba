"""What must never go wrong, whatever the world looks like: checked on whole plans for random small worlds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from springtide.api.settings import Expander, Mode
from springtide.cluster.groups import NodeGroup
from springtide.cluster.records import NodeRecord, PodPhase, PodRecord
from springtide.cluster.shape import PodShape, Unmodelled
from springtide.cluster.snapshot import GroupMemory, PoolView, Snapshot
from springtide.planning.groups.limits import pool_bounds
from springtide.planning.groups.upcoming import remembered
from springtide.planning.plan import PendingOutcome, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    GIB,
    LONG_AGO,
    NOW,
    REPLICA_SET,
    ago,
    group,
    instance_of,
    node,
    pod,
    policy,
    pool,
    resources,
    shape,
    snapshot,
    template,
)

SHAPES = (
    shape(250, GIB // 4),
    shape(1000, GIB),
    shape(1900, 3 * GIB),
    shape(3500, GIB),
    shape(500, 12 * GIB),
    shape(9000, GIB),
    shape(500, GIB, selector={"zone": "a"}),
    shape(500, GIB, priority=-20),
    shape(500, GIB, priority=1000),
    shape(500, GIB, unmodelled=(Unmodelled.RESOURCE_CLAIMS,)),
)
SIZES = (2000, 4000, 8000)

shapes = st.sampled_from(SHAPES)


@st.composite
def pending_pods(draw: st.DrawFn) -> list[PodRecord]:
    """A few bursts of equal pods."""
    bursts = draw(
        st.lists(st.tuples(shapes, st.integers(1, 15), st.sampled_from([1, 3600])), min_size=1, max_size=5)
    )
    return [pod(of, unschedulable_since=ago(seconds=age)) for of, burst, age in bursts for _ in range(burst)]


@st.composite
def running_pods(draw: st.DrawFn) -> list[PodRecord]:
    there = draw(st.lists(st.tuples(shapes, st.sampled_from([REPLICA_SET] * 3 + [None])), max_size=3))
    return [pod(of, owner=owner, phase=PodPhase.RUNNING) for of, owner in there]


@st.composite
def groups_and_nodes(draw: st.DrawFn, name: str) -> tuple[NodeGroup, list[NodeRecord]]:
    cpu = draw(st.sampled_from(SIZES))
    made_of = template(cpu=cpu, labels={"zone": draw(st.sampled_from("ab"))}, price=cpu / 20000)
    nodes = [
        node(
            f"{name}-{number}",
            allocatable=resources(cpu),
            capacity=resources(cpu),
            labels=made_of.labels,
            ready=draw(st.sampled_from([True, True, True, True, False])),
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    target = len(nodes) + draw(st.sampled_from([0, 0, 0, 1, 2]))
    least = draw(st.sampled_from([0, 0, 1, target]))
    return (
        group(
            name,
            made_of=made_of,
            nodes=[each.name for each in nodes],
            target=target,
            min_size=least,
            max_size=max(target, least) + draw(st.integers(0, 8)),
        ),
        nodes,
    )


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """Up to three pools of up to three groups, with nodes that have been unneeded for an hour if they are."""
    pools: list[PoolView] = []
    nodes: list[NodeRecord] = []
    for pool_name in ("one", "two", "three")[: draw(st.integers(1, 3))]:
        made = [draw(groups_and_nodes(f"{pool_name}-{zone}")) for zone in "abc"[: draw(st.integers(1, 3))]]
        pools.append(
            pool(
                pool_name,
                *(each for each, _ in made),
                mode=draw(st.sampled_from([Mode.ACTIVE] * 4 + [Mode.DRY_RUN, Mode.PAUSED])),
                policy=draw(st.sampled_from(["default", "other"])),
                min_size=draw(st.sampled_from([None, None, 0, 2])),
                max_size=draw(st.sampled_from([None, None, 5, 20])),
            )
        )
        nodes += [each for _, there in made for each in there]
    limits = draw(
        st.sampled_from([None, None, {"max": {"nodes": 9}}, {"max": {"cpu": "40"}, "min": {"cpu": "4"}}])
    )
    return snapshot(
        *pools,
        nodes=nodes,
        pods={each.name: draw(running_pods()) for each in nodes},
        waiting=draw(pending_pods()),
        policies=[
            policy("default", limits=limits, expanders=tuple(draw(st.sampled_from(CHAINS)))),
            policy("other", created_at=LONG_AGO - timedelta(days=1)),
        ],
        unneeded_since={each.name: ago(hours=1) for each in nodes},
    )


CHAINS = (
    (Expander.LEAST_WASTE,),
    (Expander.MOST_PODS, Expander.LEAST_NODES),
    (Expander.RANDOM,),
)

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- reading plans ---------------------------------------------------------------------------------------------


def by_name(world: Snapshot) -> dict[str, PoolView]:
    return {each.name: each for each in world.pools}


def groups_of(world: Snapshot) -> dict[tuple[str, str], NodeGroup]:
    return {(owner.name, each.id): each for owner in world.pools for each in owner.groups}


def targets_after(world: Snapshot, made: Plan) -> Counter[tuple[str, str]]:
    targets = Counter({key: each.target for key, each in groups_of(world).items()})
    for purchase in made.purchases:
        targets[purchase.pool, purchase.group] += purchase.count
    return targets


def fits_template(of: PodShape, owner: NodeGroup) -> bool:
    assert owner.template is not None
    labels = owner.template.labels
    return all(of.requests[name] <= owner.template.allocatable[name] for name in of.requests) and all(
        labels.get(key) == value for key, value in of.node_selector.items()
    )


def settled(world: Snapshot) -> Snapshot:
    """The same without capacity on its way. (Of nodes that two purchases bring, which pods each was meant for is
    guessed from their sizes; with selectors that cross the pools the guess can be one node short.)"""
    pools = tuple(
        replace(
            owner,
            groups=tuple(replace(each, target=len(each.instances)) for each in owner.groups),
        )
        for owner in world.pools
    )
    return replace(world, pools=pools)


# --- the invariants --------------------------------------------------------------------------------------------


@many
@given(worlds())
def test_every_pending_pod_and_every_node_has_exactly_one_verdict(world: Snapshot) -> None:
    made = plan(world)
    told = [each.uid for verdict in made.pending for each in verdict.pods]
    assert sorted(told) == sorted(each.uid for each in world.picture.pending_pods)
    assert set(made.nodes) == {each.name for each in world.picture.nodes}
    assert set(made.pools) == {each.name for each in world.pools}


@many
@given(worlds())
def test_no_purchase_exceeds_a_bound_or_brings_more_nodes_than_pods(world: Snapshot) -> None:
    made = plan(world)
    after = targets_after(world, made)
    for purchase in made.purchases:
        owner = by_name(world)[purchase.pool]
        own = groups_of(world)[purchase.pool, purchase.group]
        assert owner.mode is Mode.ACTIVE
        assert purchase.count > 0
        assert after[purchase.pool, purchase.group] <= own.max_size
        assert sum(after[owner.name, each.id] for each in owner.groups) <= pool_bounds(owner).max_size
        assert purchase.to_target == after[purchase.pool, purchase.group]
    for owner in world.pools:
        mine = [purchase for purchase in made.purchases if purchase.pool == owner.name]
        lacking = sum(max(0, each.min_size - each.target) for each in owner.groups) + max(
            0, pool_bounds(owner).min_size - sum(each.target for each in owner.groups)
        )
        assert sum(each.count for each in mine) <= sum(len(each.pods) for each in mine) + lacking


@many
@given(worlds())
def test_policy_limits_hold_over_the_whole_plan(world: Snapshot) -> None:
    made = plan(world)
    after = targets_after(world, made)
    for each in world.policies:
        limits = each.spec.limits
        mine = {owner.name for owner in world.pools if owner.policy == each.name}
        if limits is None or not limits.max or not {p.pool for p in made.purchases} & mine:
            continue
        keys = [key for key in after if key[0] in mine]
        if "nodes" in limits.max:
            assert sum(after[key] for key in keys) <= int(limits.max["nodes"])
        if "cpu" in limits.max:
            cpus = (groups_of(world)[key].template.capacity["cpu"] * after[key] for key in keys)  # type: ignore[union-attr]
            assert sum(cpus) <= 40_000


@many
@given(worlds())
def test_each_pod_is_bought_for_once_and_only_where_it_fits(world: Snapshot) -> None:
    made = plan(world)
    uids = [each.uid for purchase in made.purchases for each in purchase.pods]
    assert len(uids) == len(set(uids))
    triggering = {
        each.uid
        for verdict in made.pending
        if verdict.outcome is PendingOutcome.TRIGGERS
        for each in verdict.pods
    }
    assert set(uids) == triggering
    for purchase in made.purchases:
        own = groups_of(world)[purchase.pool, purchase.group]
        for each in purchase.pods:
            assert fits_template(each.shape, own)
            assert not each.shape.unmodelled
            assert each.shape.priority >= -10


@many
@given(worlds())
def test_pods_of_removed_nodes_have_a_place_on_nodes_that_stay(world: Snapshot) -> None:
    made = plan(world)
    gone = {removal.node for removal in made.removals}
    nodes = {each.name: each for each in world.picture.nodes}
    used = {
        name: Counter[str]()
        + Counter({"pods": len(counting(pods))})
        + sum((Counter(each.shape.requests) for each in counting(pods)), Counter[str]())
        for name, pods in world.picture.pods_by_node.items()
    }
    for removal in made.removals:
        must_move = [each for each in removal.pods_to_evict if each.shape.priority >= -10]
        assert {each.uid for each in must_move} == set(removal.destinations)
        for each in must_move:
            target = removal.destinations[each.uid]
            assert target not in gone
            assert nodes[target].ready
            assert all(
                nodes[target].labels.get(key) == value for key, value in each.shape.node_selector.items()
            )
            used[target] += Counter(each.shape.requests) + Counter({"pods": 1})
    received = {target for removal in made.removals for target in removal.destinations.values()}
    for name in received:
        assert all(used[name][kind] <= amount for kind, amount in nodes[name].allocatable.items())


def counting(pods: tuple[PodRecord, ...]) -> list[PodRecord]:
    return [each for each in pods if each.shape.priority >= -10]


@many
@given(worlds())
def test_no_removal_breaks_a_minimum_or_touches_what_must_stay(world: Snapshot) -> None:
    made = plan(world)
    removed = Counter((removal.pool, removal.group) for removal in made.removals)
    for key, gone in removed.items():
        assert groups_of(world)[key].target - gone >= groups_of(world)[key].min_size
    for owner in world.pools:
        gone = sum(count for key, count in removed.items() if key[0] == owner.name)
        if gone:
            target = sum(each.target for each in owner.groups)
            assert owner.mode is Mode.ACTIVE
            assert target - gone >= pool_bounds(owner).min_size
            assert gone <= owner.settings.scale_down.max_parallel
            assert owner.name not in {purchase.pool for purchase in made.purchases}
    for removal in made.removals:
        for each in world.picture.pods_by_node[removal.node]:
            if each.shape.priority >= -10:
                assert each.owner is not None
                assert not each.shape.unmodelled


@many
@given(worlds())
def test_equal_snapshots_give_equal_plans(world: Snapshot) -> None:
    assert plan(world) == plan(world)


@many
@given(worlds().map(settled))
def test_what_was_bought_is_not_bought_again_while_it_is_on_its_way(world: Snapshot) -> None:
    made = plan(world)
    assert plan(after_acknowledgement(world, made)).purchases == ()


@many
@given(worlds().map(settled))
def test_nor_when_it_has_arrived_and_the_scheduler_has_not_noticed(world: Snapshot) -> None:
    made = plan(world)
    if made.cluster_healthy:
        # Else the new nodes may heal the cluster, and what was held back is bought.
        assert plan(after_arrival(world, made)).purchases == ()


def after_acknowledgement(world: Snapshot, made: Plan) -> Snapshot:
    """The next pass: every target raised, nothing else happened."""
    raised = {(purchase.pool, purchase.group): purchase for purchase in made.purchases}

    def grown(owner: PoolView) -> PoolView:
        memory = dict(owner.memory)
        groups = []
        for each in owner.groups:
            purchase = raised.get((owner.name, each.id))
            planned = next(g for g in made.pools[owner.name].groups if g.group == each.id)
            if purchase is not None:
                memory[each.id] = GroupMemory(
                    purchase=remembered(
                        since=NOW,
                        before=purchase.from_target,
                        to=purchase.to_target,
                        plan_id=made.id,
                        missing_before=planned.missing,
                        registered=planned.counts.registered,
                    ),
                    ever_matched=True,
                )
                groups.append(replace(each, target=purchase.to_target))
            else:
                memory[each.id] = replace(memory[each.id], purchase=planned.outstanding)
                groups.append(each)
        return replace(owner, groups=tuple(groups), memory=memory, last_scale_up=NOW)

    promised = {uid: promise for p in made.purchases for uid, promise in p.promises(made.id)}
    pools = tuple(grown(each) for each in world.pools)
    return replace(world, pools=pools, promised=promised, plan_id="plan-2")


def after_arrival(world: Snapshot, made: Plan) -> Snapshot:
    """A pass later: all that was asked for is a ready, empty node."""
    later = after_acknowledgement(world, made)
    nodes = list(later.picture.nodes)

    def arrived(owner: PoolView, each: NodeGroup) -> NodeGroup:
        assert each.template is not None
        names = [f"new-{each.id}-{number}" for number in range(each.unfulfilled)]
        nodes.extend(
            node(
                name,
                created_at=NOW,
                ready_changed_at=NOW,
                allocatable=each.template.allocatable,
                capacity=each.template.capacity,
                labels=each.template.labels,
            )
            for name in names
        )
        return replace(each, instances=(*each.instances, *(instance_of(name) for name in names)))

    pools = tuple(
        replace(owner, groups=tuple(arrived(owner, each) for each in owner.groups)) for owner in later.pools
    )
    return replace(later, pools=pools, picture=replace(later.picture, nodes=tuple(nodes)), plan_id="plan-3")
