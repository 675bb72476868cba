"""k-N and k-pref: the pods and instance types of Karpenter's own scheduling benchmark (scheduling_benchmark_test.go).

Its generator of random numbers is Go's and cannot be had here: the distributions are the same, the sequence is not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks.manifests import GIB, HOSTNAME, MIB, ZONE, Manifest, pod
from benchmarks.scene import EAGER_POLICY, Pool, Scene, group

ZONES: Final = ("test-zone-1", "test-zone-2", "test-zone-3")
CPUS: Final = (100, 250, 500, 1000, 1500)
MEMORIES_MIB: Final = (100, 256, 512, 1024, 2048, 4096)
LETTERS: Final = "abcdefg"


def diverse(count: int) -> Scene:
    """A fifth each: generic, zone spread, hostname spread, zone self-affinity, hostname anti-affinity."""

    def pods() -> Iterator[Manifest]:
        rng = random.Random(42)
        for kind in _KINDS:
            for i in range(count // len(_KINDS)):
                yield kind(rng, f"{kind.__name__.strip('_')}-{i}".replace("_", "-"))

    return Scene(pools=tuple(_pools()), pods=pods)


def preferences() -> Scene:
    """4,000 equal pods with one node preference and two preferred anti-affinities, one of which cannot be met."""
    term = {"labelSelector": {"matchLabels": {"app": "nginx"}}}
    affinity = {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "preference": {
                        "matchExpressions": [{"key": ZONE, "operator": "In", "values": ["test-zone-1"]}]
                    },
                }
            ]
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 10, "podAffinityTerm": {"topologyKey": ZONE, **term}},
                {"weight": 1, "podAffinityTerm": {"topologyKey": HOSTNAME, **term}},
            ]
        },
    }

    def pods() -> Iterator[Manifest]:
        for i in range(4000):
            requests = {"cpu": 1000, "memory": 512 * MIB}
            yield pod(f"pref-{i}", requests, labels={"app": "nginx"}, affinity=affinity)

    policy = {**EAGER_POLICY, "expanders": ["least-nodes"]}
    return Scene(pools=tuple(_pools()), pods=pods, policy=policy)


def _pools() -> Iterator[Pool]:
    """400 types of 1 … 400 vCPU, each in three zones."""
    for i in range(400):
        resources = {"cpu": 1000 * (i + 1), "memory": 2 * (i + 1) * GIB, "pods": 10 * (i + 1)}
        reserved = {"cpu": 100, "memory": 10 * MIB}
        allocatable = {name: amount - reserved.get(name, 0) for name, amount in resources.items()}
        groups = tuple(
            group(f"fake-it-{i}-{zone}", resources, allocatable=allocatable, max_size=10_000, zone=zone)
            for zone in ZONES
        )
        yield Pool(name=f"fake-it-{i}", groups=groups)


# --- kinds of pods -----------------------------------------------------------------------------------------------


def _generic(rng: random.Random, name: str) -> Manifest:
    return _pod(rng, name, {"my-label": rng.choice(LETTERS)})


def _zone_spread(rng: random.Random, name: str) -> Manifest:
    return _spread_over(rng, name, ZONE)


def _hostname_spread(rng: random.Random, name: str) -> Manifest:
    return _spread_over(rng, name, HOSTNAME)


def _spread_over(rng: random.Random, name: str, key: str) -> Manifest:
    """Its selector is a draw of its own, so a pod often does not count itself."""
    constraint = {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"my-label": rng.choice(LETTERS)}},
    }
    labels = {"my-label": rng.choice(LETTERS)}
    return _pod(rng, name, labels, topologySpreadConstraints=[constraint])


def _zone_affinity(rng: random.Random, name: str) -> Manifest:
    labels = {"my-affininity": rng.choice(LETTERS)}
    return _pod(rng, name, labels, affinity=_required("podAffinity", ZONE, labels))


def _hostname_anti_affinity(rng: random.Random, name: str) -> Manifest:
    labels = {"app": "nginx"}
    return _pod(rng, name, labels, affinity=_required("podAntiAffinity", HOSTNAME, labels))


def _required(kind: str, key: str, labels: dict[str, str]) -> Manifest:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _pod(rng: random.Random, name: str, labels: dict[str, str], **spec: Any) -> Manifest:
    requests = {"cpu": rng.choice(CPUS), "memory": rng.choice(MEMORIES_MIB) * MIB}
    return pod(name, requests, labels=labels, **spec)


_KINDS: Final[tuple[Callable[[random.Random, str], Manifest], ...]] = (
    _generic,
    _zone_spread,
    _hostname_spread,
    _zone_affinity,
    _hostname_anti_affinity,
)
