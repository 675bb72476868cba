"""Random custom resources and pods through the whole operator, from their JSON to statuses: no crash, no pass much longer
than others of its size.

Whatever they hold, each pass must end well, and what is in order beside them must be served. `make faults ARGS="-k fuzz -s"`
prints the times.
"""

from __future__ import annotations

import json
import logging
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from springtide.api.nodepool import NodePool
from springtide.api.parse import InvalidResource, parse_nodepool, parse_policy
from springtide.api.policy import AutoscalerPolicy
from springtide.cluster.codec import Key
from springtide.cluster.kube import KubeClient
from springtide.cluster.state import ClusterState
from springtide.cluster.store import Store
from springtide.cluster.watching import ClusterWatch
from tests.faults.amount import LONG
from tests.faults.virtual.odd_pods import odd_pod
from tests.faults.virtual.odd_resources import odd_resource
from tests.faults.virtual.odd_surroundings import odd_surroundings
from tests.faults.virtual.oddities import odd_value, spoiled
from tests.scenarios.world import World, group

TIMES_AS_MANY = 10 if LONG else 1
PODS_OF_A_BATCH = (1, 10, 100)
WIDTH_OF_A_CLASS = 4
"""Passes are compared with those whose objects are of like size: up to so many times as many bytes. A tenant can put as
much into one pod as into hundreds, so bytes tell more than heads."""
FEWEST = 8
"""Passes that a class must have for its median to mean anything."""
FLOOR_SECONDS = 0.25
"""Of CPU: passes shorter than this may differ for any reason, on any machine."""
LONGEST_TO_MEDIAN = 10


@pytest.fixture(autouse=True)
def quietly(monkeypatch: pytest.MonkeyPatch) -> Iterator[Complaints]:
    """What the operator complains of; not printed, for there is much."""
    complaints = Complaints()
    logger = logging.getLogger("springtide")
    logger.addHandler(complaints)
    level, logger.propagate = logger.level, False
    yield complaints
    logger.removeHandler(complaints)
    logger.setLevel(level)
    logger.propagate = True


class Complaints(logging.Handler):
    """Errors with tracebacks: none is expected, whatever users write."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self.told.append(text)


@dataclass(frozen=True, slots=True, order=True)
class Measured:
    """One pass. The batch's number makes its objects again."""

    seconds: float
    """Of CPU."""
    batch: int
    objects: int
    size: int
    """Bytes of their JSON."""


@dataclass
class Times:
    """What passes took."""

    passes: list[Measured] = field(default_factory=list)

    def classes(self) -> dict[int, list[Measured]]:
        """By the most bytes in a class."""
        by_size: dict[int, list[Measured]] = {}
        for one in sorted(self.passes, key=lambda one: one.size):
            most = WIDTH_OF_A_CLASS ** math.ceil(math.log(max(one.size, 2), WIDTH_OF_A_CLASS))
            by_size.setdefault(most, []).append(one)
        return by_size

    def table(self) -> str:
        rows = ["up to bytes  passes   objects    median   longest  (batch)"]
        for most, members in self.classes().items():
            longest, median = max(members), statistics.median(one.seconds for one in members)
            objects = f"{min(one.objects for one in members)}-{max(one.objects for one in members)}"
            rows.append(
                f"{most:11,}  {len(members):6}  {objects:>8}  {median:6.4f} s  {longest.seconds:6.4f} s  ({longest.batch})"
            )
        return "\n".join(rows)

    def outliers(self) -> list[str]:
        found = []
        for members in self.classes().values():
            median = statistics.median(one.seconds for one in members)
            bound = max(FLOOR_SECONDS, LONGEST_TO_MEDIAN * median)
            if len(members) >= FEWEST:
                found += [f"{one}: more than {bound:.3f} s" for one in members if one.seconds > bound]
        return found


# --- models ----------------------------------------------------------------------------------------------------------


def parse_all(count: int, *, seed: int) -> tuple[int, int]:
    """Read so many random resources; (valid ones, refused ones). Each refusal must name what is wrong."""
    valid = refused = 0
    for number in range(count):
        rng = Random(f"{seed}/{number}")
        manifest = odd_resource(rng, number)
        manifest = rng.choice(
            (manifest, spoiled(rng, manifest, times=3), odd_value(rng), {"metadata": odd_value(rng)})
        )
        for parse in (parse_nodepool, parse_policy):
            read = parse(manifest)
            if isinstance(read, InvalidResource):
                refused += 1
                assert read.problems, manifest
                assert len(read.message) < 100_000
            else:
                assert isinstance(read, NodePool | AutoscalerPolicy)
                valid += 1
    return valid, refused


def test_random_resources_are_read_or_refused() -> None:
    valid, refused = parse_all(300, seed=1)
    assert min(valid, refused) > 30


@pytest.mark.faults
def test_ten_thousand_random_resources_are_read_or_refused() -> None:
    valid, refused = parse_all(10_000 * TIMES_AS_MANY, seed=2)
    assert min(valid, refused) > 1_000


# --- resources through the operator --------------------------------------------------------------------------------


