"""Verdicts in words: the one place where a decision's reason becomes text for users.

The same phrase stands in status, event, log line and on the terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from springtide.api.nodepool_status import MAX_PURPOSES
from springtide.cluster.quantity import render_quantity
from springtide.cluster.records import PodRecord
from springtide.cluster.shape import Unmodelled
from springtide.planning.plan import (
    BlockReason,
    Cancellation,
    GroupRefusal,
    GroupVerdict,
    NearestMiss,
    NodeVerdict,
    PendingVerdict,
    PodBlock,
    Purchase,
    PurchaseReason,
    Removal,
    UnregisteredRemoval,
)
from springtide.reporting.pod_rules import broken_rule, kept_rule
from springtide.scheduling.verdict import Misfit, Plugin

MAX_PURPOSE_LENGTH: Final = 160
"""Characters, for one kind of pods."""
MAX_REASONS: Final = 8
"""Different reasons told for one pod."""
MAX_CHANGES: Final = 3
"""Changes told that a group would need to hold a pod."""


def elapsed(duration: timedelta) -> str:
    """A duration as people read it: "2m0s", "1h5m", "35s"."""
    seconds = max(0, round(duration.total_seconds()))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def misfit(verdict: Misfit) -> str:
    """Why a pod does not fit a fresh node of a group, with the numbers."""
    if verdict.plugin is Plugin.NODE_RESOURCES_FIT:
        return _shortage(verdict)
    if verdict.plugin is Plugin.NODE_VOLUME_LIMITS:
        return _too_many_volumes(verdict)
    if _claim_is_missing(verdict):
        return _MISFITS[Plugin.VOLUME_BINDING].format(subject=verdict.subject)
    if verdict.plugin in _BETWEEN_PODS:
        return broken_rule(verdict)
    if verdict.plugin is Plugin.NOT_MODELLED:
        return _unmodelled(verdict.subject)
    return _MISFITS[verdict.plugin].format(subject=verdict.subject, about=_about(verdict.subject))


_BETWEEN_PODS = frozenset({Plugin.POD_TOPOLOGY_SPREAD, Plugin.INTER_POD_AFFINITY})

_MISFITS = {
    Plugin.TAINT_TOLERATION: "taint {subject} is not tolerated",
    Plugin.NODE_AFFINITY: "node selector or affinity does not match{about}",
    Plugin.NODE_PORTS: "host port {subject} is taken",
    Plugin.NODE_NAME: "the pod asks for the node {subject}",
    Plugin.NODE_UNSCHEDULABLE: "the node is cordoned",
    Plugin.VOLUME_RESTRICTIONS: "volumes are not free: {subject}",
    Plugin.VOLUME_BINDING: "volumes cannot be bound: {subject}",
    Plugin.VOLUME_ZONE: "volumes are elsewhere: {subject}",
}

_UNMODELLED = {
    Unmodelled.RESOURCE_CLAIMS.value: "resourceClaims",
}


def _unmodelled(subject: str) -> str:
    if Unmodelled.UNREADABLE.value in subject:
        return "what the pod needs cannot be read by this release (its log says why), so no node is bought for it"
    told = (f"{name} ({_UNMODELLED.get(name, 'of the pod')})" for name in subject.split(", "))
    return f"{', '.join(told)} is not simulated yet, so no node is bought for it"


def _shortage(verdict: Misfit) -> str:
    if verdict.subject == "pods":
        return "a fresh node takes no more pods"
    requested = render_quantity(verdict.subject, verdict.requested)
    free = render_quantity(verdict.subject, max(0, verdict.free))
    return f"needs {requested} {verdict.subject}, a fresh node has {free} free"


def _too_many_volumes(verdict: Misfit) -> str:
    more = f"a fresh node takes {max(0, verdict.free)} more"
    return f"attaches {_volumes(verdict.requested)} of {verdict.subject}, {more}"


def _claim_is_missing(verdict: Misfit) -> bool:
    """VolumeRestrictions is the first of the scheduler's plugins to look at claims, so it is the one that misses them."""
    return verdict.plugin is Plugin.VOLUME_RESTRICTIONS and verdict.subject.endswith("does not exist")


