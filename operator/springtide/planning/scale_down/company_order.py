"""Which of the unneeded nodes is asked first, so that more of them can be drained at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from springtide.planning.scale_down.budgets import BudgetKey, RemainingDisruptions
from springtide.planning.scale_down.node_eligibility import Spare
from springtide.planning.scale_down.unneeded import Found, Unneeded


def thriftiest_first(found: Found, disruptions: RemainingDisruptions) -> Sequence[Unneeded]:
    """Those come later that take more of PodDisruptionBudgets which cannot serve all; else the order stays.

    A node with many pods under a short budget would use it up, and keep others back that need one disruption each.
    Where moves hang on each other, nodes must be asked as they were found.
    """
    if found.entangled or not disruptions.bounded:
        return found.unneeded
    needs = {node.spare.node.name: _needs(node.spare, disruptions) for node in found.unneeded}
    total: Counter[BudgetKey] = Counter()
    for need in needs.values():
        total.update(need)
    short = {budget for budget, count in total.items() if count > disruptions.left(budget)}
    if not short:
        return found.unneeded
    return sorted(
        found.unneeded,
        key=lambda node: sum(
            count for budget, count in needs[node.spare.node.name].items() if budget in short
        ),
    )


def _needs(spare: Spare, disruptions: RemainingDisruptions) -> Mapping[BudgetKey, int]:
    """Budget -> how many of its pods are on the node; by shapes, which is exact enough for an order, and cheap."""
    needs: dict[BudgetKey, int] = {}
    for shape, pods in spare.drain.alike:
        for budget in disruptions.of_shape(shape):
            needs[budget] = needs.get(budget, 0) + len(pods)
    return needs