async def live_through_resources(count: int, *, seed: int, batch: int = 10) -> None:
    """So many random resources, a few at a time, beside a pool that must go on working all the time."""
    world = await World().started()
    for first in range(0, count, batch):
        names = []
        for number in range(first, min(first + batch, count)):
            manifest = odd_resource(Random(f"{seed}/{number}"), number)
            world.server.put(manifest["kind"], manifest)
            names.append((manifest["kind"], manifest["metadata"]["name"]))
        await world.after(25)
        for kind, name in names:
            if kind == "NodePool":
                assert world.condition(pool=name), f"{name} of seed {seed} has no condition"
            world.server.delete(kind, ("", name))
    await world.after(15)
    world.deploy("web", 3)
    await world.until(lambda: len(world.running("web")) == 3, within=120)
    await world.kill_operator()


@pytest.mark.looptime(noop_cycles=1)
async def test_random_resources_beside_a_good_pool(quietly: Complaints) -> None:
    await live_through_resources(100, seed=3)
    assert not quietly.told, quietly.told[0]


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.looptime(noop_cycles=1)
async def test_ten_thousand_random_resources_beside_a_good_pool(quietly: Complaints) -> None:
    await live_through_resources(10_000 * TIMES_AS_MANY, seed=5)
    assert not quietly.told, quietly.told[0]


# --- pods through the operator --------------------------------------------------------------------------------------

POOLS = {
    "general": {
        "groups": [
            group("a", zone="zone-a", maxSize=6, hourlyPrice="0.2"),
            group("b", zone="zone-b", maxSize=6, hourlyPrice="0.2"),
        ]
    },
    "gpu": {
        "groups": [
            group(
                "g",
                zone="zone-b",
                maxSize=4,
                capacity={"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "4"},
                hourlyPrice="2",
            )
        ],
        "template": {
            "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
            "labels": {"tier": "web"},
        },
    },
}
EXPANDERS = (["least-waste"], ["least-cost"], ["most-pods", "price"])


async def live_through_pods(count: int, *, seed: int) -> Times:
    """So many random pods in batches of all sizes, as JSON from an API server; the CPU time of the pass after each."""
    world = await World(pools=POOLS).started()
    world.deploy("web", 5)
    await world.until(lambda: len(world.running("web")) == 5, within=120)
    times, made, batch = Times(), 0, 0
    while made < count:
        if batch % 30 == 0:
            world.edit_policy(expanders=EXPANDERS[batch // 30 % len(EXPANDERS)])
        pods = min(PODS_OF_A_BATCH[batch % len(PODS_OF_A_BATCH)], count - made)
        times.passes.append(await _one_pass(world, seed=seed, batch=batch, count=pods))
        made, batch = made + pods, batch + 1
    await world.after(15)
    world.deploy("late", 3)
    await world.until(lambda: len(world.running("late")) == 3, within=120)
    await world.kill_operator()
    return times


async def _one_pass(world: World, *, seed: int, batch: int, count: int) -> Measured:
    """Show a batch to the operator, let it live with it for a while, take it away; what its first pass took."""
    process, rng = world.operator, Random(f"{seed}/{batch}")
    nodes = [node.name for node in world.nodes]
    pods = [odd_pod(rng, number, nodes) for number in range(count)]
    shown = {
        resource: (len(manifests), json.dumps({"items": manifests}).encode())
        for resource, manifests in {**odd_surroundings(rng), "pods": pods}.items()
    }
    await world.after(1)
    passes, began = sum(process.engine.passes.values()), time.process_time()
    stores = list(_show(process.watcher.state, {resource: body for resource, (_, body) in shown.items()}))
    process.engine.wake("fuzz")
    await world.until(lambda: sum(process.engine.passes.values()) > passes, within=60)
    seconds = time.process_time() - began
    await world.after(12)
    for store, key in stores:
        store.delete(key)
    return Measured(
        seconds=seconds,
        batch=batch,
        objects=sum(number for number, _ in shown.values()),
        size=sum(len(body) for _, body in shown.values()),
    )


def _show(state: ClusterState, shown: Mapping[str, bytes]) -> Iterator[tuple[Store[Any], Key]]:
    """Put objects into the informers' stores as their bytes would come from an API server; where they are."""
    watch = ClusterWatch(KubeClient.from_environment("unused"), state=state)
    by_resource = {informer.resource.name: informer for informer in watch.informers}
    for resource, body in shown.items():
        informer = by_resource[resource]
        page = informer.resource.codec.decode_page(body)
        for key, item in page.items:
            if informer.store.get(key) is None:
                informer.store.upsert(key, item)
                yield informer.store, key


@pytest.mark.looptime(noop_cycles=1)
async def test_random_pods(quietly: Complaints) -> None:
    await live_through_pods(300, seed=4)
    assert not quietly.told, quietly.told[0]


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.looptime(noop_cycles=1)
async def test_ten_thousand_random_pods_and_no_pass_longer_than_its_like(quietly: Complaints) -> None:
    times = await live_through_pods(10_000 * TIMES_AS_MANY, seed=6)
    sys.stdout.write(f"\n{times.table()}\n")
    assert not quietly.told, quietly.told[0]
    assert not times.outliers(), times.table()
