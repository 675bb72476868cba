"""What every provider must do: one suite, run on each of them by test_contract.py.

A provider's tests derive from ProviderContract and give a `world`: the provider, and the strings behind the scenes.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from springtide.api.nodepool import NodePool
from springtide.cluster.groups import FailureClass, InstanceState, NodeGroup, PoolListing
from springtide.providers.base import (
    AmbiguousError,
    Lifecycle,
    Provider,
    RefusedError,
    TerminateOutcome,
    ThrottledError,
)

DEADLINE_S = 10.0
POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A node group that a test wants to exist."""

    name: str = "a"
    min_size: int = 0
    max_size: int = 10


class World(ABC):
    """One cloud with its provider."""

    provider: Provider

    @abstractmethod
    async def pool(self, *groups: Wish) -> NodePool:
        """Create the groups and a NodePool that names them, all under names never used before."""

    @abstractmethod
    def group_id(self, pool: NodePool, name: str) -> str:
        """The id of a group that was wished for under this name."""

    @abstractmethod
    async def set_target_behind_our_back(self, pool: NodePool, group_id: str, target: int) -> None:
        """Someone else changes the target."""

    @abstractmethod
    def run_out_of_capacity(self, pool: NodePool, group_id: str, *, after: int) -> Callable[[], None]:
        """Let so many more instances start, then none; returns what ends the shortage."""

    @abstractmethod
    def boot_for_ever(self, pool: NodePool, group_id: str) -> None:
        """Instances launched from now on stay Pending for longer than any test."""

    @abstractmethod
    def lose_next_answer(self, pool: NodePool, call: str) -> None:
        """The next such mutation has its effect, but its answer is lost."""

    @abstractmethod
    def throttle_next(self, pool: NodePool, call: str) -> None:
        """The next such mutation is refused because of too many calls."""

    @abstractmethod
    def forbid_listing(self, pool: NodePool) -> Callable[[], None]:
        """Groups cannot be read; returns what ends that."""

    @abstractmethod
    async def break_pool(self, pool: NodePool) -> None:
        """Something goes wrong with this pool alone."""

    async def listing(self, pool: NodePool) -> PoolListing:
        """The pool's listing, as the provider gives it now."""
        return (await self.provider.list_groups([pool]))[pool.name]

    async def group(self, pool: NodePool, name: str = "a") -> NodeGroup:
        """The group of this name, as the provider gives it now."""
        wanted = self.group_id(pool, name)
        return next(group for group in (await self.listing(pool)).groups if group.id == wanted)

    async def until(
        self, pool: NodePool, condition: Callable[[NodeGroup], bool], *, name: str = "a"
    ) -> NodeGroup:
        """List until the group is as wished."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition(group := await self.group(pool, name)):  # noqa: ASYNC110 - the protocol is polled
                await asyncio.sleep(POLL_S)
        return group

    async def grown(self, pool: NodePool, to: int, *, name: str = "a") -> NodeGroup:
        """Raise an idle group and wait until all its instances run."""
        group = await self.group(pool, name)
        await self.provider.raise_target(pool, group.id, expected=group.target, to=to)
        return await self.until(pool, lambda group: running(group) == to, name=name)


def running(group: NodeGroup) -> int:
    """Instances that run."""
    return sum(1 for instance in group.instances if instance.state is InstanceState.RUNNING)


class ProviderContract:
    """The suite."""

    async def test_a_group_is_listed_with_target_bounds_and_template(self, world: World) -> None:
        pool = await world.pool(Wish(min_size=1, max_size=7))
        listing = await world.listing(pool)
        [group] = listing.groups
        assert (group.pool, group.target, group.min_size, group.max_size) == (pool.name, 1, 1, 7)
        assert group.template is not None
        assert {"cpu", "memory", "pods"} <= group.template.allocatable.keys()
        assert group.template.source
        assert (listing.error, listing.problems) == ("", ())
        assert listing.read_at is not None

    async def test_all_pools_are_listed_by_name(self, world: World) -> None:
        one, other = await world.pool(Wish()), await world.pool(Wish(name="a"), Wish(name="b"))
        listings = await world.provider.list_groups([one, other])
        assert {name: len(listing.groups) for name, listing in listings.items()} == {
            one.name: 1,
            other.name: 2,
        }

    async def test_raising_brings_instances_that_run_in_time(self, world: World) -> None:
        pool = await world.pool(Wish())
        change = await world.provider.raise_target(pool, world.group_id(pool, "a"), expected=0, to=3)
        assert (change.before, change.after) == (0, 3)
        group = await world.until(pool, lambda group: running(group) == 3)
        assert group.target == 3
        assert len({instance.provider_id for instance in group.instances}) == 3
        assert all(instance.id in instance.provider_id for instance in group.instances)

    async def test_instances_are_pending_before_they_run(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        world.boot_for_ever(pool, group_id)
        await world.provider.raise_target(pool, group_id, expected=0, to=1)
        group = await world.until(pool, lambda group: bool(group.instances))
        assert [instance.state for instance in group.instances] == [InstanceState.PENDING]
        assert group.unfulfilled == 0

    async def test_a_decision_on_a_stale_picture_is_refused(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        await world.set_target_behind_our_back(pool, group_id, 2)
        with pytest.raises(RefusedError, match="2"):
            await world.provider.raise_target(pool, group_id, expected=0, to=3)
        assert (await world.group(pool)).target == 2

    async def test_a_target_that_is_reached_already_is_not_raised_twice(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        await world.provider.raise_target(pool, group_id, expected=0, to=2)
        again = await world.provider.raise_target(pool, group_id, expected=0, to=2)
        assert (again.before, again.after) == (2, 2)
        assert (await world.group(pool)).target == 2

    async def test_raising_never_lowers(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        await world.provider.raise_target(pool, group_id, expected=0, to=3)
        change = await world.provider.raise_target(pool, group_id, expected=3, to=1)
        assert (change.before, change.after) == (3, 3)
        assert (await world.group(pool)).target == 3

    async def test_a_target_above_the_maximum_is_refused(self, world: World) -> None:
        pool = await world.pool(Wish(max_size=2))
        with pytest.raises(RefusedError, match="maximum"):
            await world.provider.raise_target(pool, world.group_id(pool, "a"), expected=0, to=3)
        assert (await world.group(pool)).target == 0

    async def test_failed_launches_are_listed_once_with_stable_ids(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        world.run_out_of_capacity(pool, group_id, after=1)
        await world.provider.raise_target(pool, group_id, expected=0, to=3)
        first = await world.until(pool, lambda group: bool(group.failures) and running(group) == 1)
        second = await world.group(pool)
        assert first.unfulfilled == 2
        assert {failure.failure_class for failure in first.failures} == {FailureClass.OUT_OF_CAPACITY}
        ids = [failure.id for failure in second.failures]
        assert len(ids) == len(set(ids))
        assert ids[: len(first.failures)] == [failure.id for failure in first.failures]
        assert all(failure.message for failure in first.failures)

    async def test_failures_of_an_earlier_purchase_are_not_listed_for_the_next(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        recover = world.run_out_of_capacity(pool, group_id, after=0)
        await world.provider.raise_target(pool, group_id, expected=0, to=1)
        await world.until(pool, lambda group: bool(group.failures))
        await world.provider.cancel_unfulfilled(pool, group_id, to=0)
        assert (await world.group(pool)).failures == ()
        recover()
        assert (await world.grown(pool, 1)).failures == ()

    async def test_cancelling_takes_back_only_what_no_instance_fulfils(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        world.run_out_of_capacity(pool, group_id, after=2)
        await world.provider.raise_target(pool, group_id, expected=0, to=5)
        before = await world.until(pool, lambda group: len(group.instances) == 2 and bool(group.failures))
        change = await world.provider.cancel_unfulfilled(pool, group_id, to=0)
        assert (change.before, change.after) == (5, 2)
        after = await world.until(pool, lambda group: running(group) == 2)
        assert {i.id for i in after.instances} == {i.id for i in before.instances}

    async def test_cancelling_keeps_what_was_asked_to_be_kept(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        world.run_out_of_capacity(pool, group_id, after=0)
        await world.provider.raise_target(pool, group_id, expected=0, to=5)
        assert (await world.provider.cancel_unfulfilled(pool, group_id, to=3)).after == 3

    async def test_cancelling_where_nothing_is_outstanding_changes_nothing(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 2)
        change = await world.provider.cancel_unfulfilled(pool, group.id, to=0)
        assert (change.before, change.after) == (2, 2)
        assert running(await world.group(pool)) == 2

    async def test_terminating_ends_the_named_instance_and_lowers_the_target(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 3)
        victim, *others = [instance.id for instance in group.instances]
        results = await world.provider.terminate(pool, group.id, [victim])
        assert {id_: result.outcome for id_, result in results.items()} == {
            victim: TerminateOutcome.TERMINATED
        }
        after = await world.until(pool, lambda group: victim not in {i.id for i in group.instances})
        assert after.target == 2
        assert [instance.id for instance in after.instances] == others

    async def test_an_instance_going_away_is_listed_as_such_and_terminated_once(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 1)
        victim = group.instances[0].id
        await world.provider.terminate(pool, group.id, [victim])
        going = await world.group(pool)
        assert [instance.state for instance in going.instances] == [InstanceState.DELETING]
        again = await world.provider.terminate(pool, group.id, [victim])
        assert again[victim].outcome is TerminateOutcome.ALREADY_GONE
        assert (await world.group(pool)).target == 0

    async def test_an_instance_named_twice_lowers_the_target_once(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 3)
        victim = group.instances[0].id
        results = await world.provider.terminate(pool, group.id, [victim, victim])
        assert results.keys() == {victim}
        assert (await world.group(pool)).target == 2

    async def test_an_unknown_instance_is_already_gone(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 1)
        unknown = "i-00000000000000000"
        results = await world.provider.terminate(pool, group.id, [unknown])
        assert results[unknown].outcome is TerminateOutcome.ALREADY_GONE
        assert (await world.group(pool)).target == 1

    async def test_an_instance_of_another_group_is_refused(self, world: World) -> None:
        pool = await world.pool(Wish(name="a"), Wish(name="b"))
        mine, other = await world.grown(pool, 1, name="a"), await world.grown(pool, 1, name="b")
        foreign = other.instances[0].id
        results = await world.provider.terminate(pool, mine.id, [foreign])
        assert results[foreign].outcome is TerminateOutcome.REFUSED
        assert running(await world.group(pool, "b")) == 1

    async def test_the_cloud_says_of_each_instance_how_far_it_is(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 2)
        victim, other = [instance.id for instance in group.instances]
        unknown = "i-00000000000000000"
        await world.provider.terminate(pool, group.id, [victim])
        said = await world.provider.lifecycles(pool, group.id, [victim, other, unknown])
        assert said[victim] in (Lifecycle.TERMINATING, Lifecycle.TERMINATED)
        assert said[other] is Lifecycle.ALIVE
        assert said[unknown] is Lifecycle.TERMINATED
        await world.until(pool, lambda group: victim not in {i.id for i in group.instances})
        said = await world.provider.lifecycles(pool, group.id, [victim])
        assert said[victim] is Lifecycle.TERMINATED

    async def test_an_instance_that_lives_outside_the_group_is_not_off(self, world: World) -> None:
        pool = await world.pool(Wish(name="a"), Wish(name="b"))
        mine, other = await world.grown(pool, 1, name="a"), await world.grown(pool, 1, name="b")
        foreign = other.instances[0].id
        said = await world.provider.lifecycles(pool, mine.id, [foreign])
        assert said[foreign] is Lifecycle.ALIVE

    async def test_terminating_stops_at_the_minimum(self, world: World) -> None:
        pool = await world.pool(Wish(min_size=1))
        group = await world.grown(pool, 2)
        first, second = (instance.id for instance in group.instances)
        results = await world.provider.terminate(pool, group.id, [first, second])
        assert results[first].outcome is TerminateOutcome.TERMINATED
        assert results[second].outcome is TerminateOutcome.REFUSED
        assert "minimum" in results[second].message

    async def test_a_raise_whose_answer_is_lost_is_ambiguous_and_seen_by_the_next_read(
        self, world: World
    ) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        world.lose_next_answer(pool, "raise_target")
        with pytest.raises(AmbiguousError):
            await world.provider.raise_target(pool, group_id, expected=0, to=2)
        again = await world.provider.raise_target(pool, group_id, expected=0, to=2)
        assert (again.before, again.after) == (2, 2)

    async def test_after_a_lost_answer_nothing_more_is_terminated(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 2)
        first, second = (instance.id for instance in group.instances)
        world.lose_next_answer(pool, "terminate")
        results = await world.provider.terminate(pool, group.id, [first, second])
        assert results[first].outcome is TerminateOutcome.UNKNOWN
        assert results[second].outcome is TerminateOutcome.NOT_SENT
        after = await world.group(pool)
        assert after.target == 1
        assert running(after) == 1

    async def test_a_throttled_raise_has_no_effect(self, world: World) -> None:
        pool = await world.pool(Wish())
        group_id = world.group_id(pool, "a")
        world.throttle_next(pool, "raise_target")
        with pytest.raises(ThrottledError):
            await world.provider.raise_target(pool, group_id, expected=0, to=2)
        assert (await world.group(pool)).target == 0

    async def test_a_throttled_termination_raises_when_nothing_was_done(self, world: World) -> None:
        pool = await world.pool(Wish())
        group = await world.grown(pool, 1)
        world.throttle_next(pool, "terminate")
        with pytest.raises(ThrottledError):
            await world.provider.terminate(pool, group.id, [group.instances[0].id])
        assert (await world.group(pool)).target == 1

    async def test_a_failed_listing_keeps_the_groups_last_known_and_their_age(self, world: World) -> None:
        pool = await world.pool(Wish())
        before = await world.listing(pool)
        allow = world.forbid_listing(pool)
        failed = await world.listing(pool)
        assert failed.error
        assert failed.error_reason == "CredentialsDenied"
        assert failed.groups == before.groups
        assert failed.read_at == before.read_at
        allow()
        assert (await world.listing(pool)).error == ""

    async def test_a_pool_that_was_never_read_has_an_error_and_no_groups(self, world: World) -> None:
        pool = await world.pool(Wish())
        allow = world.forbid_listing(pool)
        failed = await world.listing(pool)
        allow()
        assert failed.error
        assert (failed.groups, failed.read_at) == ((), None)

    async def test_one_pools_trouble_does_not_stop_the_other(self, world: World) -> None:
        sick, sound = await world.pool(Wish()), await world.pool(Wish())
        await world.break_pool(sick)
        listings = await world.provider.list_groups([sick, sound])
        assert listings[sick.name].error or listings[sick.name].problems
        assert (listings[sound.name].error, listings[sound.name].problems) == ("", ())
        assert len(listings[sound.name].groups) == 1
