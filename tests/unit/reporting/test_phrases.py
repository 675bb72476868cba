"""What users read of verdicts: every reason has words, the nearest comes first, nothing is said twice."""

from __future__ import annotations

import re

import pytest

from springtide.cluster.shape import Unmodelled
from springtide.planning.plan import (
    BlockReason,
    GroupRefusal,
    GroupVerdict,
    NearestMiss,
    NodeVerdict,
    PendingOutcome,
    PendingVerdict,
    PodBlock,
)
from springtide.reporting import phrases
from springtide.scheduling.verdict import Misfit, Plugin
from tests.unit.planning.world import shape

GIB = 2**30


def group(name: str = "asg", *, pool: str = "general", **verdict: object) -> GroupVerdict:
    return GroupVerdict(pool=pool, group=name, **verdict)  # type: ignore[arg-type]


def short_of(resource: str, *, requested: int, free: int) -> Misfit:
    return Misfit(plugin=Plugin.NODE_RESOURCES_FIT, subject=resource, requested=requested, free=free)


def unhelped(*groups: GroupVerdict, detail: str = "") -> PendingVerdict:
    return PendingVerdict(
        shape=shape(), pods=(), outcome=PendingOutcome.NO_GROUP, groups=groups, detail=detail
    )


@pytest.mark.parametrize("refusal", GroupRefusal)
@pytest.mark.parametrize("detail", ["", "max 8"])
def test_every_refusal_has_words(refusal: GroupRefusal, detail: str) -> None:
    told = phrases.group_verdict(group(refusal=refusal, detail=detail))
    assert told or (not detail and refusal is GroupRefusal.NO_TEMPLATE)
    assert not re.search(r"\(\)|: $", told)


@pytest.mark.parametrize("plugin", Plugin)
def test_every_misfit_has_words(plugin: Plugin) -> None:
    assert phrases.misfit(Misfit(plugin=plugin, subject="cpu"))


@pytest.mark.parametrize("constraint", [each for each in Unmodelled if each is not Unmodelled.UNREADABLE])
def test_constraints_that_are_not_simulated_are_told_in_the_words_of_the_manifest(
    constraint: Unmodelled,
) -> None:
    told = phrases.misfit(Misfit(plugin=Plugin.NOT_MODELLED, subject=constraint.value))
    assert re.fullmatch(rf"{constraint.value} \(.+\) is not simulated yet, so no node is bought for it", told)
    assert "of the pod" not in told


def test_a_pod_that_cannot_be_read_is_told_where_to_look() -> None:
    told = phrases.misfit(Misfit(plugin=Plugin.NOT_MODELLED, subject=Unmodelled.UNREADABLE.value))
    assert told == (
        "what the pod needs cannot be read by this release (its log says why), so no node is bought for it"
    )


@pytest.mark.parametrize("block", [block for block in BlockReason if block is not BlockReason.BLOCKED_BY_POD])
def test_every_reason_that_keeps_a_node_has_words(block: BlockReason) -> None:
    assert phrases.node_block(NodeVerdict(node="n", pool="p", group="g", block=block))


