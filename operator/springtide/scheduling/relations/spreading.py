"""How a shape's hard spread constraints stand: which nodes count, how many pods each domain has, what the least is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from springtide.cluster.shape import PodShape, SpreadConstraint
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters import node_affinity, taint_toleration
from springtide.scheduling.nodes.labels import ABSENT
from springtide.scheduling.relations.question_book import AskedSpread
from springtide.scheduling.relations.tally import Domains
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Plugin


@dataclass(frozen=True, slots=True)
class Standing:
    """One constraint of one shape, now."""

    asked: AskedSpread
    domains: Domains

    @property
    def constraint(self) -> SpreadConstraint:
        return self.asked.constraint

    @property
    def present(self) -> BoolArray:
        """(domains,) Which have a node that counts."""
        present: BoolArray = self.domains.nodes > 0
        present[ABSENT] = False
        return present

    @property
    def too_few_domains(self) -> bool:
        """Then the least counts as 0, whatever is placed."""
        return int(np.count_nonzero(self.present)) < max(1, self.constraint.min_domains)

    @property
    def minimum(self) -> int:
        """Pods in the domain with the fewest."""
        return 0 if self.too_few_domains else int(self.domains.counts[self.present].min())

    @property
    def skews(self) -> IntArray:
        """(domains,) What the skew would be with one more pod of the shape there."""
        return self.domains.counts + int(self.asked.counts_itself) - self.minimum

    @property
    def quotas(self) -> IntArray:
        """(domains,) Pods of the shape that each takes, nothing else changing. For those that count themselves."""
        # A domain that alone has the fewest pods lifts the minimum, up to the second fewest.
        counts, least = self.domains.counts, self.minimum
        quotas: IntArray = least + self.constraint.max_skew - counts
        if not self.too_few_domains:
            present = np.flatnonzero(self.present)
            if len(present) == 1:
                quotas[present] = np.iinfo(np.int64).max
            else:
                first, second = present[np.argpartition(counts[present], 1)[:2]]
                quotas[first] += counts[second] - counts[first]
        return np.maximum(quotas, 0, out=quotas)


def standings(shape: PodShape, state: State) -> list[Standing]:
    """How each of the shape's constraints stands, in the pod's order."""
    tallies = state.usage.tallies
    return [
        Standing(
            asked,
            tallies.domains(
                asked.subject, state.nodes, asked.constraint.topology_key, _eligible(shape, asked, state)
            ),
        )
        for asked in tallies.book.asked(shape).spread
    ]


def _eligible(shape: PodShape, asked: AskedSpread, state: State) -> BoolArray:
    """The nodes that count for a constraint: with every constraint's key, and not left out by its policies."""
    constraint, nodes = asked.constraint, state.nodes
    honors = (constraint.honors_affinity, constraint.honors_taints)

    def judge() -> BoolArray:
        eligible = np.ones(len(nodes), dtype=np.bool_)
        for other in shape.spread:
            eligible &= nodes.column(other.topology_key).codes != ABSENT
        admitted = node_affinity.mask(shape, state) if constraint.honors_affinity else None
        tolerated = taint_toleration.mask(shape, state) if constraint.honors_taints else None
        for mask in (admitted, tolerated):
            if mask is not None:
                eligible &= mask
        return nodes.interned(eligible)

    return nodes.remembered((Plugin.POD_TOPOLOGY_SPREAD, shape, *honors), judge)
