"""The pass loop: observe, plan, actuate, report; never two passes at once.

kopf's handlers, the informers and the clouds only ask for passes. Drains and purchases go on in tasks of their own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from springtide.actuation.actuator import Actuator
from springtide.actuation.outcome import Outcome, PurchaseFailed, PurchaseRefused
from springtide.actuation.ports import ManagedPool
from springtide.api.policy import AutoscalerPolicy, AutoscalerPolicySpec
from springtide.api.resolve import resolve
from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.degradation import DegradedMode
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import Snapshot
from springtide.planning.again import Planner
from springtide.planning.plan import Plan
from springtide.planning.planner import plan as make_plan
from springtide.planning.scale_up.searches import Searches
from springtide.providers.base import Provider
from springtide.reporting.reporter import PassReport, Reporter
from springtide.runtime.cloud_watch import CloudWatch
from springtide.runtime.degraded.surroundings import Surroundings
from springtide.runtime.election import Whereabouts
from springtide.runtime.losses import LossNews
from springtide.runtime.memory import Memories
from springtide.runtime.observation import observe
from springtide.runtime.own_node import OwnNode
from springtide.runtime.phases import Phases
from springtide.runtime.probes import stalled
from springtide.runtime.releases import lawless, nodes_of_pool, strays
from springtide.runtime.requests import Batch, PassRequests
from springtide.runtime.resources import Resources
from springtide.runtime.settings import OperatorSettings
from springtide.runtime.vanished import VanishedNodes

PURCHASE_WAIT_SECONDS: Final = 2.0
"""A pass waits so long for the cloud's answers, so that its report can tell them; later ones are told as they come."""
BACKGROUND_SECONDS: Final = 30.0
"""So long a search for cheaper purchases goes on after the plan that began it. Measured: after half a minute there is
next to nothing left to gain (docs/decisions/008)."""

logger = logging.getLogger(__name__)


class Cluster(Protocol):
    """What the engine needs of the informers."""

    @property
    def is_synced(self) -> bool: ...

    def picture(self, *, now: datetime) -> ClusterPicture: ...

    def ages(self) -> Mapping[str, float]: ...

    def api_calls(self) -> ApiCalls: ...

    def problems(self) -> tuple[str, ...]: ...


class NotReleasedYet(Exception):
    """Nodes that should be let go still carry our marks; str() names them."""


@dataclass(frozen=True, slots=True)
class PassOutcome:
    """What those who asked for a pass get."""

    plan_id: str
    error: str = ""