def _volumes(count: int) -> str:
    return "1 volume" if count == 1 else f"{count} volumes"


def _about(subject: str) -> str:
    return f" ({subject})" if subject else ""


_REFUSALS = {
    GroupRefusal.MAX_REACHED: "max size reached",
    GroupRefusal.BACKOFF: "in backoff after a failed scale-up",
    GroupRefusal.LIMIT: "limit reached",
    GroupRefusal.NOT_HEALTHY: "too many unready nodes",
    GroupRefusal.NO_TEMPLATE: "unknown what its nodes look like",
    GroupRefusal.LEFT_ALONE: "its NodePool is not ready",
    GroupRefusal.PAUSED: "paused",
    GroupRefusal.DRY_RUN: "dry run",
    GroupRefusal.FORBIDDEN: "purchases are not allowed now",
    GroupRefusal.FROM_ZERO_OFF: "scaling from zero is off",
    GroupRefusal.NOT_CHOSEN: "another group was chosen",
    GroupRefusal.POD_RULES: "rules between pods leave them no place there",
    GroupRefusal.EXCLUDED: "its settings leave the pod out (priority cutoff, newPodDelay or schedulers)",
}
_DETAIL_SAYS_ALL = frozenset({GroupRefusal.NO_TEMPLATE, GroupRefusal.FROM_ZERO_OFF})
_DETAIL_SAYS_NOTHING = frozenset({GroupRefusal.PAUSED, GroupRefusal.DRY_RUN})
_DETAIL_IS_A_SENTENCE = frozenset(
    {GroupRefusal.LEFT_ALONE, GroupRefusal.FORBIDDEN, GroupRefusal.NOT_HEALTHY, GroupRefusal.POD_RULES}
)


def group_verdict(verdict: GroupVerdict) -> str:
    """Why a group does not help a pending pod: the reason without the group's name."""
    if verdict.misfit is not None:
        return misfit(verdict.misfit)
    if verdict.refusal is None:
        return "chosen" if verdict.used else "would fit"
    return _refusal(verdict.refusal, verdict.detail)


def _refusal(refusal: GroupRefusal, detail: str) -> str:
    text = _REFUSALS[refusal]
    if not detail or refusal in _DETAIL_SAYS_NOTHING:
        return text
    if refusal in _DETAIL_SAYS_ALL:
        return detail
    return f"{text}: {detail}" if refusal in _DETAIL_IS_A_SENTENCE else f"{text} ({detail})"


def not_triggered(verdict: PendingVerdict) -> str:
    """Why no group helps: what is nearest to helping first, equally near ones by how many groups say it."""
    reasons = Counter(group_verdict(group) for group in verdict.groups)
    if not reasons:
        return verdict.detail or "there is no node group that could grow"
    nearness = {group_verdict(group): _nearness(group) for group in verdict.groups}
    ordered = sorted(reasons.items(), key=lambda item: (nearness[item[0]], -item[1]))
    return "; ".join(
        f"{count} {'group' if count == 1 else 'groups'}: {text}{_which(verdict.groups, text)}"
        for text, count in ordered[:MAX_REASONS]
    ) + (f"; {nearest_miss(verdict.nearest)}" if verdict.nearest is not None else "")


def nearest_miss(miss: NearestMiss) -> str:
    """What would have to change for a group to hold the pod: "nearest is general/asg-a: it would do if …"."""
    changes = [_change(misfit) for misfit in miss.misfits]
    if miss.refusal is not None:
        changes.append(_growth(miss.refusal, miss.detail))
    where = f"nearest is {miss.pool}/{miss.group}"
    if len(changes) <= MAX_CHANGES:
        return f"{where}: it would do if {' and '.join(changes)}"
    return f"{where}: it would do if {', '.join(changes[:MAX_CHANGES])} and {len(changes) - MAX_CHANGES} more"


