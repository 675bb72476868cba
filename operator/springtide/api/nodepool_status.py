"""Status of a NodePool: what is true, why, and what a restarted operator must know."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from springtide.api.conditions import ConditionList
from springtide.api.model import ApiModel
from springtide.api.scalars import (
    AnyInteger,
    Figure,
    LongText,
    MicroTime,
    Quantity,
    ShortText,
    Time,
    list_map,
)
from springtide.api.settings import Mode, ScaleDownOverrides, ScaleUpOverrides

MAX_GROUPS: Final = 256
"""Node groups shown in a status."""
MAX_CANDIDATES: Final = 50
"""Scale-down candidates shown in a status, longest unneeded first; candidateCount counts them all."""


MAX_REMOVALS: Final = 50
"""Removals shown in a status, oldest first."""
MAX_PURPOSES: Final = 5
"""Kinds of pods named in a purchase; the last text counts those that are not."""


class ScaleUpState(StrEnum):
    """What the pool does about growing."""

    NO_ACTIVITY = "NoActivity"
    IN_PROGRESS = "InProgress"
    BACKOFF = "Backoff"
    UNHEALTHY = "Unhealthy"


class ScaleDownState(StrEnum):
    """What the pool does about shrinking."""

    NO_CANDIDATES = "NoCandidates"
    CANDIDATES_PRESENT = "CandidatesPresent"
    IN_PROGRESS = "InProgress"


class PoolSize(ApiModel):
    """Size of the pool over all its node groups."""

    target: Figure = 0
    """Nodes asked from the cloud."""
    min: Figure = 0
    """Fewest nodes, after the groups' own bounds."""
    max: Figure = 0
    """Most nodes, after the groups' own bounds."""


class NodeCounts(ApiModel):
    """The pool's nodes by what they are; each is counted in exactly one of these, except registered."""

    registered: Figure = 0
    """Nodes that exist in Kubernetes."""
    ready: Figure = 0
    """Registered, started and ready."""
    unready: Figure = 0
    """Registered and started once, not ready now."""
    not_started: Figure = 0
    """Registered, not ready yet, still within maxNodeStartupTime."""
    long_not_started: Figure = 0
    """Registered, never ready, longer than maxNodeStartupTime."""
    unregistered: Figure = 0
    """Instances that are not in Kubernetes yet, still within maxNodeProvisionTime."""
    long_unregistered: Figure = 0
    """Instances that are not in Kubernetes, longer than maxNodeProvisionTime."""
    being_deleted: Figure = 0
    """Nodes being removed."""


class Utilization(ApiModel):
    """What is requested by pods, in percent of what the pool's ready nodes have allocatable."""

    cpu: Figure = 0
    """CPU, in percent."""
    memory: Figure = 0
    """Memory, in percent."""


class GroupBackoff(ApiModel):
    """Why and until when nothing is bought from a node group."""

    until: Time
    """When it is tried again."""
    reason: ShortText
    """What failed, e.g. OutOfCapacity, QuotaExceeded, ProvisionTimeout."""
    failures: Figure = 1
    """Failures in a row; each doubles the wait."""
    last_failure_time: Time | None = None
    """When the last purchase failed; the wait is reset some time after."""

    message: LongText | None = None
    """What the cloud said."""


Purposes = Annotated[tuple[ShortText, ...], Field(max_length=MAX_PURPOSES + 1)]


class GroupRequest(ApiModel):
    """What the cloud is being asked for; it stands here before the call is sent, so that no crash can lose it."""

    since: Time
    """When it was written; the call followed at once."""
    from_: Figure = Field(alias="from")
    """Target before."""
    to: Figure
    """Target asked for. A successor that reads this target, or more, takes the nodes for its own; one that reads
    the target before forgets the request and decides anew."""
    awaited: Figure = 0
    """Nodes of an earlier purchase that had not come yet."""
    registered: Figure = 0
    """Nodes the group had in Kubernetes then."""
    plan_id: Annotated[str | None, Field(max_length=64)] = Field(default=None, alias="planID")
    """The plan that decided it."""
    for_: Purposes = Field(default=(), alias="for")
    """The pods it is for, by shape and owner: "6 × 500m/1Gi (shop/ReplicaSet/web)"; not all when there are many."""


