"""What must always hold, whatever users, clouds and killers do: a stateful machine acts on a whole world.

After every step nothing forbidden may have happened; in the end, with all faults mended, every pod runs, and when the pods
are gone, all nodes go.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any, TypeVar

import looptime
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from springtide.actuation.outcome import RemovalResumed
from springtide.cluster.annotations import REMOVAL
from springtide.providers.simulated.failures import AnswerLost, Call, FailureRule, SlowBoot, no_capacity
from tests.scenarios.process import Raise
from tests.scenarios.world import HARD, World, group, minutes

T = TypeVar("T")

POLICY = {
    "scaleUp": {"maxNodeProvisionTime": "5m", "backoff": {"initial": "1m", "max": "4m", "reset": "30m"}},
    "scaleDown": {"unneededTime": "30s", "delayAfterAdd": "20s", "delayAfterFailure": "30s"},
}
APPS = {"web": "1", "api": "500m", "batch": "2"}
"""Deployments and what each of their pods requests."""
EXAMPLES = os.environ.get("SCENARIO_EXAMPLES", "")
"""More stories than `make test` tells, and others each time: SCENARIO_EXAMPLES=1000."""
GROUP_MAX = 12
PATIENCE_SECONDS = minutes(10)
"""After pods were taken away or instances were lost, nodes may be on their way that nobody needs any more."""
LIVENESS_SECONDS = minutes(60)


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
        self.paused = False
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
        self.act(lambda: self.world.deploy("web", replicas, cpu=APPS["web"]), then=60)

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
        self.paused = not self.paused
        self.act(lambda: self.world.edit_pool(mode="Paused" if self.paused else "Active"))

    @rule(least=st.integers(0, 10))
    def protect(self, least: int) -> None:
        self.act(lambda: self.world.budget("web", min_available=least))

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

    @precondition(lambda self: self.world.cloud.instances)
    @rule(number=st.integers(0, 20))
    def vanish(self, number: int) -> None:
        self._excuse_waste()
        instances = self.world.cloud.instances
        self.act(lambda: self.world.cloud.lose(instances[number % len(instances)]))

    @rule(call=st.sampled_from([Call.RAISE_TARGET, Call.TERMINATE]))
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
        elif nodes:
            self.act(lambda: plane.silence(nodes[number % len(nodes)].name))

    @rule(seconds=st.sampled_from([1.0, 90.0]))
    def boot_in(self, seconds: float) -> None:
        self.world.cloud.set_failure(SlowBoot(seconds=seconds))

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
        world.cloud.clear_failure()
        world.listing_seconds = 0.0
        self._mend_kubelets()
        world.edit_pool(mode="Active", minSize=0, maxSize=None)
        world.budget("web", min_available=0)
        self.bounds, self.bounds_since = (0, 2 * GROUP_MAX), self.loop.time()
        await world.until(lambda: not self._waiting(), within=LIVENESS_SECONDS)
        await world.until(lambda: not self._forgotten(), within=minutes(20))
        self._excuse_waste()
        for app in APPS:
            world.undeploy(app)
        for pod in world.server.pods:
            if pod.labels.get("app") == "late":
                world.control_plane.delete_pod(pod)
        await world.until(lambda: not world.nodes and not world.alive, within=LIVENESS_SECONDS)
        assert world.targets == {"general/a": 0, "general/b": 0}

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
        total = sum(world.targets.values())
        if self.loop.time() - self.bounds_since > 5 and total > self.bounds[1]:
            violations.append(f"{raised}: {total} nodes in all, maxSize {self.bounds[1]}")
        ready = sum(node.ready for node in world.nodes)
        needed = max(len(world.pending), self.bounds[0] - ready)
        if self.loop.time() > self.wasteful_until and total - ready > needed:
            violations.append(f"{raised}: {total - ready} nodes on their way for {needed} needed")


Operations.TestCase.settings = settings(
    max_examples=int(EXAMPLES or 60),
    stateful_step_count=30,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=list(HealthCheck),
)
TestOperations = pytest.mark.timeout(900)(Operations.TestCase)
"""Seconds when it passes; minutes when it fails, while the shortest story that fails is looked for."""
