"""The workloads are what their formulas say; every one is judged by a target of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest

from benchmarks.check import Verified
from benchmarks.peers import STANDINGS
from benchmarks.planning import Measured
from benchmarks.result import percentile
from benchmarks.scene import Scene, hourly_price
from benchmarks.standing import of_plan
from benchmarks.table import as_markdown, as_text
from benchmarks.trace import openb
from benchmarks.workloads import WORKLOADS, c, est_51k


def totals(scene: Scene) -> Counter[str]:
    """cpu in milli, number of pods."""
    found: Counter[str] = Counter()
    for pod in scene.pods():
        requests = pod["spec"]["containers"][0]["resources"]["requests"]
        found["pods"] += 1
        found["cpu"] += int(requests.get("cpu", "0m").removesuffix("m"))
        found["gpu"] += int(requests.get("nvidia.com/gpu", "0"))
    return found


@pytest.mark.parametrize(
    ("scene", "pods", "cpu", "gpu"),
    [
        # The sums are those of the formulas, worked out apart: 50 pods of each k for c.
        pytest.param(est_51k(), 51_000, 50_000 * 50 + 1000 * 95, 0, id="est-51k"),
        pytest.param(c(), 15_000, 50 * sum(100 + 50 * (7 * k % 40) for k in range(300)), 0, id="c"),
        pytest.param(openb(), 8152, 85_436_012, 7433, id="o"),
    ],
)
def test_inputs_are_those_that_the_peers_had(scene: Scene, pods: int, cpu: int, gpu: int) -> None:
    found = totals(scene)
    assert (found["pods"], found["cpu"]) == (pods, cpu)
    assert found["gpu"] == gpu


def test_one_formula_prices_all_nodes() -> None:
    assert hourly_price({"cpu": 8000, "memory": 32 * 2**30, "nvidia.com/gpu": 2}) == pytest.approx(2.48)


def test_every_planning_workload_has_a_standing() -> None:
    assert set(WORKLOADS) <= set(STANDINGS)


def measured(**figures: object) -> Measured:
    known = {"nodes": 1000, "vcpu": 1, "hourly_cost": 1.0, "unplaced": 0, "removed": 0, "skew": None}
    verified = Verified(**(known | {"complaints": ()} | figures))  # type: ignore[arg-type]
    return Measured(
        wall_s=0.1,
        cpu_s=0.05,
        snapshot_wall_s=1,
        snapshot_cpu_s=1,
        quiet_cpu_s=0.1,
        peak_rss_mib=100,
        passes=1,
        background_cost=None,
        plan_bound=None,
        verified=verified,
    )


@pytest.mark.parametrize(
    ("figures", "missed"),
    [
        pytest.param({}, (), id="met"),
        pytest.param({"nodes": 1001}, ("nodes 1001 > 1000",), id="too many nodes"),
        pytest.param({"unplaced": 3}, ("3 pods are not planned for",), id="some left out"),
        pytest.param({"complaints": ("overfull",)}, ("overfull",), id="wrong"),
    ],
)
def test_targets_are_judged(figures: dict[str, object], missed: tuple[str, ...]) -> None:
    result = of_plan("up-50k", measured(**figures))
    assert result.missed == missed
    assert result.met is (not missed)


def test_tables_show_the_peers_beside_us() -> None:
    entry = asdict(of_plan("up-50k", measured()))
    assert "13.5" in as_text([entry])
    assert "243" in as_markdown([entry])


def test_percentiles_are_of_nearest_rank() -> None:
    assert [percentile([3, 1, 2, 4], share) for share in (0.25, 0.5, 1.0)] == [1, 2, 4]