def _growth(refusal: GroupRefusal, detail: str) -> str:
    if refusal is GroupRefusal.POD_RULES:
        return f"rules between pods left them a place there{_about(detail)}"
    return f"it could grow ({_refusal(refusal, detail)})"


def _change(verdict: Misfit) -> str:
    if verdict.plugin is Plugin.NODE_RESOURCES_FIT:
        return _smaller(verdict)
    if verdict.plugin is Plugin.NODE_VOLUME_LIMITS:
        return f"the pod attached at most {_volumes(max(0, verdict.free))} of {verdict.subject}"
    if verdict.plugin in _BETWEEN_PODS:
        return kept_rule(verdict)
    change = _CHANGES.get(Plugin.VOLUME_BINDING if _claim_is_missing(verdict) else verdict.plugin)
    return change.format(subject=verdict.subject) if change else f"not for this: {misfit(verdict)}"


_CHANGES = {
    Plugin.TAINT_TOLERATION: "the pod tolerated {subject}",
    Plugin.NODE_AFFINITY: "its nodes matched {subject}",
    Plugin.NODE_PORTS: "host port {subject} were not taken there",
    Plugin.NODE_NAME: "the pod did not ask for the node {subject}",
    Plugin.VOLUME_RESTRICTIONS: "its volumes were free ({subject})",
    Plugin.VOLUME_BINDING: "its volumes could be bound there ({subject})",
    Plugin.VOLUME_ZONE: "its volumes were there ({subject})",
}


def _smaller(verdict: Misfit) -> str:
    if verdict.subject == "pods":
        return "its nodes took more pods"
    requested = render_quantity(verdict.subject, verdict.requested)
    if verdict.free <= 0:
        return f"its nodes had {requested} {verdict.subject} for it"
    free = render_quantity(verdict.subject, verdict.free)
    return f"the pod requested at most {free} {verdict.subject} instead of {requested}"


def _nearness(verdict: GroupVerdict) -> int:
    """A group that would fit but may not grow tells users more than one that was never meant for the pod."""
    if verdict.misfit is None:
        return 0
    return 1 if verdict.misfit.plugin in (Plugin.NODE_RESOURCES_FIT, Plugin.NOT_MODELLED) else 2


def _which(groups: Iterable[GroupVerdict], text: str) -> str:
    names = [f"{group.pool}/{group.group}" for group in groups if group_verdict(group) == text]
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f" [{shown}]"


