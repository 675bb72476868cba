"""The census: pods on nodes that exist or are bought already, as rules between pods must know them.

By node for the packing (scheduling.packing.rules.Surroundings), by domain for quotas (planning.zones.quotas.Census).
Taken of a landscape at one moment; whoever has changed the landscape takes a new one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from springtide.cluster.shape import PodShape, SpreadConstraint
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters import node_affinity, taint_toleration
from springtide.scheduling.nodes.labels import ABSENT
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from springtide.scheduling.packing.rules import Floor
from springtide.scheduling.relations.questions import Namespaces, Question, spread_question
from springtide.scheduling.simulation import Simulation


class PodCensus:
    """What a simulation says of the pods on its nodes."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._tallies = simulation.state.usage.tallies
        self._by_node: dict[Question, IntArray] = {}
        self._eligible: dict[Hashable, BoolArray] = {}
        self._eligible_for: dict[tuple[PodShape, bool, bool], BoolArray] = {}
        self._floors: dict[Hashable, Floor] = {}
        self._spreads: dict[Hashable, Mapping[str, int]] = {}

    @property
    def namespaces(self) -> Namespaces:
        return self._tallies.book.namespaces

    # --- by node --------------------------------------------------------------------------------------------

    def floor(self, constraint: SpreadConstraint, shape: PodShape) -> Floor:
        # By arrays: there are as many domains as nodes.
        key = (spread_question(constraint, shape.namespace), _eligibility(shape, constraint))
        known = self._floors.get(key)
        if known is None:
            eligible = self.eligible(shape, constraint)
            codes = self._simulation.state.nodes.column(constraint.topology_key).codes[eligible]
            sums = np.bincount(codes, weights=self._counted(key[0])[eligible])[np.unique(codes)]
            known = self._floors[key] = Floor(int(sums.min()) if len(sums) else None, domains=len(sums))
        return known

    def has_any(self, question: Question) -> bool:
        return bool(self._counted(question).any())

    # --- by domain ------------------------------------------------------------------------------------------

    def spread(self, shape: PodShape, constraint: SpreadConstraint) -> Mapping[str, int]:
        question = spread_question(constraint, shape.namespace)
        who = _eligibility(shape, constraint)
        known = self._spreads.get((question, constraint.topology_key, who))
        if known is None:
            eligible = self.eligible(shape, constraint)
            known = self._by_domain(constraint.topology_key, self._counted(question), eligible)
            self._spreads[question, constraint.topology_key, who] = known
        return known

    def near(self, question: Question, topology_key: str) -> Mapping[str, int]:
        counted = self._counted(question)
        if not counted.any():
            return {}
        return self._by_domain(topology_key, counted, counted > 0)

    def repelling(self, shape: PodShape) -> Mapping[str, frozenset[str]]:
        repelled: dict[str, set[str]] = {}
        for number in self._tallies.book.repelling(shape):
            key = self._tallies.book.term(number).topology_key
            owners = self._tallies.by_node(number)
            if key != HOSTNAME_LABEL and owners.any():
                repelled.setdefault(key, set()).update(self._by_domain(key, owners, owners > 0))
        return {key: frozenset(values) for key, values in repelled.items()}

    # --- pieces ---------------------------------------------------------------------------------------------

    def _counted(self, question: Question) -> IntArray:
        if question not in self._by_node:
            self._by_node[question] = self._simulation.matching(question)
        return self._by_node[question]

    def eligible(self, shape: PodShape, constraint: SpreadConstraint) -> BoolArray:
        """(size,) Nodes that a spread of the shape looks at: with the keys of all its spreads, and not excluded by
        the constraint's policies. Not to be written to."""
        # Asked for each shape at each step: by identity first, for what shapes have in common is long.
        asker = (shape, constraint.honors_affinity, constraint.honors_taints)
        known = self._eligible_for.get(asker)
        if known is None:
            known = self._eligible_for[asker] = self._eligible_alike(shape, constraint)
        return known

    def _eligible_alike(self, shape: PodShape, constraint: SpreadConstraint) -> BoolArray:
        who = _eligibility(shape, constraint)
        if who in self._eligible:
            return self._eligible[who]
        state = self._simulation.state
        eligible = np.ones(len(state.nodes), dtype=np.bool_)
        for each in shape.spread:
            eligible &= state.nodes.column(each.topology_key).codes != ABSENT
        masks = []
        if constraint.honors_affinity:
            masks += [node_affinity.prefilter_mask(shape, state), node_affinity.mask(shape, state)]
        if constraint.honors_taints:
            masks.append(taint_toleration.mask(shape, state))
        for mask in masks:
            if mask is not None:
                eligible &= mask
        eligible[list(self._tallies.vanished)] = False
        self._eligible[who] = eligible
        return eligible

    def _by_domain(self, key: str, counted: IntArray, nodes: BoolArray) -> Mapping[str, int]:
        """Domain -> pods on these nodes, for each domain that one of them is in."""
        column = self._simulation.state.nodes.column(key)
        nodes = nodes & (column.codes != ABSENT)
        values = column.values()
        sums = np.bincount(column.codes[nodes], weights=counted[nodes], minlength=column.width)
        return {values[code - 1]: int(sums[code]) for code in np.unique(column.codes[nodes]).tolist()}


def _eligibility(shape: PodShape, constraint: SpreadConstraint) -> Hashable:
    """Shapes equal in this have the same eligible nodes."""
    return (
        tuple(each.topology_key for each in shape.spread),
        (tuple(sorted(shape.node_selector.items())), shape.node_affinity)
        if constraint.honors_affinity
        else None,
        shape.tolerations if constraint.honors_taints else None,
    )
