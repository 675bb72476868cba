"""bad-input: what nobody should write, and somebody will. Planning must stay right, and twice as much of it must not
take four times as long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.manifests import GIB, HOSTNAME, MIB, Manifest, node, pod
from benchmarks.planning import settle, warm_up
from benchmarks.result import Result, machine
from benchmarks.scene import EAGER_POLICY, Pool, Scene, build, group
from springtide.planning.plan import PendingOutcome, Plan
from springtide.planning.planner import plan

MOST_GROWTH: Final = 3.0
"""Of twice the input: two is linear, four is quadratic."""
TOO_QUICK_S: Final = 0.05
"""Below this, growth is noise."""
NODES: Final = 200
GROUPS: Final = 20


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of bad pod."""

    pods: Callable[[int], Iterator[Manifest]]
    size: int
    """The larger of the two inputs."""
    outcome: PendingOutcome
    """What must become of every one of them."""


def absurd_requests(count: int) -> Iterator[Manifest]:
    """More than any number of bytes or cores there is."""
    for i in range(count):
        yield pod(f"absurd-{i}", {"cpu": 10**15 + i, "memory": 9 * 10**18})


def selects_nothing(count: int) -> Iterator[Manifest]:
    for i in range(count):
        yield pod(f"lost-{i}", {"cpu": 100}, nodeSelector={"nowhere": f"place-{i}"})


def unknown_resources(count: int) -> Iterator[Manifest]:
    """Each pod asks for a resource of its own."""
    for i in range(count):
        yield pod(f"unknown-{i}", {"cpu": 100, f"example.com/resource-{i}": 1})


def distinct_shapes(count: int) -> Iterator[Manifest]:
    """No two pods are alike, so nothing can be done for many at once."""
    for i in range(count):
        yield pod(f"unique-{i}", {"cpu": 10 + i % 1000, "memory": 64 * MIB + i})


def affinity_terms(count: int) -> Iterator[Manifest]:
    """Pods with 100 terms of required anti-affinity each, none of which is about a pod that exists."""
    for i in range(count):
        terms = [
            {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": f"other-{i}-{t}"}}}
            for t in range(100)
        ]
        affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        yield pod(f"picky-{i}", {"cpu": 100}, labels={"app": f"picky-{i}"}, affinity=affinity)


def largest_labels(count: int) -> Iterator[Manifest]:
    """Sixty labels with keys and values of the greatest length, other ones on each pod."""
    for i in range(count):
        labels = {
            f"{'d' * 60}.{'e' * 60}.example.com/{'k' * 50}-{i:06}-{n:02}": f"{'v' * 56}{i:07}"
            for n in range(60)
        }
        yield pod(f"labelled-{i}", {"cpu": 100}, labels=labels)


CASES: Final[dict[str, Case]] = {
    "absurd-requests": Case(absurd_requests, 10_000, PendingOutcome.NO_GROUP),
    "selects-nothing": Case(selects_nothing, 4000, PendingOutcome.NO_GROUP),
    "unknown-resources": Case(unknown_resources, 2000, PendingOutcome.NO_GROUP),
    "distinct-shapes": Case(distinct_shapes, 10_000, PendingOutcome.TRIGGERS),
    "affinity-terms": Case(affinity_terms, 100, PendingOutcome.TRIGGERS),
    "largest-labels": Case(largest_labels, 1000, PendingOutcome.TRIGGERS),
}


def bad_input() -> Result:
    """Plan half and whole of each case, with as many running pods of the same kind on the nodes."""
    warm_up()
    figures: dict[str, Any] = {}
    missed: list[str] = []
    for name, case in CASES.items():
        half, whole = _planned(case, case.size // 2), _planned(case, case.size)
        growth = whole.cpu_s / max(half.cpu_s, TOO_QUICK_S)
        wrong = whole.wrong + half.wrong
        figures[name] = {
            "n": case.size,
            "half_cpu_s": round(half.cpu_s, 4),
            "cpu_s": round(whole.cpu_s, 4),
            "growth": round(growth, 2),
            "wrong": wrong,
        }
        print(f"  {name}: {figures[name]}", flush=True)
        if growth > MOST_GROWTH:
            missed.append(f"{name}: twice the input takes {growth:.1f} times as long")
        if wrong:
            missed.append(f"{name}: {wrong} pods have another outcome than {case.outcome.value}")
    return Result(
        name="bad-input",
        figures=figures,
        target={"growth": MOST_GROWTH},
        met=not missed,
        missed=tuple(missed),
        machine=machine(),
    )


@dataclass(frozen=True, slots=True)
class _Planned:
    cpu_s: float
    wrong: int


def _planned(case: Case, count: int) -> _Planned:
    snapshot = build(_scene(case, count)).snapshot
    settle()
    times = []
    for _ in range(2):
        began = time.process_time()
        made = plan(snapshot)
        times.append(time.process_time() - began)
    return _Planned(cpu_s=min(times), wrong=_wrong(made, case))


def _wrong(made: Plan, case: Case) -> int:
    return sum(len(verdict.pods) for verdict in made.pending if verdict.outcome is not case.outcome)


def _scene(case: Case, count: int) -> Scene:
    """Full nodes, so that whoever can be helped needs a new one."""
    resources = {"cpu": 16_000, "memory": 64 * GIB, "pods": 110}
    groups = tuple(
        group(
            f"group-{g}",
            {**resources, "cpu": 16_000 + 1000 * g},
            max_size=10_000,
            nodes=[f"node-{n}" for n in range(g, NODES, GROUPS)],
        )
        for g in range(GROUPS)
    )

    def pods() -> Iterator[Manifest]:
        for n in range(NODES):
            yield pod(f"full-{n}", {"cpu": 16_000 + 1000 * (n % GROUPS)}, node=f"node-{n}")
        yield from case.pods(count)

    def nodes() -> Iterator[Manifest]:
        for n in range(NODES):
            yield node(f"node-{n}", {**resources, "cpu": 16_000 + 1000 * (n % GROUPS)})

    return Scene(pools=(Pool(name="pool", groups=groups),), nodes=nodes, pods=pods, policy=EAGER_POLICY)
