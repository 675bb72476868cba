"""docs/performance.md and its charts, written from results/latest.json: `python -m benchmarks page`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.chart import Line, log_log
from benchmarks.peers import HARDWARE
from benchmarks.result import load
from benchmarks.table import as_markdown

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = DOCS / "performance.md"
PODS_CHART: Final = DOCS / "images" / "plan-time-by-pods.svg"
SHAPES_CHART: Final = DOCS / "images" / "plan-time-by-shapes.svg"

Entry = Mapping[str, Any]


def write() -> None:
    """Write the page and its charts anew."""
    for path, text in rendered(load()).items():
        path.write_text(text, encoding="utf-8")
        print(f"written to {path}")


def rendered(entries: Sequence[Entry]) -> dict[Path, str]:
    """What the files should hold, by path."""
    by_name = {entry["name"]: entry for entry in entries}
    pages = {PAGE: _page(entries, by_name)}
    if "curve" in by_name:
        pages |= _charts(by_name["curve"]["figures"])
    return pages


def _page(entries: Sequence[Entry], by_name: Mapping[str, Entry]) -> str:
    parts = [
        _INTRODUCTION.format(machines=_machines(entries), peers=HARDWARE),
        as_markdown(entries),
        _INPUTS,
    ]
    reactions = [name for name in _REACTIONS if name in by_name]
    if reactions:
        parts.append(_reactions(by_name, reactions))
    if "curve" in by_name:
        parts.append(_CURVE)
    if "bad-input" in by_name:
        parts.append(_bad_input(by_name["bad-input"]))
    for name, text in (("memory", _MEMORY), ("steady", _STEADY)):
        if name in by_name:
            parts.append(f"{text}\n\n{_figures(by_name[name]['figures'])}")
    return "\n\n".join(parts) + "\n"


def _machines(entries: Sequence[Entry]) -> str:
    return "; ".join(dict.fromkeys(entry["machine"] for entry in entries if entry.get("machine")))


def _reactions(by_name: Mapping[str, Entry], present: Sequence[str]) -> str:
    lines = [
        _REACTION,
        "",
        "| workload | Springtide | Cluster Autoscaler | Karpenter |",
        "| --- | --- | --- | --- |",
    ]
    for name in present:
        peers = by_name[name].get("peers", {})
        notes = [peers.get(peer, {}).get("note", "") for peer in ("cluster-autoscaler", "karpenter")]
        lines.append(f"| {' | '.join((name, _reaction(by_name[name]), *notes))} |")
    lines += ["", *(f"- {_REACTIONS[name]}" for name in present)]
    if seconds := by_name.get("scale-in-1k", {}).get("figures", {}).get("seconds"):
        lines += ["", _SCALE_IN, "", _figures(seconds)]
    return "\n".join(lines)


def _reaction(entry: Entry) -> str:
    """Our figures in words."""
    if "p50_s" in entry:
        return f"p50 {entry['p50_s']} s, p95 {entry['p95_s']} s, max {entry['max_s']} s (n = {entry['n']})"
    if "removed" in entry:
        figures = entry["figures"]
        return (
            f"{figures['nodes before']} to {entry['nodes']} nodes in {entry['wall_s']:.1f} s; "
            f"{figures['pods evicted']} pods evicted, {figures['pods evicted twice']} of them twice"
        )
    return (
        f"{entry['wall_s']:.1f} s until all run ({entry['floor_s']:.1f} s with the nodes there); "
        f"{entry['nodes']} nodes in {entry['purchases']} purchases"
    )


def _bad_input(entry: Entry) -> str:
    lines = [
        _BAD_INPUT,
        "",
        "| input | n | half of it, CPU s | all of it, CPU s | growth |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in entry["figures"].items():
        cells = (name, f"{row['n']:,}", row["half_cpu_s"], row["cpu_s"], row["growth"])
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def _figures(figures: Mapping[str, Any]) -> str:
    lines = ["| figure | value |", "| --- | --- |"]
    for name, value in figures.items():
        if isinstance(value, Mapping):
            lines += [f"| {name}: {part} | {number} |" for part, number in value.items()]
        else:
            lines.append(f"| {name} | {value} |")
    return "\n".join(lines)


def _charts(figures: Mapping[str, Any]) -> dict[Path, str]:
    by_nodes: dict[int, list[tuple[float, float]]] = {}
    for point in figures["by_pods"]:
        by_nodes.setdefault(point["nodes"], []).append((point["pods"], point["cpu_s"]))
    lines = [Line(f"{nodes:,} nodes", tuple(points)) for nodes, points in by_nodes.items()]
    shapes = tuple((point["shapes"], point["cpu_s"]) for point in figures["by_shapes"])
    return {
        PODS_CHART: log_log(
            title="One plan, by pods and nodes", x="running pods", y="CPU seconds", lines=lines
        ),
        SHAPES_CHART: log_log(
            title="One plan of 30,000 pods on 1,000 nodes, by distinct shapes",
            x="shapes",
            y="CPU seconds",
            lines=[Line("1,000 nodes", shapes)],
        ),
    }


_INTRODUCTION: Final = """\
<!-- Generated from benchmarks/results/latest.json by `python -m benchmarks page`; run `make bench` for new figures. -->
# Performance

