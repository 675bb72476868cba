"""Drain rules beyond what Cluster Autoscaler's recorded answers cover, and the budgets of drains at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.api.settings import ScaleDownSettings
from springtide.cluster.annotations import SAFE_TO_EVICT
from springtide.cluster.records import DisruptionBudget, PodPhase
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.planning.plan import PodBlock
from springtide.planning.scale_down.budgets import BudgetIndex, RemainingDisruptions
from springtide.planning.scale_down.drain_rules import DrainContext, DrainOutcome, pod_verdict
from tests.unit.planning.world import DAEMON_SET, NOW, REPLICA_SET, ago, pod, shape

DO_NOT_DISRUPT = {"karpenter.sh/do-not-disrupt": "true"}
SAFE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}


@pytest.mark.parametrize(
    ("fields", "outcome", "block"),
    [
        pytest.param({}, DrainOutcome.MOVES, None, id="a replicated pod moves"),
        pytest.param(
            {"annotations": DO_NOT_DISRUPT},
            DrainOutcome.BLOCKS,
            PodBlock.DO_NOT_DISRUPT,
            id="unless told not to",
        ),
        pytest.param(
            {"annotations": DO_NOT_DISRUPT | SAFE},
            DrainOutcome.BLOCKS,
            PodBlock.DO_NOT_DISRUPT,
            id="the cautious annotation wins",
        ),
        pytest.param(
            {"annotations": DO_NOT_DISRUPT, "owner": DAEMON_SET},
            DrainOutcome.BLOCKS,
            PodBlock.DO_NOT_DISRUPT,
            id="on a DaemonSet's pod, too",
        ),
        pytest.param(
            {"annotations": DO_NOT_DISRUPT, "phase": PodPhase.FAILED},
            DrainOutcome.DRAIN_OK,
            None,
            id="not on one that has ended",
        ),
        pytest.param(
            {"annotations": {"karpenter.sh/do-not-disrupt": "yes"}},
            DrainOutcome.MOVES,
            None,
            id="only true is true",
        ),
    ],
)
def test_do_not_disrupt(fields: dict[str, Any], outcome: DrainOutcome, block: PodBlock | None) -> None:
    context = DrainContext(
        now=NOW,
        workloads={each.uid: each for each in (REPLICA_SET, DAEMON_SET)},
        budgets=BudgetIndex(()),
        settings=ScaleDownSettings(),
    )
    verdict = pod_verdict(pod(**fields), context=context)
    assert (verdict.outcome, verdict.block) == (outcome, block)


# --- asked once for pods that are alike ------------------------------------------------------------------------


def test_what_pods_of_one_shape_do_not_share_is_looked_at_each_time() -> None:
    """In one context, which remembers: pods that differ in one thing only get verdicts of their own."""
    first_only = LabelSelector(
        (LabelRequirement("batch.kubernetes.io/job-name", SelectorOperator.IN, ("first",)),)
    )
    context = DrainContext(
        now=NOW,
        workloads={REPLICA_SET.uid: REPLICA_SET},
        budgets=BudgetIndex([DisruptionBudget("default", "job", first_only, disruptions_allowed=0)]),
        settings=ScaleDownSettings(),
    )

    def outcome(**fields: Any) -> str:
        return (pod_verdict(pod(WEB, **({"phase": PodPhase.RUNNING} | fields)), context=context).outcome).name

    assert outcome() == "MOVES"
    assert outcome(own_labels={"batch.kubernetes.io/job-name": "first"}) == "BLOCKS"
    assert outcome(own_labels={"batch.kubernetes.io/job-name": "second"}) == "MOVES"
    assert outcome(owner=None) == "BLOCKS"
    assert outcome(local_volumes=("data",)) == "BLOCKS"
    assert outcome(annotations={SAFE_TO_EVICT: "false"}) == "BLOCKS"
    assert outcome(annotations={SAFE_TO_EVICT: "true"}) == "DRAIN_OK"
    assert outcome(phase=PodPhase.FAILED) == "DRAIN_OK"
    assert outcome(deletion_timestamp=ago(hours=1)) == "SKIP"
    assert outcome() == "MOVES"


def test_age_counts_in_the_system_namespace() -> None:
    context = DrainContext(
        now=NOW,
        workloads={REPLICA_SET.uid: REPLICA_SET},
        budgets=BudgetIndex(()),
        settings=ScaleDownSettings(),
    )
    system = shape(100, namespace="kube-system")
    young, old = (
        pod_verdict(pod(system, phase=PodPhase.RUNNING, created_at=since), context=context)
        for since in (ago(minutes=1), ago(hours=2))
    )
    assert (young.block, old.block) == (PodBlock.SYSTEM_POD, None)


# --- budgets ---------------------------------------------------------------------------------------------------

WEB = shape(100, labels={"app": "web"})
IS_WEB = LabelSelector((LabelRequirement("app", SelectorOperator.IN, ("web",)),))


def budget(
    allowed: int, selector: LabelSelector | None = IS_WEB, namespace: str = "default"
) -> DisruptionBudget:
    return DisruptionBudget(namespace, "web", selector, disruptions_allowed=allowed)


@pytest.mark.parametrize(
    ("selector", "namespace", "covers"),
    [
        pytest.param(IS_WEB, "default", True, id="matches"),
        pytest.param(LabelSelector(), "default", True, id="an empty selector matches all of its namespace"),
        pytest.param(None, "default", False, id="an absent one matches nothing"),
        pytest.param(IS_WEB, "elsewhere", False, id="other namespaces do not count"),
    ],
)
def test_which_budget_covers_a_pod(selector: LabelSelector | None, namespace: str, covers: bool) -> None:
    assert bool(BudgetIndex([budget(1, selector, namespace)]).covering(pod(WEB))) is covers


@pytest.mark.parametrize(
    ("allowed", "first", "second", "together"),
    [
        pytest.param(0, 1, 0, False, id="nothing is allowed"),
        pytest.param(1, 3, 0, True, id="one node alone may evict one after the other"),
        pytest.param(2, 1, 1, True, id="two nodes fit"),
        pytest.param(1, 1, 1, False, id="two nodes do not fit"),
        pytest.param(3, 2, 2, False, id="nor do these"),
    ],
)
def test_drains_at_the_same_time_share_a_budget(
    allowed: int, first: int, second: int, together: bool
) -> None:
    remaining = RemainingDisruptions(BudgetIndex([budget(allowed)]))
    one, other = [pod(WEB) for _ in range(first)], [pod(WEB) for _ in range(second)]
    granted = remaining.lacking(one) is None
    if granted:
        remaining.take(one)
    assert (granted and remaining.lacking(other) is None) is together