class GroupPurchase(ApiModel):
    """A purchase from a node group that is not fulfilled yet."""

    since: Time
    """When the target was last raised."""
    from_: Figure = Field(alias="from")
    """Target before."""
    to: Figure
    """Target asked for."""

    registered: Figure = 0
    """Nodes the group had in Kubernetes when it was made; what it has more is what has arrived since."""
    plan_id: Annotated[str | None, Field(max_length=64)] = Field(default=None, alias="planID")
    """The plan that decided it; the same id is in events, logs and lastDecision."""
    for_: Purposes = Field(default=(), alias="for")
    """The pods it was made for, by shape and owner; not all when there are many."""


class GroupError(ApiModel):
    """The last thing that went wrong with a node group."""

    time: Time
    """When it happened, by the cloud's clock where it says so."""
    message: LongText
    """What the cloud said."""


class GroupStatus(ApiModel):
    """One node group of the pool."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    """The cloud's name of the group, e.g. that of the Auto Scaling group."""
    zones: Annotated[tuple[ShortText, ...], Field(max_length=32)] = ()
    """Zones it has nodes in."""
    target: Figure = 0
    """Nodes asked from the cloud."""
    min: Figure = 0
    """The group's own minimum."""
    max: Figure = 0
    """The group's own maximum."""
    ready: Figure = 0
    """Ready nodes."""
    unfulfilled: Figure = 0
    """Nodes asked for that no instance stands for yet."""
    request: GroupRequest | None = None
    """What the cloud is being asked for right now, or was when the operator stopped; gone with the answer."""
    purchase: GroupPurchase | None = None
    """The purchase that is not fulfilled yet, if any."""
    backoff: GroupBackoff | None = None
    """Why and until when nothing is bought from it, if so."""
    last_error: GroupError | None = None
    """The last thing that went wrong, if anything."""
    failures_seen_until: MicroTime | None = None
    """Launch failures that the cloud dates up to here have been acted on; so that none is acted on twice."""

    ever_registered: bool = False
    """Whether any instance of the group ever became a Node; if none did, nothing in it is terminated as
    unregistered."""
    template_source: LongText | None = None
    """Where the picture of a fresh node comes from."""


class ScaleUpStatus(ApiModel):
    """What the pool does about growing."""

    state: ScaleUpState = ScaleUpState.NO_ACTIVITY
    """NoActivity; InProgress: nodes are on their way; Backoff: every group backs off; Unhealthy: too many
    unready nodes."""
    from_: Figure | None = Field(default=None, alias="from")
    """Target before the last purchase."""
    to: Figure | None = None
    """Target after the last purchase."""
    reason: LongText | None = None
    """Why it was made, or why none is."""
    last_transition_time: Time | None = None
    """When the state last changed."""


class Candidate(ApiModel):
    """A node that is under-used."""

    node: ShortText
    """Name of the node."""
    since: Time | None = None
    """Unneeded since; absent while something blocks it."""
    utilization_percent: Figure = 0
    """The larger of requested CPU and memory (GPUs on a GPU node), in percent of what is allocatable."""
    blocked_by: LongText | None = None
    """Why it cannot be removed: the pod and the rule, or the delay that has not passed."""


class RemovalStatus(ApiModel):
    """A node on its way out. Its annotation springtide.dev/removal says the same, and is what a restarted operator goes
    by."""

    node: ShortText
    """Name of the node."""
    phase: ShortText
    """Tainted; Draining: pods may have been evicted; Terminating: the cloud may have been asked."""
    since: Time
    """When it began."""
    deadline: Time | None = None
    """Interrupted before the termination and not resumed until then, it is rolled back."""
    reason: ShortText | None = None
    """Why the node goes: Empty, Underutilized, Unready."""