class Engine:
    """Runs passes. Also the memo of all kopf handlers."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clouds: CloudWatch,
        providers: Mapping[str, Provider],
        actuator: Actuator,
        reporter: Reporter,
        memories: Memories,
        settings: OperatorSettings,
        clock: Callable[[], datetime],
        own_node: OwnNode | None = None,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._cluster = cluster
        self._clouds = clouds
        self._providers = providers
        self._actuator = actuator
        self._reporter = reporter
        self._memories = memories
        self._settings = settings
        self._clock = clock
        self._stopwatch = stopwatch
        self._own_node = own_node or OwnNode(Whereabouts(), None, elects=False)
        self.surroundings = Surroundings(cluster=cluster, clouds=clouds, settings=settings)
        self.requests: PassRequests[PassOutcome] = PassRequests()
        self.resources = Resources()
        self.passes: dict[str, int] = {}
        """Passes so far, by what asked for them first."""
        self._single_flight = asyncio.Lock()
        self._pass_began: float | None = None
        self._last_pass_at: float | None = None
        self._searches = Searches(time.monotonic)
        self._planner = Planner(partial(make_plan, searches=self._searches))
        self._improving: asyncio.Future[None] | None = None
        self._unneeded: dict[str, datetime] = {}
        self._timed: set[str] = set()
        """Uids of pools whose nodes a pass of this process has judged: from then on its own timers count."""
        self._newcomers_seen: set[str] = set()
        self._losses = LossNews()
        self._vanished = VanishedNodes(clock)
        self._generations: dict[tuple[str, str], tuple[int, bool]] = {}
        self._released: set[str] = set()
        self._releasing: asyncio.Future[list[tuple[str, ...]]] | None = None

    def __copy__(self) -> Engine:
        # kopf copies its memo for every object; all handlers must see this one engine.
        return self

    # --- who asks for passes --------------------------------------------------------------------------------------

    def wake(self, cause: str) -> None:
        """Something happened that may change the plan. The causes' names are left out: they are counted by kind."""
        words = cause.split(" ")
        if words[0] == "node" and words[-1] == "vanished":
            self._vanished.gone(words[1])
            self._clouds.read_now(self._providers)
        self.requests.wake(cause if len(words) < 3 else " ".join([words[0], *words[2:]]))

    def pod_refused(self, pod: PodRecord) -> None:
        """The scheduler refused a pod; what it says of one of a shape it will say of all."""
        self.requests.wake("pod became unschedulable", about=pod.shape)

    async def scan_if_due(self, policy: str) -> None:
        """The heartbeat of a policy: a pass, awaited, if the last one is longer ago than its scanInterval."""
        found = next((p for p in self.resources.policies if p.name == policy), None)
        interval = found.spec.scan_interval if isinstance(found, AutoscalerPolicy) else timedelta(seconds=10)
        now = asyncio.get_running_loop().time()
        if self._last_pass_at is None or now - self._last_pass_at >= interval.total_seconds():
            await self.requests.ask("scan", settle=False)

    def resource_changed(self, kind: str, metadata: Mapping[str, Any]) -> None:
        """A NodePool or policy changed: our own status writes change neither generation nor deletionTimestamp."""
        key = (kind, metadata["uid"])
        seen = (metadata.get("generation", 0), "deletionTimestamp" in metadata)
        if self._generations.get(key) != seen:
            self._generations[key] = seen
            self.wake(f"{kind} changed")

    def look_around(self) -> None:
        """On standby: which pools there are, so that their clouds can be read. Decides and remembers nothing."""
        picture = self._cluster.picture(now=self._clock())
        self.resources.refresh(picture.node_pools, picture.policies)
        self._clouds.follow(pool for pool in self.resources.pools if not pool.metadata.being_deleted)

    @property
    def handing_over(self) -> asyncio.Event:
        """Set when another replica should lead."""
        return self._own_node.handing_over

    # --- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run passes until cancelled. A pass that fails is logged; the next one starts afresh."""
        try:
            while True:
                batch = await self.requests.next()
                async with self._single_flight:
                    took = await self._attempt(batch)
                interval = min(self._scan_intervals(), default=timedelta(seconds=10)).total_seconds()
                await asyncio.sleep(self.surroundings.load.passed(took=took, interval=interval))
        finally:
            self._searches.leave_off()
            self.requests.abandon()

    async def _attempt(self, batch: Batch[PassOutcome]) -> float:
        """Make one pass; how many seconds it took."""
        loop = asyncio.get_running_loop()
        self._pass_began, began = loop.time(), self._stopwatch()
        plan_id = secrets.token_hex(4)
        try:
            if self._cluster.is_synced:
                await self._pass(plan_id, batch.causes)
            batch.answer(PassOutcome(plan_id))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.exception("pass %s failed; the next one starts afresh", plan_id)
            self._reporter.pass_failed()
            batch.answer(PassOutcome(plan_id, error=str(error)))
        finally:
            self._pass_began = None
            self._last_pass_at = loop.time()
        return self._stopwatch() - began

    async def _pass(self, plan_id: str, causes: Mapping[str, int]) -> None:
        phases = Phases(self._stopwatch)
        with phases.of("snapshot"):
            snapshot = self._observe(plan_id)
        with phases.of("plan"):
            # A thread: numpy and HiGHS let go of the interpreter, and the informers go on meanwhile.
            plan = await asyncio.to_thread(self._planner.plan, snapshot)
        self._reporter.planned(plan, snapshot)
        for loss in self._losses.of(snapshot):
            self.outcome(loss)
        with phases.of("actuate"):
            await self._actuate(snapshot, plan)
        cause = next(iter(causes), "scan")
        self.passes[cause] = self.passes.get(cause, 0) + 1
        took = ", ".join(
            f"{phase} {duration.total_seconds():.3f} s" for phase, duration in phases.durations.items()
        )
        logger.debug("pass %s for %s: %s", plan_id, ", ".join(causes), took)
        self._reporter.passed(self._report(snapshot, plan, causes, phases.durations))
        self._improve_in_background()

    def _improve_in_background(self) -> None:
        """Let the searches of least-cost go on between passes: the next one begins where they end."""
        under_way = self._improving is not None and not self._improving.done()
        if self._searches.unfinished and not under_way and not self.surroundings.load.relief:
            seconds = BACKGROUND_SECONDS
            self._improving = asyncio.ensure_future(
                asyncio.to_thread(self._searches.improve, seconds=seconds)
            )

    def _observe(self, plan_id: str) -> Snapshot:
        now = self._clock()
        jump = self.surroundings.look(wall=now, monotonic=asyncio.get_running_loop().time())
        picture = self._cluster.picture(now=now)
        self._vanished.saw(picture)
        self.resources.refresh(picture.node_pools, picture.policies)
        self._released &= {pool.metadata.uid for pool in self.resources.pools}
        uids = {metadata.uid for metadata in self.resources.metadata.values()}
        self._generations = {key: seen for key, seen in self._generations.items() if key[1] in uids}
        pools = [pool for pool in self.resources.pools if pool.metadata.uid not in self._released]
        self._memories.follow(pools, now=now)
        self._clouds.follow(pool for pool in pools if not pool.metadata.being_deleted)
        if jump or self._last_pass_at is None:
            self._rebase(jump, now=now)
        self.requests.settle_by(p.spec for p in self.resources.policies if isinstance(p, AutoscalerPolicy))
        in_flight = self._actuator.in_flight
        self._memories.settle(self._clouds.listings, under_way=in_flight.purchases.keys(), now=now)
        return observe(
            now=now,
            plan_id=plan_id,
            picture=picture,
            pools=pools,
            policies=self.resources.policies,
            listings=self._clouds.listings,
            memories=self._memories.by_pool,
            refusals=self._memories.refusals,
            in_flight=in_flight,
            promised=self._memories.promised,
            recently_refused=self._memories.refused_lately(picture.pending_pods, now=now),
            unneeded=self._unneeded,
            timed=self._timed,
            correct=lambda group: self._vanished.without(self._actuator.targets.corrected(group)),
            degradations=self.surroundings.degradations(
                {pool.name: pool.spec.provider.kind for pool in pools}
            ),
            relief=self.surroundings.load.relief,
            settings=self._settings,
            kept_nodes=self._own_node.kept,
            cluster_autoscaler=self.surroundings.cluster_autoscaler(picture.ca_lease),
        )

    def _rebase(self, jump: timedelta, *, now: datetime) -> None:
        """The clock jumped, or an earlier process may have had another one: times we keep move along."""
        if jump:
            logger.warning("the clock jumped by %s: timers go on from where they were", jump)
        self._memories.rebase(jump, now=now)
        self._actuator.clock_jumped(jump)
        self._clouds.clock_jumped(jump)
        self._vanished.clock_jumped(jump)
        self._unneeded = {node: min(since + jump, now) for node, since in self._unneeded.items()}

    def _scan_intervals(self) -> list[timedelta]:
        return [p.spec.scan_interval for p in self.resources.policies if isinstance(p, AutoscalerPolicy)]

    async def _actuate(self, snapshot: Snapshot, plan: Plan) -> None:
        self._memories.absorb(plan)
        self._unneeded = {
            name: verdict.unneeded_since
            for name, verdict in plan.nodes.items()
            if verdict.unneeded_since is not None
        }
        self._timed = {view.uid for view in snapshot.pools if view.uid in self._timed or view.groups}
        managed = self._managed(snapshot)
        self._actuator.resume(snapshot.picture.nodes, managed)
        failed = next((d.message for d in plan.degradations if d.mode is DegradedMode.ZONE_OUTAGE), "")
        if failed:
            await self._actuator.withdraw_removals(failed)
        tasks = self._actuator.apply(plan, managed)
        self._release_abandoned(snapshot, managed)
        await self._actuator.settled(tasks, within=PURCHASE_WAIT_SECONDS)
        self._hurry_clouds(managed, snapshot.picture)
        await self._own_node.consider(plan, busy=self._actuator.in_flight.busy)

    def _hurry_clouds(self, managed: Mapping[str, ManagedPool], picture: ClusterPicture) -> None:
        in_flight = self._actuator.in_flight
        busy = {name for name in managed if self._memories.outstanding(name)}
        busy |= {removal.pool for removal in in_flight.removals.values()}
        busy |= {pool for pool, _ in in_flight.purchases}
        kinds = {managed[name].resource.spec.provider.kind for name in busy if name in managed}
        self._clouds.hurry(kinds)
        newcomers = self._clouds.unlisted(node.provider_id for node in picture.nodes)
        if newcomers - self._newcomers_seen:
            # A Node is here before the listing shows its instance: until then it passes for one still to come.
            self._clouds.read_now(kinds)
        self._newcomers_seen = newcomers

    def _release_abandoned(self, snapshot: Snapshot, managed: Mapping[str, ManagedPool]) -> None:
        """Groups taken off their pool and pools without a policy are let go, in the background; what fails is tried
        again by the next pass."""
        if self._releasing is not None and not self._releasing.done():
            return
        work = [
            self._actuator.release_pool(name, nodes, managed.get(name)) for name, nodes in lawless(snapshot)
        ]
        stray = strays(snapshot)
        if stray:
            work.append(self._actuator.release_pool("", stray, None))
        if work:
            self._releasing = asyncio.ensure_future(asyncio.gather(*work))

    def _managed(self, snapshot: Snapshot) -> dict[str, ManagedPool]:
        resources = {pool.name: pool for pool in self.resources.pools}
        return {
            view.name: ManagedPool(
                resource=resources[view.name],
                provider=self._providers[resources[view.name].spec.provider.kind],
                settings=view.settings,
            )
            for view in snapshot.pools
            if resources[view.name].spec.provider.kind in self._providers
        }

    def _report(
        self, snapshot: Snapshot, plan: Plan, causes: Mapping[str, int], phases: Mapping[str, timedelta]
    ) -> PassReport:
        return PassReport(
            snapshot=snapshot,
            plan=plan,
            causes=causes,
            phases=phases,
            pools={pool.name: pool for pool in self.resources.pools},
            invalid_pools=self.resources.invalid_pools,
            policies=self.resources.policies,
            metadata=self.resources.metadata,
            listings=dict(self._clouds.listings),
            removals={**snapshot.removals, **self._actuator.in_flight.removals},
            memories=self._memories.remembered,
        )

    # --- what actuation tells -------------------------------------------------------------------------------------

    def outcome(self, outcome: Outcome) -> None:
        """Remember and report what became of a decision."""
        self._memories.remember(outcome)
        self._reporter.outcome(outcome)
        if isinstance(outcome, PurchaseRefused | PurchaseFailed):
            # Planned anew at once, without the group that refused.
            self.wake("purchase failed")

    # --- letting go -----------------------------------------------------------------------------------------------

    async def release_pools(self, names: Iterable[str]) -> None:
        """Undo removals and lift taints on the nodes of these pools, and never touch them again. Nodes stay.

        Raises NotReleasedYet when a node could not be released: ask again.
        """
        names = set(names)
        async with self._single_flight:
            self._refresh_resources()
            self._released |= {pool.metadata.uid for pool in self.resources.pools if pool.name in names}
            await self._release(names)

    async def release_policy(self, name: str) -> None:
        """The same for all pools that follow a policy that is being deleted; they stay, with PolicyNotFound."""
        async with self._single_flight:
            self._refresh_resources()
            await self._release({p.name for p in self.resources.pools if p.spec.policy_ref.name == name})
        self.wake("AutoscalerPolicy deleted")

    def _refresh_resources(self) -> None:
        # kopf may call before the first pass of this process: an earlier one was stopped in the middle of a deletion.
        picture = self._cluster.picture(now=self._clock())
        self.resources.refresh(picture.node_pools, picture.policies)

    async def _release(self, names: set[str]) -> None:
        picture = self._cluster.picture(now=self._clock())
        failed: list[str] = []
        for pool in self.resources.pools:
            if pool.name in names:
                provider = self._providers.get(pool.spec.provider.kind)
                managed = None
                if provider is not None:
                    settings = resolve(pool.spec, AutoscalerPolicySpec())
                    managed = ManagedPool(resource=pool, provider=provider, settings=settings)
                nodes = nodes_of_pool(pool.name, picture, self._clouds.listings)
                failed += await self._actuator.release_pool(pool.name, nodes, managed)
        if failed:
            raise NotReleasedYet(f"still marked by us: {', '.join(sorted(failed)[:10])}")

    @property
    def has_unfinished_work(self) -> bool:
        """Purchases or removals are under way, or nodes wait to be let go."""
        outstanding = any(self._memories.outstanding(name) for name in self._memories.by_pool)
        return self._actuator.in_flight.busy or outstanding

    @property
    def seconds_since_pass(self) -> float:
        """Since the last pass ended; infinite before the first."""
        if self._last_pass_at is None:
            return float("inf")
        return asyncio.get_running_loop().time() - self._last_pass_at

    # --- probes ---------------------------------------------------------------------------------------------------

    def unhealthy(self) -> str:
        """What is wrong with the loop; empty when all is well."""
        return stalled(
            now=asyncio.get_running_loop().time(),
            began=self._pass_began,
            ended=self._last_pass_at,
            intervals=self._scan_intervals(),
        )

    def unready(self) -> str:
        """Why this process cannot work yet; empty when it can."""
        if self._cluster.is_synced:
            return ""
        return "; ".join(self._cluster.problems()) or "the informers are not synced yet"
