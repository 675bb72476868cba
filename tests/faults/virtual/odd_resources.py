"""Random custom resources, odder than any API server would store."""

from __future__ import annotations

import copy
from random import Random

from tests.faults.virtual.oddities import odd_value, spoiled
from tests.manifests import GOOD, Manifest


def odd_resource(rng: Random, number: int) -> Manifest:
    """A NodePool or AutoscalerPolicy, often valid but for one thing, with the metadata that an API server gives."""
    good = rng.choice(list(GOOD.values()))
    manifest = copy.deepcopy(good)
    if manifest["kind"] == "NodePool" and rng.random() < 0.7:
        manifest["spec"]["provider"] = _simulated(rng)
    spec = spoiled(rng, {"spec": manifest["spec"]}, times=rng.choice((0, 1, 1, 2, 5))).get("spec", {})
    if rng.random() < 0.1:
        manifest["status"] = odd_value(rng)
    elif rng.random() < 0.3:
        manifest["status"] = spoiled(rng, _STATUS, times=rng.choice((1, 3)))
    metadata = {"name": f"odd-{number}", "uid": f"odd-{number}", "generation": rng.choice((1, 2, 10**9))}
    return {**manifest, "metadata": metadata, "spec": spec}


def _simulated(rng: Random) -> Manifest:
    amounts = ("4", "64", "0", "250m", "1e30", "9223372036854775807", 16)
    groups = [
        {
            "name": f"g{index}",
            "zone": rng.choice(("zone-a", "zone-b", "")),
            "minSize": rng.choice((0, 0, 0, 1)),
            "maxSize": rng.choice((0, 3, 1_000_000)),
            "capacity": {"cpu": rng.choice(amounts), "memory": rng.choice(("16Gi", "1Ei", "0", "1"))},
            "hourlyPrice": rng.choice(("0.1", "0", "1e30", "9" * 32, 3)),
        }
        for index in range(rng.choice((1, 2, 5)))
    ]
    return {"simulated": {"groups": groups}}


_STATUS: Manifest = {
    "observedGeneration": 1,
    "size": {"target": 3, "min": 0, "max": 9},
    "groups": [
        {
            "id": "g0",
            "target": 3,
            "min": 0,
            "max": 9,
            "ready": 2,
            "unfulfilled": 1,
            "purchase": {
                "since": "2026-01-01T12:00:00.000000Z",
                "from": 1,
                "to": 3,
                "planID": "abc",
                "registered": 1,
            },
            "backoff": {
                "until": "2026-01-01T12:10:00Z",
                "reason": "OutOfCapacity",
                "failures": 3,
                "message": "none left",
            },
            "lastError": {"time": "2026-01-01T12:00:00Z", "message": "none left"},
        }
    ],
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Accepted",
            "message": "",
            "lastTransitionTime": "2026-01-01T12:00:00Z",
        }
    ],
    "lastProbeTime": "2026-01-01T12:00:00Z",
    "lastDecision": {"time": "2026-01-01T12:00:00Z", "planID": "abc", "action": "ScaleUp", "summary": "x"},
}
