"""Rules between pods are told with the numbers behind them."""

from __future__ import annotations

import pytest

from springtide.reporting import phrases
from springtide.reporting.pod_rules import kept_rule
from springtide.scheduling.verdict import Misfit, Plugin, PodRule

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def spread(rule: PodRule, **numbers: int) -> Misfit:
    return Misfit(Plugin.POD_TOPOLOGY_SPREAD, "app=web", rule=rule, topology_key=ZONE, domain="a", **numbers)


def affinity(rule: PodRule, matching: int = 0) -> Misfit:
    return Misfit(
        Plugin.INTER_POD_AFFINITY, "app=db", rule=rule, topology_key=HOST, domain="n1", matching=matching
    )


@pytest.mark.parametrize(
    ("misfit", "told", "nearest"),
    [
        (
            spread(PodRule.SKEW, matching=3, minimum=1, skew=3, max_skew=1),
            f"spread over {ZONE} (app=web): a has 3 pods, the least is 1, so the skew would be 3 (maxSkew 1)",
            f"the spread over {ZONE} (app=web) had maxSkew 3 instead of 1",
        ),
        (
            spread(PodRule.NO_TOPOLOGY),
            f"the node has no label {ZONE}, by which pods (app=web) are to be placed",
            f"its nodes had the label {ZONE}",
        ),
        (
            affinity(PodRule.AFFINITY),
            f"affinity: no such pod (app=db) in {HOST} n1",
            f"a pod that it must be near to (app=db) were in {HOST} n1",
        ),
        (
            affinity(PodRule.ANTI_AFFINITY, 1),
            f"anti-affinity: 1 pod (app=db) in {HOST} n1",
            f"no pod that it must not be near to (app=db) were in {HOST} n1",
        ),
        (
            affinity(PodRule.REPELLED, 2),
            f"anti-affinity of 2 pods in {HOST} n1 keeps such pods (app=db) away",
            f"no pod in {HOST} n1 kept it away (app=db)",
        ),
    ],
)
def test_a_broken_rule_says_what_stands_where_and_what_would_help(
    misfit: Misfit, told: str, nearest: str
) -> None:
    assert phrases.misfit(misfit) == told
    assert kept_rule(misfit) == nearest


@pytest.mark.parametrize("rule", PodRule)
def test_every_rule_has_words_of_its_own(rule: PodRule) -> None:
    plain = phrases.misfit(Misfit(Plugin.INTER_POD_AFFINITY))
    assert phrases.misfit(affinity(rule)) != plain
    assert not kept_rule(affinity(rule)).startswith("not for this")
