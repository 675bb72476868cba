"""What the demo's day came to: nodes, waits, node-hours, money; and what it would have cost not to shrink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from springtide.cli.demo.picture import NodeSeen, Picture

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures. Costs are in USD."""

    seconds: float
    """From the first purchase until now."""
    peak_nodes: int
    final_nodes: int
    pods_run: int
    wait_p50: float
    wait_max: float
    node_hours: float
    cost: float
    cost_never_shrunk: float
    """If every node had stayed until the end."""
    purchases: int
    """Times that the cloud was asked for more."""
    nodes_bought: int
    nodes_removed: int

    @classmethod
    def of(cls, picture: Picture, *, purchases: int, now: float) -> Summary:
        nodes = list(picture.all_nodes())
        began = min((node.joined for node in nodes), default=now)
        waits = sorted(picture.waits)
        return cls(
            seconds=now - began,
            peak_nodes=picture.peak_nodes,
            final_nodes=len(picture.nodes),
            pods_run=len(waits),
            wait_p50=percentile(waits, 50),
            wait_max=waits[-1] if waits else 0.0,
            node_hours=sum(_seconds(node, now) for node in nodes) / SECONDS_PER_HOUR,
            cost=sum(_seconds(node, now) * (node.hourly_price or 0.0) for node in nodes) / SECONDS_PER_HOUR,
            cost_never_shrunk=_cost_if_never_shrunk(nodes, now),
            purchases=purchases,
            nodes_bought=len(nodes),
            nodes_removed=len(picture.departed),
        )

    def lines(self) -> list[str]:
        """For people."""
        saved = 100 * (1 - self.cost / self.cost_never_shrunk) if self.cost_never_shrunk else 0.0
        return [
            f"nodes       {self.nodes_bought} bought in {self.purchases} calls, peak {self.peak_nodes}, "
            f"{self.nodes_removed} given back, {self.final_nodes} at the end",
            f"pods        {self.pods_run} run; from created to running: half within {self.wait_p50:.1f} s, "
            f"the slowest {self.wait_max:.1f} s (booting included)",
            f"machines    {self.node_hours:.2f} node-hours in {self.seconds:.0f} s, ${self.cost:.2f} at on-demand prices",
            f"not shrunk  ${self.cost_never_shrunk:.2f} if every node had stayed: {saved:.0f} % saved already",
        ]


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank of an ascending sequence; 0 of an empty one."""
    if not ordered:
        return 0.0
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def _seconds(node: NodeSeen, now: float) -> float:
    return (now if node.left is None else node.left) - node.joined


def _cost_if_never_shrunk(nodes: Sequence[NodeSeen], now: float) -> float:
    return sum((now - node.joined) * (node.hourly_price or 0.0) for node in nodes) / SECONDS_PER_HOUR
