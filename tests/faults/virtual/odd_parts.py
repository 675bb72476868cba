"""What odd objects have in common: labels, annotations, selectors, amounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.faults.virtual.oddities import (
    DURATIONS,
    KEYS,
    QUANTITIES,
    RESOURCES,
    SANE_QUANTITIES,
    TIMES,
    VALUES,
    spoiled,
)
from tests.manifests import Manifest


def some(rng: Random, make: Callable[[Random], Any], *, share: float, most: int = 3) -> list[Any]:
    """A few, or none."""
    return [make(rng) for _ in range(rng.randrange(1, most + 1))] if rng.random() < share else []


def odd_labels(rng: Random) -> Manifest:
    return {rng.choice(KEYS): rng.choice(VALUES) for _ in range(rng.randrange(4))}


def odd_annotations(rng: Random) -> Manifest:
    keys = (
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "cluster-autoscaler.kubernetes.io/pod-scale-up-delay",
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
        "karpenter.sh/do-not-disrupt",
        "kubernetes.io/config.mirror",
        "springtide.dev/removal",
        "delay-deletion.cluster-autoscaler.kubernetes.io/x",
    )
    return {
        rng.choice(keys): rng.choice(("true", "false", _removal(rng), *DURATIONS, *VALUES))
        for _ in range(rng.choice((0, 0, 1, 3)))
    }


def _removal(rng: Random) -> str:
    """What stands in our own annotation of a node that is being removed; or nearly."""
    record = {
        "phase": rng.choice(("Tainted", "Draining", "Terminating")),
        "since": rng.choice(TIMES),
        "deadline": rng.choice(TIMES),
        "planID": "abc",
        "cordonedByUs": rng.random() < 0.5,
        "pool": rng.choice(("general", "absent")),
        "group": "a",
        "instance": "general-a-1",
        "nodeUID": rng.choice(("odd-node-0", "other")),
        "reason": "Empty",
    }
    return json.dumps(spoiled(rng, record, times=rng.randrange(2)))


def odd_amounts(rng: Random) -> Manifest:
    # Mostly ones that make sense, or nearly every pod would be refused for its first quantity.
    sane = rng.random() < 0.8
    return {
        rng.choice(RESOURCES[:3] if sane else RESOURCES): rng.choice(SANE_QUANTITIES if sane else QUANTITIES)
        for _ in range(rng.randrange(4))
    }


def odd_requirement(rng: Random) -> Manifest:
    return {
        "key": rng.choice(KEYS),
        "operator": rng.choice(
            ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "In", "Exists", rng.choice(("Like", "")))
        ),
        "values": rng.choice(
            ([], ["web"], ["3"], ["zone-a", "zone-b"], ["a"] * 200, ["9" * 40], ["-7", "x"])
        ),
    }


def odd_selector(rng: Random) -> Any:
    labels = {rng.choice(KEYS): rng.choice(VALUES)} if rng.random() < 0.6 else {}
    expressions = [
        {**one, "operator": rng.choice(("In", "NotIn", "Exists", "DoesNotExist"))}
        if rng.random() < 0.95
        else one
        for one in some(rng, odd_requirement, share=0.4)
    ]
    return rng.choice(
        (None, {}, {"matchLabels": labels}, {"matchLabels": labels, "matchExpressions": expressions})
    )
