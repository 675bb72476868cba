"""Rules between pods in words: why a spread or an (anti-)affinity keeps a pod off a node, with the numbers."""

from __future__ import annotations

from springtide.scheduling.verdict import Misfit, Plugin, PodRule


def broken_rule(verdict: Misfit) -> str:
    """Why the pod may not go there."""
    text = _BROKEN.get(verdict.rule) if verdict.rule is not None else None
    if text is None:
        return _PLUGINS[verdict.plugin]
    return text.format(
        pods=verdict.subject,
        key=verdict.topology_key,
        domain=verdict.domain or "the domain",
        matching=_pods(verdict.matching),
        least=verdict.minimum,
        skew=verdict.skew,
        allowed=verdict.max_skew,
    )


def kept_rule(verdict: Misfit) -> str:
    """What would have to be otherwise: "it would do if …"."""
    text = _KEPT.get(verdict.rule) if verdict.rule is not None else None
    if text is None:
        return f"not for this: {_PLUGINS[verdict.plugin]}"
    return text.format(
        pods=verdict.subject,
        key=verdict.topology_key,
        domain=verdict.domain or "the domain",
        skew=verdict.skew,
        allowed=verdict.max_skew,
    )


_BROKEN = {
    PodRule.NO_TOPOLOGY: "the node has no label {key}, by which pods ({pods}) are to be placed",
    PodRule.SKEW: (
        "spread over {key} ({pods}): {domain} has {matching}, the least is {least}, "
        "so the skew would be {skew} (maxSkew {allowed})"
    ),
    PodRule.AFFINITY: "affinity: no such pod ({pods}) in {key} {domain}",
    PodRule.ANTI_AFFINITY: "anti-affinity: {matching} ({pods}) in {key} {domain}",
    PodRule.REPELLED: "anti-affinity of {matching} in {key} {domain} keeps such pods ({pods}) away",
}

_KEPT = {
    PodRule.NO_TOPOLOGY: "its nodes had the label {key}",
    PodRule.SKEW: "the spread over {key} ({pods}) had maxSkew {skew} instead of {allowed}",
    PodRule.AFFINITY: "a pod that it must be near to ({pods}) were in {key} {domain}",
    PodRule.ANTI_AFFINITY: "no pod that it must not be near to ({pods}) were in {key} {domain}",
    PodRule.REPELLED: "no pod in {key} {domain} kept it away ({pods})",
}

_PLUGINS = {
    Plugin.POD_TOPOLOGY_SPREAD: "the spread of its pods would become uneven",
    Plugin.INTER_POD_AFFINITY: "affinity or anti-affinity between pods does not allow it",
}


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