def pods_count(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def nodes_count(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def purchase(decision: Purchase) -> str:
    """general/asg-a 4->5 (max 8) for 3 pods."""
    why = (
        "to reach the minimum"
        if decision.reason is PurchaseReason.BELOW_MINIMUM
        else f"for {pods_count(len(decision.pods))}"
    )
    size = f"{decision.from_target}->{decision.to_target} (max {decision.max_size})"
    return f"{decision.pool}/{decision.group} {size} {why}"


def purposes(decision: Purchase) -> tuple[str, ...]:
    """The pods a purchase is for, by shape and owner, most first: "6 × 500m/1Gi (shop/ReplicaSet/web)"; a few of them."""
    kinds = Counter(_kind_of_pod(pod) for pod in decision.pods)
    told = [f"{count} × {kind}"[:MAX_PURPOSE_LENGTH] for kind, count in kinds.most_common(MAX_PURPOSES)]
    rest = len(decision.pods) - sum(count for _, count in kinds.most_common(MAX_PURPOSES))
    return (*told, f"{rest} others") if rest else tuple(told)


def _kind_of_pod(pod: PodRecord) -> str:
    requests = pod.shape.requests
    asked = "/".join(render_quantity(name, requests.get(name, 0)) for name in ("cpu", "memory"))
    owner = f"{pod.owner.kind}/{pod.owner.name}" if pod.owner is not None else pod.name
    return f"{asked} ({pod.namespace}/{owner})"


def cancellation(decision: Cancellation) -> str:
    return (
        f"{decision.pool}/{decision.group} {decision.from_target}->{decision.to_target}: "
        f"{decision.failure}: {decision.message}"
    )


def removal(decision: Removal) -> str:
    """ip-10-0-3-7 (general/asg-a): Underutilized, utilization 0.055, 3 pods to move."""
    moving = f", {pods_count(len(decision.pods_to_evict))} to move" if decision.pods_to_evict else ""
    return (
        f"{decision.node} ({decision.pool}/{decision.group}): {decision.reason}, "
        f"utilization {decision.utilization:.3f}{moving}"
    )


def unregistered(decision: UnregisteredRemoval) -> str:
    return f"{decision.pool}/{decision.group}: {', '.join(decision.instances)}: {decision.message}"


_POD_BLOCKS = {
    PodBlock.CONTROLLER_NOT_FOUND: "its controller is gone",
    PodBlock.MIN_REPLICAS_REACHED: "its controller has too few replicas",
    PodBlock.NOT_REPLICATED: "no controller would replace it",
    PodBlock.LOCAL_STORAGE: "it has local storage",
    PodBlock.NOT_SAFE_TO_EVICT: "annotated safe-to-evict=false",
    PodBlock.DO_NOT_DISRUPT: "annotated do-not-disrupt",
    PodBlock.SYSTEM_POD: "kube-system pod without a PodDisruptionBudget",
    PodBlock.NOT_ENOUGH_PDB: "its PodDisruptionBudget allows no disruption",
}

_BLOCKS = {
    BlockReason.SCALE_DOWN_DISABLED_ANNOTATION: "annotated scale-down-disabled",
    BlockReason.SCALE_DOWN_DISABLED: "scale-down is disabled",
    BlockReason.FOREIGN_TAINT: "a Cluster Autoscaler that is gone left a taint",
    BlockReason.SCALE_DOWN_UNREADY_DISABLED: "removal of unready nodes is disabled",
    BlockReason.NOT_AUTOSCALED: "belongs to no NodePool",
    BlockReason.NOT_UNNEEDED_LONG_ENOUGH: "not unneeded long enough",
    BlockReason.NOT_UNREADY_LONG_ENOUGH: "not unready long enough",
    BlockReason.MIN_SIZE_REACHED: "minimum size reached",
    BlockReason.ATOMIC: "its atomic group cannot go as a whole",
    BlockReason.MINIMAL_LIMIT_EXCEEDED: "the policy's lower limit is reached",
    BlockReason.CURRENTLY_BEING_DELETED: "being removed",
    BlockReason.NOT_UNDERUTILIZED: "in use",
    BlockReason.NO_PLACE_TO_MOVE_PODS: "its pods fit nowhere else",
    BlockReason.BLOCKED_BY_POD: "a pod blocks",
    BlockReason.BLOCKED_BY_ON_COMPLETION_POD: "waits until a pod completes",
    BlockReason.NOT_MODELLED: "a pod's constraints are not simulated yet",
    BlockReason.COOL_DOWN: "cooling down",
    BlockReason.BUDGET: "the policy's budgets allow no more",
    BlockReason.PARALLELISM: "enough removals at a time",
    BlockReason.NOT_STARTED: "still starting",
    BlockReason.FORBIDDEN: "removals are not allowed now",
    BlockReason.OPERATOR_RUNS_HERE: "the operator runs there",
    BlockReason.PAUSED: "paused",
    BlockReason.DRY_RUN: "dry run",
    BlockReason.LEFT_ALONE: "its NodePool is not ready",
}


def node_block(verdict: NodeVerdict) -> str:
    """Why a node stays; empty when nothing holds it."""
    if verdict.block is None:
        return ""
    if verdict.pod_block is not None:
        return f"pod {verdict.pod}: {_POD_BLOCKS[verdict.pod_block]} ({verdict.pod_block})"
    text = _BLOCKS[verdict.block]
    if verdict.pod:
        text += f": pod {verdict.pod}"
    return text + (f" ({verdict.detail})" if verdict.detail else "")
