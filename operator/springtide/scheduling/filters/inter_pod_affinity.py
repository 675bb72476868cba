"""InterPodAffinity: near to pods it must be near to, not near to those it must not be near to, nor they to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from springtide.cluster.shape import PodAffinityTerm, PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import UNLIMITED, Filter
from springtide.scheduling.nodes.labels import ABSENT
from springtide.scheduling.relations.selector_text import selector_text
from springtide.scheduling.relations.tally import Domains
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin, PodRule

Judgement = tuple[PodRule, PodAffinityTerm, Domains, BoolArray]
"""(rule, term, the pods it speaks of by domain, which nodes pass)."""


def mask(shape: PodShape, state: State) -> BoolArray | None:
    fits: BoolArray | None = None
    for _, _, _, passed in judgements(shape, state):
        fits = passed if fits is None else fits & passed
    return fits


def limit(shape: PodShape, state: State) -> IntArray | None:
    fits = mask(shape, state)
    if fits is None:
        return None
    room: IntArray = fits * UNLIMITED
    for key in keys_apart(shape, state):
        np.minimum(room, 1, out=room, where=state.nodes.column(key).codes != ABSENT)
    return room


def keys_apart(shape: PodShape, state: State) -> list[str]:
    """The topologies in which no two pods of the shape may share a domain."""
    if not shape.pod_anti_affinity:
        return []
    asked = state.usage.tallies.book.asked(shape).anti_affinity
    return list(dict.fromkeys(each.term.topology_key for each in asked if each.counts_itself))


def is_first(shape: PodShape, state: State) -> bool:
    """Whether a pod of the shape would be the first of those it must be near to, itself among them.

    Then it may go wherever all topology keys are; matching pods on nodes without any of the keys do not count.
    """
    book = state.usage.tallies.book
    return book.asked(shape).affinity_counts_itself and not any(
        domains.counts[ABSENT + 1 :].any() for _, domains in _affinity(shape, state)
    )


def is_skipped(shape: PodShape, state: State) -> bool:
    """Whether the scheduler leaves this plugin out for the pod: it has no terms, and no pod anywhere repels it."""
    return not shape.pod_affinity and all(
        rule is PodRule.REPELLED and not domains.counts[ABSENT + 1 :].any()
        for rule, _, domains, _ in judgements(shape, state)
    )


def judgements(shape: PodShape, state: State) -> Iterator[Judgement]:
    """Rule by rule, in the scheduler's order: affinity, anti-affinity, anti-affinity of pods that are there."""
    tallies, nodes = state.usage.tallies, state.nodes
    if shape.pod_affinity:
        first = is_first(shape, state)
        for term, domains in _affinity(shape, state):
            near = np.ones_like(domains.counts, dtype=np.bool_) if first else domains.counts > 0
            near[ABSENT] = False
            yield PodRule.AFFINITY, term, domains, near[domains.codes]
    if shape.pod_anti_affinity:
        for asked in tallies.book.asked(shape).anti_affinity:
            domains = tallies.domains(asked.subject, nodes, asked.term.topology_key)
            yield PodRule.ANTI_AFFINITY, asked.term, domains, _apart(domains)
    for number in tallies.book.repelling(shape):
        term = tallies.book.term(number)
        domains = tallies.domains(number, nodes, term.topology_key)
        yield PodRule.REPELLED, term, domains, _apart(domains)


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    """Nodes by the first rule that they break, each telling the domain with the fewest pods in the way."""
    misfits: dict[Misfit, int] = {}
    left = rejected
    for rule, term, domains, passed in judgements(shape, state):
        broken = left[~passed[left]]
        lacking = domains.codes[broken] == ABSENT
        if lacking.any():
            count_into(misfits, _misfit(PodRule.NO_TOPOLOGY, term), int(np.count_nonzero(lacking)))
        if not lacking.all():
            there = broken[~lacking]
            nearest = there[domains.counts[domains.codes[there]].argmin()]
            misfit = _misfit(
                rule,
                term,
                domain=state.nodes.column(term.topology_key).value(int(nearest)),
                matching=int(domains.counts[domains.codes[nearest]]),
            )
            count_into(misfits, misfit, len(there))
        left = left[passed[left]]
    return misfits


def count_into(misfits: dict[Misfit, int], misfit: Misfit, nodes: int) -> None:
    misfits[misfit] = misfits.get(misfit, 0) + nodes


def _affinity(shape: PodShape, state: State) -> Iterator[tuple[PodAffinityTerm, Domains]]:
    """Each term with the pods, by its domains, for which *all* terms hold."""
    tallies = state.usage.tallies
    number = tallies.book.asked(shape).affinity
    if number is not None:
        for term in shape.pod_affinity:
            yield term, tallies.domains(number, state.nodes, term.topology_key)


def _apart(domains: Domains) -> BoolArray:
    """(size,) Nodes whose domain has none of the pods, or that are in no domain."""
    empty = domains.counts == 0
    empty[ABSENT] = True
    apart: BoolArray = empty[domains.codes]
    return apart


def _misfit(rule: PodRule, term: PodAffinityTerm, *, domain: str = "", matching: int = 0) -> Misfit:
    return Misfit(
        plugin=Plugin.INTER_POD_AFFINITY,
        rule=rule,
        subject=selector_text(term.selector),
        topology_key=term.topology_key,
        domain=domain,
        matching=matching,
    )


FILTER = Filter(plugin=Plugin.INTER_POD_AFFINITY, mask=mask, explain=explain, limit=limit)
