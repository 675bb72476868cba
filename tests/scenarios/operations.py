"""What must always hold, whatever users, clouds and killers do: a stateful machine acts on a whole world.

After every step nothing forbidden may have happened; in the end, with all faults mended, every pod runs, and when the pods
are gone, all nodes go.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import looptime
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from springtide.actuation.outcome import RemovalResumed
from springtide.cluster.annotations import REMOVAL
from springtide.cluster.groups import InstanceState
from springtide.providers.base import TerminateOutcome, ThrottledError
from springtide.providers.simulated.cloud import SimulatedInstance
from springtide.providers.simulated.failures import (
    AnswerLost,
    Call,
    CallFails,
    FailureRule,
    NeverRegisters,
    SlowBoot,
    Vanishes,
    no_capacity,
)
from tests.scenarios.process import Raise, Termination
from tests.scenarios.troublemaker import Trouble, Troublemaker
from tests.scenarios.watchers import FOREIGN, add_foreign_machines, foreign_untouched
from tests.scenarios.world import HARD, World, group, minutes

T = TypeVar("T")

POLICY = {
    "scaleUp": {"maxNodeProvisionTime": "5m", "backoff": {"initial": "1m", "max": "4m", "reset": "30m"}},
    "scaleDown": {"unneededTime": "30s", "delayAfterAdd": "20s", "delayAfterFailure": "30s"},
}
APPS = {"web": "1", "api": "500m", "batch": "2"}
"""Deployments and what each of their pods requests."""
GROUP_MAX = 12
PATIENCE_SECONDS = minutes(10)
"""After pods were taken away or instances were lost, nodes may be on their way that nobody needs any more."""
LIVENESS_SECONDS = minutes(60)
SETTLED_SECONDS = minutes(15)
"""What was begun under earlier settings has ended by then."""


class Operations(RuleBasedStateMachine):
    """One NodePool with two groups, three deployments, an operator that is killed now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(noop_cycles=1)
        self.world = World(
            pools={
                "general": {
                    "groups": [group("a", maxSize=GROUP_MAX), group("b", zone="zone-b", maxSize=GROUP_MAX)]
                }
            },
            policies={"default": POLICY},
        )
        self.trouble = Troublemaker()
        self.world.doorkeeper = self.trouble
        self.paused = False
        self.paused_since = 0.0
        self.cordoned: dict[str, str] = {}
        """By name, uids of nodes that a human cordoned."""
        self.bounds: tuple[int, int] = (0, 2 * GROUP_MAX)
        self.bounds_since = 0.0
        self.wasteful_until = 0.0
        self.capacity: list[FailureRule] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def act(self, action: Any, then: float = 0.1) -> None:
        """Do something inside the world's time, and let a moment pass."""

        async def acting() -> None:
            action()
            await self.world.after(then)

        self.run(acting())

    @initialize(replicas=st.integers(0, 10))
    def begin(self, replicas: int) -> None:
        self.run(self.world.started())
        self.world.on_raise = self._judge
        self.world.on_termination = self._judge_termination
        self.run(self._add_strangers())
        self.act(lambda: self.world.deploy("web", replicas, cpu=APPS["web"]), then=60)

    async def _add_strangers(self) -> None:
        add_foreign_machines(self.world)

    # --- what users do ------------------------------------------------------------------------------------------

    @rule(app=st.sampled_from(sorted(APPS)), replicas=st.integers(0, 10))
    def scale(self, app: str, replicas: int) -> None:
        if replicas < len([pod for pod in self.world.server.pods if pod.labels.get("app") == app]):
            self._excuse_waste()
        self.act(lambda: self.world.deploy(app, replicas, cpu=APPS[app]))

    @rule()
    def halve(self) -> None:
        """Every deployment, as at night: nodes become half empty, and are drained."""
        self._excuse_waste()
        for name, replica_set in list(self.world.server.objects["ReplicaSet"].items()):
            app, fewer = name[1], replica_set["spec"]["replicas"] // 2
            self.act(lambda app=app, fewer=fewer: self.world.deploy(app, fewer))
        self._wait_for_a_removal()

    @rule(min_size=st.integers(0, 3), room=st.integers(0, 6))
    def edit_bounds(self, min_size: int, room: int) -> None:
        self.bounds, self.bounds_since = (min_size, min_size + room), self.loop.time()
        self._excuse_waste()
        self.act(lambda: self.world.edit_pool(minSize=min_size, maxSize=min_size + room))

    @rule()
    def pause_or_resume(self) -> None:
        self.paused, self.paused_since = not self.paused, self.loop.time()
        self.act(lambda: self.world.edit_pool(mode="Paused" if self.paused else "Active"))

    @rule(app=st.sampled_from(sorted(APPS)), least=st.integers(0, 10))
    def protect(self, app: str, least: int) -> None:
        self.act(lambda: self.world.budget(app, min_available=least))

    @rule(
        enabled=st.booleans(),
        unneeded=st.sampled_from(["10s", "30s", "3m"]),
        parallel=st.integers(1, 4),
        evict=st.sampled_from(["20s", "2m"]),
    )
    def edit_policy(self, enabled: bool, unneeded: str, parallel: int, evict: str) -> None:
        scale_down = {
            **POLICY["scaleDown"],
            "enabled": enabled,
            "unneededTime": unneeded,
            "maxParallelDrain": parallel,
            "maxPodEvictionTime": evict,
        }
        self.act(lambda: self.world.edit_policy(scaleDown=scale_down))

    @precondition(lambda self: self.world.nodes)
    @rule(number=st.integers(0, 20))
    def cordon(self, number: int) -> None:
        """By hand; kubectl leaves a node alone that is cordoned already."""
        self._excuse_waste()
        node = self.world.nodes[number % len(self.world.nodes)]
        if not node.unschedulable and node.name != FOREIGN:
            self.cordoned[node.name] = node.uid
            self.act(lambda: self.world.set_unschedulable(node.name, True))

    @precondition(lambda self: self.cordoned)
    @rule()
    def uncordon(self) -> None:
        name, uid = self.cordoned.popitem()
        if any(node.name == name and node.uid == uid for node in self.world.nodes):
            self.act(lambda: self.world.set_unschedulable(name, False))

    # --- what clouds do -----------------------------------------------------------------------------------------

    @precondition(lambda self: not self.capacity)
    @rule(name=st.sampled_from("ab"), left=st.integers(0, 2))
    def run_out_of_capacity(self, name: str, left: int) -> None:
        self._excuse_waste()
        self.capacity.append(self.world.cloud.set_failure(no_capacity(group=name, available=left)))

    @precondition(lambda self: self.capacity)
    @rule()
    def get_capacity_again(self) -> None:
        self._excuse_waste()
        self.act(lambda: self.world.cloud.clear_failure(self.capacity.pop()))

    @precondition(lambda self: self._ours())
    @rule(number=st.integers(0, 20))
    def vanish(self, number: int) -> None:
        self._excuse_waste()
        instances = self._ours()
        self.act(lambda: self.world.cloud.lose(instances[number % len(instances)]))

    @precondition(lambda self: self._ours())
    @rule(number=st.integers(0, 20))
    def terminated_by_somebody_else(self, number: int) -> None:
        """With decrement, as a human or the cloud's own rebalancing does it."""
        self._excuse_waste()
        instances = self._ours()
        self.act(lambda: self.world.cloud.terminate(instances[number % len(instances)]))

    @rule(times=st.integers(1, 3))
    def throttle(self, times: int) -> None:
        self.world.cloud.set_failure(CallFails(times=times, error=ThrottledError("slow down")))

    @rule(seconds=st.one_of(st.none(), st.sampled_from([5.0, 40.0, 300.0])), lasts=st.floats(0.1, 90.0))
    def launches_go_wrong(self, seconds: float | None, lasts: float) -> None:
        """For a while, what is launched never registers; or it vanishes after so many seconds."""
        self._excuse_waste()
        rule = (
            NeverRegisters(pool="general") if seconds is None else Vanishes(pool="general", seconds=seconds)
        )
        self.world.cloud.set_failure(rule)
        self.run(self.world.after(lasts))
        self.act(lambda: self.world.cloud.clear_failure(rule))

    @rule(call=st.sampled_from([Call.RAISE_TARGET, Call.CANCEL_UNFULFILLED, Call.TERMINATE]))
    def lose_an_answer(self, call: Call) -> None:
        self.world.cloud.set_failure(AnswerLost(call=call, times=1))

    @rule(seconds=st.sampled_from([0.0, 2.0, 6.0]))
    def listings_take(self, seconds: float) -> None:
        self.world.listing_seconds = seconds

    @rule(number=st.integers(0, 20), mended=st.booleans())
    def a_kubelet_falls_silent_or_comes_back(self, number: int, mended: bool) -> None:
        self._excuse_waste()
        plane, nodes = self.world.control_plane, self.world.nodes
        if mended:
            self.act(self._mend_kubelets)
        elif nodes and nodes[number % len(nodes)].name != FOREIGN:
            self.act(lambda: plane.silence(nodes[number % len(nodes)].name))

    @rule(seconds=st.sampled_from([1.0, 90.0]))
    def boot_in(self, seconds: float) -> None:
        self.world.cloud.set_failure(SlowBoot(seconds=seconds))

    # --- what the API server does ----------------------------------------------------------------------------------

    @rule(troubles=st.lists(st.sampled_from(Trouble), min_size=1, max_size=4))
    def api_trouble(self, troubles: list[Trouble]) -> None:
        self.trouble.troubles.extend(troubles)

    # --- what befalls the operator ------------------------------------------------------------------------------

    @rule(away=st.sampled_from([0.0, 1.0, 30.0, 400.0]))
    def kill(self, away: float) -> None:
        self.run(self.world.restart_operator(away=away))

    @rule(moment=st.floats(0.0, 12.0))
    def a_pod_gets_past_the_taint(self, moment: float) -> None:
        if self._wait_for_a_removal():
            self.run(self.world.after(moment))
            leaving = self.world.marked(HARD)
            if leaving and not any(pod.labels.get("app") == "late" for pod in self.world.server.pods):
                self.act(lambda: self.world.land(leaving[0]))

    @precondition(lambda self: self.world.nodes)
    @rule(moment=st.floats(0.0, 20.0), away=st.sampled_from([0.0, 5.0, 60.0]))
    def kill_during_a_removal(self, moment: float, away: float) -> None:
        if self._wait_for_a_removal():
            self.run(self.world.after(moment))
            self.run(self.world.restart_operator(away=away))

    @rule(
        number=st.integers(0, 12), after_effect=st.booleans(), away=st.sampled_from([0.0, 3.0, 30.0, 400.0])
    )
    def kill_at_a_change(self, number: int, after_effect: bool, away: float) -> None:
        """Stopped at one of its next changes, whatever that is; if it makes so many within two minutes."""

        async def until_stopped() -> None:
            self.trouble.stop_at(number, after_effect=after_effect)
            for _ in range(240):
                if self.trouble.stopped.is_set():
                    break
                await self.world.after(0.5)
            self.trouble.let_go()
            if self.trouble.stopped.is_set():
                await self.world.restart_operator(away=away)

        self.run(until_stopped())

    def _wait_for_a_removal(self) -> bool:
        """Until a node is tainted, if one is to be within two minutes."""

        async def waiting() -> bool:
            for _ in range(240):
                if self.world.marked(HARD):
                    return True
                await self.world.after(0.5)
            return False

        return self.run(waiting())

    # --- time ---------------------------------------------------------------------------------------------------

    @rule(seconds=st.floats(0.01, 0.6))
    def a_moment_passes(self, seconds: float) -> None:
        self.run(self.world.after(seconds))

    @rule(seconds=st.sampled_from([4.0, 33.0, 67.0, 150.0]))
    def a_while_passes(self, seconds: float) -> None:
        self.run(self.world.after(seconds))

    # --- what holds ---------------------------------------------------------------------------------------------

    @invariant()
    def nothing_forbidden_has_happened(self) -> None:
        assert not self.world.violations, self.world.violations

    @invariant()
    def a_humans_cordon_stays(self) -> None:
        for node in self.world.nodes:
            if self.cordoned.get(node.name) == node.uid:
                assert node.unschedulable, f"{node.name} was cordoned by hand, and is not any more"

    @invariant()
    def strangers_are_left_alone(self) -> None:
        if self.world.cloud.instances:
            assert not foreign_untouched(self.world)

    def teardown(self) -> None:
        try:
            self.run(self._all_ends_well())
            event(f"{min(len(self.world.terminated), 5)} nodes terminated")
            event("pods were evicted" if self.world.evictions else "no pod was evicted")
            event("removals were resumed" if self.world.of(RemovalResumed) else "no removal was resumed")
        finally:
            self.run(self.world.kill_operator())
            self.loop.close()

    async def _all_ends_well(self) -> None:
        world = self.world
        self.trouble.let_go()
        self.paused = False
        world.cloud.clear_failure()
        for name in self.cordoned.keys() & {node.name for node in world.nodes}:
            world.set_unschedulable(name, False)
        self.cordoned.clear()
        world.edit_policy(**POLICY)
        world.listing_seconds = 0.0
        self._mend_kubelets()
        world.edit_pool(mode="Active", minSize=0, maxSize=None)
        for app in APPS:
            world.budget(app, min_available=0)
        self.bounds, self.bounds_since = (0, 2 * GROUP_MAX), self.loop.time()
        await world.until(lambda: not self._waiting(), within=LIVENESS_SECONDS)
        await world.until(lambda: not self._forgotten(), within=minutes(20))
        self._excuse_waste()
        for app in APPS:
            world.undeploy(app)
        for pod in world.server.pods:
            if pod.labels.get("app") == "late":
                world.control_plane.delete_pod(pod)
        for instance in self._ours():
            if not any(node.name == instance.id for node in world.nodes) and not instance.registers:
                world.cloud.terminate(
                    instance
                )  # as a condition asks humans to, where nobody knows who bought it
        await world.until(lambda: not self._ours() and len(world.nodes) == 1, within=LIVENESS_SECONDS)
        assert world.targets == {"general/a": 0, "general/b": 0, "elsewhere/x": 1}

    def _mend_kubelets(self) -> None:
        for name in sorted(self.world.control_plane.silent):
            self.world.control_plane.recover(name)

    def _waiting(self) -> list[str]:
        wanted = {
            replica_set["metadata"]["name"]: replica_set["spec"]["replicas"]
            for replica_set in self.world.server.objects["ReplicaSet"].values()
        }
        return [app for app, count in wanted.items() if len(self.world.running(app)) != count]

    def _forgotten(self) -> list[str]:
        """Marked nodes that nobody is removing."""
        under_way = self.world.operator.actuator.in_flight.removals
        return [name for name in self.world.marked(HARD, REMOVAL, "cordon") if name not in under_way]

    def _excuse_waste(self) -> None:
        self.wasteful_until = self.loop.time() + PATIENCE_SECONDS

    def _judge(self, raised: Raise) -> None:
        """A target was raised just now."""
        world, violations = self.world, self.world.violations
        total = sum(world.targets.values()) - 1
        if self.paused and self.loop.time() - self.paused_since > 60:
            violations.append(f"{raised} though the pool is paused")
        if self.loop.time() - self.bounds_since > 5 and total > self.bounds[1]:
            violations.append(f"{raised}: {total} nodes in all, maxSize {self.bounds[1]}")
        ready = sum(node.ready for node in world.nodes) - 1
        coming = total - ready - self._lost() - self._silent()
        needed = max(len(world.pending), self.bounds[0] - ready)
        if self.loop.time() > self.wasteful_until and coming > needed:
            violations.append(f"{raised}: {coming} nodes on their way for {needed} needed")

    def _judge_termination(self, asked: Termination) -> None:
        """An instance was terminated just now."""
        settled = self.loop.time() - max(self.bounds_since, self.paused_since)
        if asked.outcome is not TerminateOutcome.TERMINATED or settled < SETTLED_SECONDS:
            return
        if self.paused:
            self.world.violations.append(f"{asked} though the pool is paused")
        if sum(self.world.targets.values()) - 1 < self.bounds[0]:
            self.world.violations.append(f"{asked}: below minSize {self.bounds[0]}")

    def _ours(self) -> list[SimulatedInstance]:
        """Instances of our groups that are not going."""
        instances = self.world.cloud.instances
        return [i for i in instances if i.group.pool == "general" and i.state is not InstanceState.DELETING]

    def _silent(self) -> int:
        """Nodes that were there and do not answer: they are not on their way."""
        silent = self.world.control_plane.silent
        return sum(not node.ready and node.name in silent for node in self.world.nodes)

    def _lost(self) -> int:
        """Machines that run without a Node: nobody counts on them."""
        names = {node.name for node in self.world.nodes}
        return sum(i.state is InstanceState.RUNNING and i.id not in names for i in self._ours())
