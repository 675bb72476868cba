"""From figures to a Result: beside the peers', the bounds, and whether the target was met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

from benchmarks.peers import STANDINGS, Standing, Target
from benchmarks.planning import Measured
from benchmarks.result import Result, compact, machine


def of_plan(name: str, measured: Measured) -> Result:
    """The result of a planning workload."""
    verified = measured.verified
    result = Result(
        name=name,
        wall_s=measured.wall_s,
        cpu_s=measured.cpu_s,
        quiet_cpu_s=measured.quiet_cpu_s,
        snapshot_wall_s=measured.snapshot_wall_s,
        snapshot_cpu_s=measured.snapshot_cpu_s,
        peak_rss_mib=round(measured.peak_rss_mib, 1),
        nodes=verified.nodes,
        vcpu=verified.vcpu,
        hourly_cost=verified.hourly_cost,
        removed=verified.removed,
        skew=verified.skew,
        passes=measured.passes,
        background_cost=measured.background_cost,
        unplaced=verified.unplaced,
        complaints=verified.complaints,
        unproven=verified.unproven,
    )
    bound = {} if measured.plan_bound is None else {"of_plan": measured.plan_bound}
    return judged(replace(result, bound=bound))


def judged(result: Result) -> Result:
    """With peers, bounds, target, and the verdict on it."""
    standing = STANDINGS.get(result.name, Standing())
    missed = tuple(_missed(result, standing.target))
    aims = compact(asdict(standing.target))
    return replace(
        result,
        bound={**compact(asdict(standing.bound)), **result.bound},
        target=aims,
        met=not missed if aims or missed else None,
        missed=missed,
        peers={
            peer: figures
            for peer, figures in (
                ("cluster-autoscaler", compact(asdict(standing.cluster_autoscaler))),
                ("karpenter", compact(asdict(standing.karpenter))),
            )
            if figures
        },
        machine=machine(),
    )


def _missed(result: Result, target: Target) -> Iterator[str]:
    if result.unplaced:
        yield f"{result.unplaced} pods are not planned for"
    yield from result.complaints
    for name in (
        "wall_s",
        "cpu_s",
        "nodes",
        "hourly_cost",
        "passes",
        "skew",
        "peak_rss_mib",
        "background_cost",
    ):
        most, actual = getattr(target, name), getattr(result, name)
        if most is not None and (actual is None or actual > most):
            yield f"{name} {_shown(actual)} > {most:g}"
    if target.removed is not None and (result.removed or 0) < target.removed:
        yield f"removed {result.removed} < {target.removed}"


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