@pytest.mark.parametrize("pod_block", PodBlock)
def test_a_pod_that_keeps_its_node_is_named_with_rule_and_code(pod_block: PodBlock) -> None:
    verdict = NodeVerdict(
        node="n",
        pool="p",
        group="g",
        block=BlockReason.BLOCKED_BY_POD,
        pod="shop/cart-0",
        pod_block=pod_block,
    )
    assert re.fullmatch(rf"pod shop/cart-0: .+ \({pod_block.value}\)", phrases.node_block(verdict))


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        pytest.param(
            group(misfit=short_of("cpu", requested=64_000, free=3_920)),
            "needs 64 cpu, a fresh node has 3.92 free",
            id="too large",
        ),
        pytest.param(
            group(misfit=short_of("memory", requested=32 * GIB, free=16 * GIB)),
            "needs 32Gi memory, a fresh node has 16Gi free",
            id="too much memory",
        ),
        pytest.param(
            group(refusal=GroupRefusal.MAX_REACHED, detail="max 8"), "max size reached (max 8)", id="max"
        ),
        pytest.param(
            group(refusal=GroupRefusal.LEFT_ALONE, detail="spec.policyRef.name: there is none"),
            "its NodePool is not ready: spec.policyRef.name: there is none",
            id="a sentence after a colon",
        ),
        pytest.param(
            group(refusal=GroupRefusal.NO_TEMPLATE, detail="unknown nodes: set spec.template"),
            "unknown nodes: set spec.template",
            id="the detail says it all",
        ),
        pytest.param(
            group(misfit=Misfit(Plugin.VOLUME_RESTRICTIONS, subject="claim data-0 does not exist")),
            "volumes cannot be bound: claim data-0 does not exist",
            id="the plugin for volumes in use is the first to miss a claim",
        ),
        pytest.param(
            group(misfit=Misfit(Plugin.VOLUME_RESTRICTIONS, subject="ReadWriteOncePod claim shop/data")),
            "volumes are not free: ReadWriteOncePod claim shop/data",
            id="a volume in use",
        ),
        pytest.param(group(refusal=GroupRefusal.PAUSED, detail="mode Paused"), "paused", id="or nothing new"),
    ],
)
def test_why_a_group_does_not_help(verdict: GroupVerdict, told: str) -> None:
    assert phrases.group_verdict(verdict) == told


def test_what_is_nearest_to_helping_comes_first() -> None:
    elsewhere = Misfit(plugin=Plugin.NODE_AFFINITY, subject="zone=b")
    verdict = unhelped(
        group("a", misfit=elsewhere),
        group("b", misfit=elsewhere),
        group("c", misfit=short_of("cpu", requested=8000, free=4000)),
        group("d", refusal=GroupRefusal.MAX_REACHED, detail="max 3"),
    )
    assert phrases.not_triggered(verdict) == (
        "1 group: max size reached (max 3) [general/d]; "
        "1 group: needs 8 cpu, a fresh node has 4 free [general/c]; "
        "2 groups: node selector or affinity does not match (zone=b) [general/a, general/b]"
    )


@pytest.mark.parametrize(
    ("plugin", "subject", "change"),
    [
        (
            Plugin.VOLUME_RESTRICTIONS,
            "ReadWriteOncePod claim shop/data",
            "its volumes were free (ReadWriteOncePod claim shop/data)",
        ),
        (
            Plugin.VOLUME_RESTRICTIONS,
            "claim data does not exist",
            "its volumes could be bound there (claim data does not exist)",
        ),
        (Plugin.VOLUME_ZONE, "zone in (b)", "its volumes were there (zone in (b))"),
    ],
)
def test_what_would_have_to_be_otherwise_with_volumes(plugin: Plugin, subject: str, change: str) -> None:
    miss = NearestMiss(pool="general", group="asg-a", misfits=(Misfit(plugin, subject=subject),))
    assert phrases.nearest_miss(miss) == f"nearest is general/asg-a: it would do if {change}"


@pytest.mark.parametrize(
    ("refusal", "detail", "change"),
    [
        (GroupRefusal.MAX_REACHED, "max 8", "it could grow (max size reached (max 8))"),
        (
            GroupRefusal.POD_RULES,
            "no group adds nodes with the label rack",
            "rules between pods left them a place there (no group adds nodes with the label rack)",
        ),
    ],
)
def test_what_would_have_to_be_otherwise_with_a_group_that_may_not_grow(
    refusal: GroupRefusal, detail: str, change: str
) -> None:
    miss = NearestMiss(pool="general", group="asg-a", refusal=refusal, detail=detail)
    assert phrases.nearest_miss(miss) == f"nearest is general/asg-a: it would do if {change}"


def test_without_any_group_that_is_said() -> None:
    assert phrases.not_triggered(unhelped()) == "there is no node group that could grow"
