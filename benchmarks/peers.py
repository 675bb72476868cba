"""What Cluster Autoscaler and Karpenter needed for the same inputs, what bounds are proved, and what we aim at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HARDWARE: Final = (
    "Peers were measured in November 2026 on 2 cores (AMD EPYC, KVM), 24 GiB, Go 1.26, GOMAXPROCS 2. Cluster "
    "Autoscaler: core of 2026-08-21 built against Kubernetes 1.36.3, product defaults (max-nodes-per-scaleup 1000, 10 s "
    "per group, parallelism 4, expander least-waste), RunOnce repeated until nothing is bought. Karpenter: core of "
    "2026-08-20, its scheduler's Solve. CPU seconds are user + system."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One peer on one workload; what was not measured is absent."""

    cpu_s: float | None = None
    loops: int | None = None
    nodes: int | None = None
    removed: int | None = None
    vcpu: int | None = None
    hourly_cost: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What no plan can be better than."""

    nodes: int | None = None
    removed: int | None = None
    hourly_cost: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What we aim at; every given figure must be met."""

    wall_s: float | None = None
    cpu_s: float | None = None
    nodes: int | None = None
    """At most."""
    removed: int | None = None
    """At least."""
    hourly_cost: float | None = None
    passes: int | None = None
    skew: int | None = None
    peak_rss_mib: float | None = None
    background_cost: float | None = None
    """$/h after 30 s of improvement in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A workload's place among its peers."""

    cluster_autoscaler: Figures = Figures()
    karpenter: Figures = Figures()
    bound: Bound = Bound()
    target: Target = Target()


