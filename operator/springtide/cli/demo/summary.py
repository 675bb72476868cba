"""What the demo's day came to: nodes, waits, node-hours, money; and what it would have cost not to shrink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from springtide.cli.demo.picture import SECONDS_PER_HOUR, NodeSeen, Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures. Times in seconds, costs in USD."""

    first_purchase: float
    """When the cloud was first asked for nodes, after the start of the demo."""
    seconds: float
    """From the first node until now."""
    peak_nodes: int
    final_nodes: int
    pods: int
    """Of the workload; those that replaced evicted ones not counted."""
    pods_moved: int
    wait_p50: float
    """From a pod's creation until it ran."""
    wait_max: float
    node_hours: float
    cost: float
    cost_never_shrunk: float
    """If every node had stayed until the end."""
    peak_hourly_cost: float
    final_hourly_cost: float
    purchases: int
    """Times that the cloud was asked for more."""
    nodes_bought: int
    nodes_removed: int

    @classmethod
    def of(cls, picture: Picture, *, pods: int, purchases: Sequence[float]) -> Summary:
        """Count it up. `pods` is the size of the workload, all of which ran before anything was evicted; `purchases`
        are the times at which the cloud was asked for more, by the picture's clock."""
        now = picture.clock()
        nodes = list(picture.all_nodes())
        waits = sorted(picture.waits[:pods])
        return cls(
            first_purchase=min(purchases, default=0.0),
            seconds=now - min((node.joined for node in nodes), default=now),
            peak_nodes=picture.peak_nodes,
            final_nodes=len(picture.nodes),
            pods=len(waits),
            pods_moved=len(picture.waits) - len(waits),
            wait_p50=percentile(waits, 50),
            wait_max=waits[-1] if waits else 0.0,
            node_hours=sum(node.seconds(now) for node in nodes) / SECONDS_PER_HOUR,
            cost=picture.spent(now),
            cost_never_shrunk=sum(_never_shrunk(node, now) for node in nodes),
            peak_hourly_cost=picture.peak_hourly_cost,
            final_hourly_cost=picture.hourly_cost(),
            purchases=len(purchases),
            nodes_bought=len(nodes),
            nodes_removed=len(picture.departed),
        )

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"start   the first nodes were bought {self.first_purchase:.1f} s after the start of the demo",
            f"nodes   {self.nodes_bought} bought in {self.purchases} calls, {self.peak_nodes} at the peak, "
            f"{self.nodes_removed} given back, {self.final_nodes} at the end",
            f"pods    {self.pods} ran; from created to running: half within {self.wait_p50:.1f} s, the slowest "
            f"{self.wait_max:.1f} s, booting included; {self.pods_moved} moved to another node later",
            f"price   ${self.peak_hourly_cost:,.2f} an hour at the peak, ${self.final_hourly_cost:,.2f} at the end",
            f"cost    {self.node_hours:.2f} node-hours in {self.seconds:.0f} s for ${self.cost:.2f}; "
            f"${self.cost_never_shrunk:.2f} if no node had been given back",
        ]


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank of an ascending sequence; 0 of an empty one."""
    if not ordered:
        return 0.0
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def _never_shrunk(node: NodeSeen, now: float) -> float:
    return (now - node.joined) * (node.hourly_price or 0.0) / SECONDS_PER_HOUR
