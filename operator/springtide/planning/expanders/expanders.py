"""Expanders: which of several possible purchases is made. Each keeps the best options; the next one chooses among
those. What is still tied after the last goes to the fewest nodes, and then by lot; a chain that ends with `random`
draws at once. (Cluster Autoscaler always draws; docs/decisions/006-ties-go-to-fewer-nodes.md says why we do not.)"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from springtide.api.settings import Expander
from springtide.planning.expanders.options import ExpansionOption

LEAST_PRIORITY: Final = -1
"""Lower ones never win: Cluster Autoscaler starts its search for the highest with this one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The option chosen, and the chain's story for users: "least-waste 0.12 (of 3 options)"."""

    option: ExpansionOption
    story: str


def choose(options: Sequence[ExpansionOption], chain: Sequence[Expander], *, seed: str) -> Choice:
    """Let the chain choose; `options` must not be empty.

    The lot depends on `seed` alone (the plan's id and the step), so a recorded snapshot replays to the same plan.
    """
    left = list(options)
    story: list[str] = []
    for expander in _with_tie_break(chain):
        if len(left) == 1 or expander is Expander.RANDOM:
            break
        left = best(left, expander)
        story.append(f"{expander.value} {_FIGURES[expander](left[0])}")
    if len(left) > 1:
        left = [random.Random(seed).choice(left)]
        story.append("random")
    return Choice(option=left[0], story=_told(story, of=len(options)))


def _with_tie_break(chain: Sequence[Expander]) -> Sequence[Expander]:
    """A node costs DaemonSet pods, addresses and a kubelet: of options that are equally good, fewer nodes are better."""
    if Expander.RANDOM in chain or Expander.LEAST_NODES in chain:
        return chain
    return (*chain, Expander.LEAST_NODES)


def best(options: Sequence[ExpansionOption], expander: Expander) -> list[ExpansionOption]:
    """All options that tie for the best by this expander, in their order; never empty for non-empty input."""
    rank = _RANKS[expander]
    ranked = [(rank(option), option) for option in options]
    known = [value for value, _ in ranked if value is not None]
    if not known:
        return list(options)
    least = min(known)
    return [option for value, option in ranked if value == least]


def _told(story: Sequence[str], *, of: int) -> str:
    if of == 1:
        return "the only option"
    return f"{', '.join(story)} (of {of} options)"


def _waste(option: ExpansionOption) -> float | None:
    # The same waste in other units differs in the last bits.
    return None if option.waste is None else round(option.waste, 9)


def _dearness(option: ExpansionOption) -> float | None:
    return None if option.dearness is None else round(option.dearness, 9)


def _priority(option: ExpansionOption) -> int | None:
    return None if option.priority is None or option.priority < LEAST_PRIORITY else -option.priority


def _price_told(option: ExpansionOption) -> str:
    if option.dearness is None:
        return "unknown"
    return f"{option.hourly_cost:.2f}/h ({option.dearness:.2f} of the pods' cheapest)"


_RANKS: Final[Mapping[Expander, Callable[[ExpansionOption], float | None]]] = {
    Expander.RANDOM: lambda _: 0,
    Expander.MOST_PODS: lambda option: -option.pods,
    Expander.LEAST_WASTE: _waste,
    Expander.LEAST_NODES: lambda option: option.nodes,
    Expander.PRICE: _dearness,
    Expander.PRIORITY: _priority,
}
"""The lower the better; None: cannot be ranked, so it loses against all that can."""

_FIGURES: Final[Mapping[Expander, Callable[[ExpansionOption], str]]] = {
    Expander.MOST_PODS: lambda option: str(option.pods),
    Expander.LEAST_WASTE: lambda option: "unknown" if option.waste is None else f"{option.waste:.2f}",
    Expander.LEAST_NODES: lambda option: str(option.nodes),
    Expander.PRICE: _price_told,
    Expander.PRIORITY: lambda option: "matches none" if _priority(option) is None else str(option.priority),
}