STANDINGS: Final[dict[str, Standing]] = {
    "up-50k": Standing(
        cluster_autoscaler=Figures(
            cpu_s=13.5, nodes=1000, note="13.5–15.4 s, 1.3 GiB RSS; one ReplicaSet and fast path 1.7 s"
        ),
        karpenter=Figures(cpu_s=243, nodes=1000),
        bound=Bound(nodes=1000),
        target=Target(cpu_s=0.1, nodes=1000, passes=1),
    ),
    "down-80k": Standing(
        cluster_autoscaler=Figures(cpu_s=14.7, removed=1200, note="14.7–17 s, 2.3 GiB RSS"),
        bound=Bound(removed=1200),
        target=Target(cpu_s=0.4, removed=1200, peak_rss_mib=400),
    ),
    "est-51k": Standing(
        cluster_autoscaler=Figures(cpu_s=5, nodes=2595, note="fast path 0.018 s wall"),
        bound=Bound(nodes=2595),
        target=Target(cpu_s=0.05, nodes=2595, passes=1),
    ),
    "a1": Standing(
        cluster_autoscaler=Figures(cpu_s=91, loops=7, nodes=5000, note="50 s with raised limits"),
        karpenter=Figures(cpu_s=39.5, nodes=5000),
        bound=Bound(nodes=5000),
        target=Target(cpu_s=0.1, nodes=5000, passes=1),
    ),
    "a2": Standing(
        cluster_autoscaler=Figures(cpu_s=9.3, nodes=700, vcpu=2800, hourly_cost=168),
        karpenter=Figures(cpu_s=13.6, nodes=700, vcpu=2800, hourly_cost=168),
        bound=Bound(nodes=652, note="by volume"),
        target=Target(cpu_s=0.3, nodes=700, passes=1),
    ),
    "a2-least-cost": Standing(
        cluster_autoscaler=Figures(cpu_s=9.3, nodes=700, vcpu=2800, hourly_cost=168),
        karpenter=Figures(cpu_s=13.6, nodes=700, vcpu=2800, hourly_cost=168),
        bound=Bound(nodes=652, note="by volume; 658 is known"),
        target=Target(nodes=660, passes=1),
    ),
    "b1": Standing(
        cluster_autoscaler=Figures(cpu_s=7.6, nodes=625, note="all in one zone"),
        karpenter=Figures(cpu_s=15.9, nodes=627),
        bound=Bound(nodes=625),
        target=Target(cpu_s=0.1, nodes=627, skew=1, passes=1),
    ),
    "b2": Standing(
        cluster_autoscaler=Figures(
            cpu_s=370, note="unfinished: one node a loop, more than 535; with salvo 903"
        ),
        bound=Bound(nodes=625),
        target=Target(cpu_s=0.1, nodes=627, skew=1, passes=1),
    ),
    "b3": Standing(
        cluster_autoscaler=Figures(cpu_s=71, loops=78, nodes=629),
        karpenter=Figures(cpu_s=17.8, nodes=625),
        bound=Bound(nodes=625),
        target=Target(cpu_s=0.3, nodes=630, skew=1, passes=1),
    ),
    "c": Standing(
        cluster_autoscaler=Figures(cpu_s=59, loops=7, nodes=2164, vcpu=17_048, hourly_cost=853),
        karpenter=Figures(cpu_s=57, nodes=508, vcpu=16_200, hourly_cost=898),
        bound=Bound(
            hourly_cost=803.75, note="pattern LP; an integer plan of 813.6 with 3,063 nodes is known"
        ),
        target=Target(cpu_s=1, hourly_cost=865, passes=1),
    ),
    "c-least-cost": Standing(
        cluster_autoscaler=Figures(cpu_s=59, loops=7, nodes=2164, vcpu=17_048, hourly_cost=853),
        karpenter=Figures(cpu_s=57, nodes=508, vcpu=16_200, hourly_cost=898),
        bound=Bound(
            hourly_cost=803.75, note="pattern LP; an integer plan of 813.6 with 3,063 nodes is known"
        ),
        target=Target(hourly_cost=830, background_cost=815),
    ),
    "o": Standing(
        cluster_autoscaler=Figures(cpu_s=142, loops=91, nodes=2156, vcpu=133_306, hourly_cost=22_717),
        karpenter=Figures(cpu_s=49.8, nodes=1049, vcpu=99_054, hourly_cost=14_161),
        bound=Bound(
            hourly_cost=12_409, note="pattern LP; an integer plan of 12,474 with 1,217 nodes is known"
        ),
        target=Target(cpu_s=1, hourly_cost=14_000),
    ),
    "o-least-cost": Standing(
        cluster_autoscaler=Figures(cpu_s=142, loops=91, nodes=2156, vcpu=133_306, hourly_cost=22_717),
        karpenter=Figures(cpu_s=49.8, nodes=1049, vcpu=99_054, hourly_cost=14_161),
        bound=Bound(
            hourly_cost=12_409, note="pattern LP; an integer plan of 12,474 with 1,217 nodes is known"
        ),
        target=Target(hourly_cost=12_900, background_cost=12_600),
    ),
    "k-5000": Standing(
        karpenter=Figures(cpu_s=17, nodes=1000),
        bound=Bound(nodes=1000),
        target=Target(cpu_s=0.8),
    ),
    "k-20000": Standing(
        karpenter=Figures(cpu_s=91, nodes=4000, note="58 s wall, 522 MiB"),
        bound=Bound(nodes=4000),
        target=Target(cpu_s=3),
    ),
    "k-pref": Standing(
        karpenter=Figures(cpu_s=71.6, nodes=4000, note="ignoring preferences 4.2 s, 11 nodes"),
        bound=Bound(nodes=11),
        target=Target(cpu_s=0.1, nodes=11),
    ),
    "xl": Standing(target=Target(cpu_s=1.5, peak_rss_mib=500)),
    "lone": Standing(
        cluster_autoscaler=Figures(note="p50 10.0 s, min 8.6 s, max 10.0 s from pod to node object (n = 25)"),
        karpenter=Figures(note="1.01 s to NodeClaim, 1.03 s to Node (n = 23)"),
    ),
    "burst-1k": Standing(
        cluster_autoscaler=Figures(nodes=33, note="8.2 s until all run, 5 purchases"),
        karpenter=Figures(
            nodes=33, note="19.7 s until all run with nodes of at most 16 vCPU; 13.1 s with 256 vCPU"
        ),
    ),
    "scale-in-1k": Standing(
        cluster_autoscaler=Figures(note="10 min by default (unneeded time)"),
        karpenter=Figures(
            note="33 to 13 nodes in 10 s, 10 nodes after 45 s, consolidateAfter 0s, budget 100 %"
        ),
        bound=Bound(nodes=10),
        target=Target(wall_s=20, nodes=10),
    ),
}