class ScaleDownStatus(ApiModel):
    """What the pool does about shrinking."""

    state: ScaleDownState = ScaleDownState.NO_CANDIDATES
    """NoCandidates; CandidatesPresent: some nodes are unneeded; InProgress: nodes are being removed."""
    candidate_count: Figure = 0
    """How many nodes are unneeded."""
    candidates: Annotated[
        tuple[Candidate, ...], Field(max_length=MAX_CANDIDATES, json_schema_extra=list_map("node"))
    ] = ()
    """The under-used nodes, longest unneeded first; not all when there are many."""
    removals: Annotated[
        tuple[RemovalStatus, ...], Field(max_length=MAX_REMOVALS, json_schema_extra=list_map("node"))
    ] = ()
    """The nodes on their way out, oldest first; not all when there are many."""
    last_transition_time: Time | None = None
    """When the state last changed."""


class Decision(ApiModel):
    """The last time something was decided for the pool."""

    time: Time
    """When."""
    plan_id: Annotated[str | None, Field(max_length=64)] = Field(default=None, alias="planID")
    """The plan; the same id is in events and logs."""
    action: ShortText
    """What was decided: ScaleUp, ScaleDown, …"""
    summary: LongText
    """The decision in one line with its numbers."""


class SimilarPool(ApiModel):
    """Another pool of the same policy, compared with this one."""

    name: ShortText
    """Name of the other NodePool."""
    difference: LongText | None = None
    """The first thing that keeps the two from sharing purchases, e.g. "allocatable memory differs by
    7.2 % > 5 %"; absent: they do share them."""


class EffectiveSettings(ApiModel):
    """The settings in force: the policy's, overridden by the pool's."""

    policy_generation: AnyInteger | None = None
    """The metadata.generation of the policy they come from."""
    mode: Mode | None = None
    """The stricter of the pool's and the policy's mode."""
    min_size: Figure | None = None
    """Fewest nodes in the pool, after the groups' own bounds."""
    max_size: Figure | None = None
    """Most nodes in the pool, after the groups' own bounds."""
    scale_up: ScaleUpOverrides | None = None
    """When and how nodes are bought."""
    scale_down: ScaleDownOverrides | None = None
    """When and how nodes are given back."""


class NodePoolStatus(ApiModel):
    """What is true of the pool, written by Springtide."""

    observed_generation: AnyInteger | None = None
    """The metadata.generation that this status speaks of."""
    effective: EffectiveSettings | None = None
    """The settings in force: the policy's, overridden by the pool's."""
    size: PoolSize | None = None
    """Size of the pool over all its node groups."""
    nodes: NodeCounts | None = None
    """The pool's nodes by what they are."""
    groups: Annotated[
        tuple[GroupStatus, ...], Field(max_length=MAX_GROUPS, json_schema_extra=list_map("id"))
    ] = ()
    """The pool's node groups."""
    scale_up: ScaleUpStatus | None = None
    """What the pool does about growing."""
    scale_down: ScaleDownStatus | None = None
    """What the pool does about shrinking."""
    utilization_percent: Utilization | None = None
    """What is requested by pods, in percent of what the pool's ready nodes have allocatable."""
    hourly_cost: Quantity | None = None
    """What the pool costs an hour at its present size, in the policy's currency; absent when a price is
    unknown."""
    similar_pools: Annotated[
        tuple[SimilarPool, ...], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = ()
    """With a policy that has balanceSimilarPools: how this pool compares with the policy's others; not all
    when there are many."""
    last_scale_up_time: Time | None = None
    """When nodes were last bought; delayAfterAdd counts from here."""
    last_scale_down_time: Time | None = None
    """When a node was last removed; delayAfterDelete counts from here."""
    last_scale_down_failure_time: Time | None = None
    """When a removal last failed; delayAfterFailure counts from here."""
    last_probe_time: Time | None = None
    """When the pool was last looked at, to the minute or so. After a gap of more than three minutes,
    unneeded nodes start to wait anew."""
    last_decision: Decision | None = None
    """The last time something was decided for the pool."""
    conditions: ConditionList = ()
    """What is true of the pool and why; Ready first."""