`make bench` makes the inputs below from integer formulas, builds the snapshot a pass decides on from the bytes an API
server would send, plans it, and holds the plan against a plain second opinion that shares no code with planning. `cpu s`
is one pass from a ready snapshot, `snapshot` is building that snapshot, `MiB` the highest resident memory of the
process. `make profile WORKLOAD=c` shows where the time goes.

Ours were measured on: {machines}. {peers} Machines shared with other work make times vary by a third; compare
orders of magnitude. Costs follow one formula for all: 0.04 $/vCPU + 0.005 $/GiB + 1 $/GPU an hour."""

_INPUTS: Final = """\
| workload | pods | node groups |
| --- | --- | --- |
| up-50k | 50,000 equal ones | one, 50 pods fit a node |
| down-80k | 80,000 running, 40 on each of 2,000 nodes, which hold 100 | one; everything may go at once |
| est-51k | 50,000 small and 1,000 of about twice the size | one |
| a1 | 5,000 that may not share a node | one |
| a2 | 50 apps of 100, none sharing a node with its own | one |
| b1, b2, b3 | 5,000 spread over three zones; with a full node in each; as twenty apps | three, one for each zone |
| c | 15,000 of 300 controllers | 20: five sizes, four ratios of memory to cpu |
| o | 8,152 of a [recorded GPU cluster](../benchmarks/data/README.md) | its 27 kinds of node |
| k-5000, k-20000 | Karpenter's own mix: plain, two spreads, zone affinity, node anti-affinity | 400 types in three zones |
| k-pref | 4,000 equal ones with preferences that cannot all be met | the same |
| xl | 150,000 running on 5,000 nodes, 10,000 pending, 3,000 shapes | 50 |

`…-least-cost` plan all groups jointly, within five seconds."""

_REACTION: Final = """\
## On a real control plane

`make bench ARGS='lone burst-1k scale-in-1k'`: kube-apiserver, kube-scheduler and kube-controller-manager on the same two
cores as the operator, hollow nodes that boot at once, AWS's API served by moto."""

_REACTIONS: Final = {
    "lone": "`lone`: a pod that needs a new node, again and again: from `PodScheduled=False` to the call.",
    "burst-1k": "`burst-1k`: a Deployment of 1,000 pods of 500m and 1 GiB on an empty cluster.",
    "scale-in-1k": "`scale-in-1k`: 700 of 1,000 pods leave at random from nodes of 15.5 allocatable vCPU; a "
    "PodDisruptionBudget covers all. Policy: `scanInterval: 1s`; `scaleDown` with `unneededTime`, `delayAfterAdd` and "
    "`delayAfterFailure` 0, `maxParallel` and `maxParallelDrain` 100; flags as shipped (`--delay-after-taint=5s`).",
}

_SCALE_IN: Final = """\
Where the time of `scale-in-1k` goes, in seconds since the 700 were told to leave; evictions under one budget are as fast
as the API server grants them (each writes the budget's status, and those that meet there wait half a second):"""

_CURVE: Final = """\
## How it grows

One pass over a cluster in everyday operation: one pod in a hundred pends, controllers have budgets, a third of the nodes
is under-used. Time follows nodes and shapes, hardly the number of pods.

![CPU time of a plan by pods and nodes](images/plan-time-by-pods.svg)

![CPU time of a plan by shapes](images/plan-time-by-shapes.svg)"""

_BAD_INPUT: Final = """\
## Bad input

Twice the input may take twice as long, not four times. Each case runs on 200 full nodes of 20 groups; every verdict is
checked."""

_MEMORY: Final = """\
## Memory

Informers and state for 5,000 nodes and 150,000 pods of 8 kB each, replayed over HTTP into the real informers, and the whole
operator until its first plan."""

_STEADY: Final = """\
## Steady state

The operator at that size while a hundred pods a second are created, change and go."""
