"""Values odder than any API server would store, and manifests spoiled by them: everything comes from the seed."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from tests.manifests import Manifest

NAMESPACES = ("default", "shop", "kube-system")
KEYS = (
    "app",
    "tier",
    "topology.kubernetes.io/zone",
    "kubernetes.io/hostname",
    "example.com/x",
    "",
    "Ünïcode/ключ",
    "a" * 400,
)
VALUES = (
    "web",
    "a",
    "b",
    "zone-a",
    "zone-b",
    "",
    "3",
    "-7",
    "1e9",
    "x" * 5000,
    "…\u202e[red]",
    "\x1b[31m",
    "日本",
    # Taints tell times as seconds: in the year 10000, and beyond any.
    "253402300800",
    "9" * 30,
)
SANE_QUANTITIES = ("1", "250m", "0.5m", "1Gi", "512Mi", "4", "100Ki", "2500000u", "0", "1.5Gi", "7n")
_HUGE_QUANTITIES = (
    "1e30",
    "-5",
    "1Ei",
    "99999999999999999999",
    "1E3",
    "9" * 5000,
    "1e-400",
    "1e2147483648",
    "8E",
)
_NO_QUANTITIES = ("", "a lot", "1 Gi", "NaN", "--1", "1Zi", "०")
QUANTITIES = SANE_QUANTITIES + _HUGE_QUANTITIES + _NO_QUANTITIES
RESOURCES = (
    "cpu",
    "memory",
    "ephemeral-storage",
    "nvidia.com/gpu",
    "hugepages-2Mi",
    "pods",
    "",
    "attachable-volumes-aws-ebs",
)
TIMES = (
    "2026-01-01T12:00:00Z",
    "2026-01-01T12:00:00.123456789Z",
    "2025-01-01T00:00:00+14:00",
    "2062-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
)
DURATIONS = (
    "10m",
    "1h30m",
    "0",
    "0s",
    "-1s",
    "292y",
    "1e9s",
    "9" * 30 + "h",
    "1",
    "PT1H",
    "٣s",
    "1.5.5s",
    "2562047h47m16s",
    "",
)


def odd_scalar(rng: Random) -> Any:
    """Any JSON value that is not made of others."""
    return rng.choice(
        [
            lambda: rng.choice((0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 10**300, 7)),
            lambda: rng.choice((0.5, -0.0, 1e308, 1e-320, 3.0)),
            lambda: rng.choice((True, False, None)),
            lambda: rng.choice(QUANTITIES),
            lambda: rng.choice(DURATIONS),
            lambda: rng.choice(TIMES),
            lambda: rng.choice(VALUES),
            lambda: "".join(
                chr(rng.choice((rng.randrange(1, 128), rng.randrange(160, 0xD7FF))))
                for _ in range(rng.randrange(40))
            ),
        ]
    )()


def odd_value(rng: Random) -> Any:
    """Any JSON value, sometimes deep or long."""
    match rng.randrange(12):
        case 0:
            return [odd_scalar(rng) for _ in range(rng.choice((0, 1, 3, 300)))]
        case 1:
            return {str(odd_scalar(rng)): odd_scalar(rng) for _ in range(rng.choice((0, 1, 3, 100)))}
        case 2:
            return _nested(rng.choice((3, 30, 200)), rng.choice(("list", "object")))
        case _:
            return odd_scalar(rng)


def _nested(depth: int, kind: str) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


def spoiled(rng: Random, manifest: Manifest, *, times: int) -> Manifest:
    """The manifest with so many random changes at random places."""
    changed = copy.deepcopy(manifest)
    for _ in range(times):
        _spoil(rng, changed)
    return changed


def _spoil(rng: Random, value: Any) -> None:
    """Go down a random path, and change what is there."""
    while isinstance(value, (dict, list)) and value:
        key: Any = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        inside = value[key]
        if isinstance(inside, (dict, list)) and inside and rng.random() < 0.8:
            value = inside
            continue
        match rng.randrange(6):
            case 0:
                del value[key]
            case 1 if isinstance(value, dict):
                value[str(odd_scalar(rng))] = inside
            case 1:
                value.extend([inside] * rng.choice((1, 50)))
            case _:
                value[key] = odd_value(rng)
        return
