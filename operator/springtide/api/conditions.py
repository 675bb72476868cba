"""Conditions: what is true of a resource, why, and since when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from springtide.api.foreign_text import shown
from springtide.api.model import ApiModel
from springtide.api.scalars import AnyInteger, Time, list_map

MAX_CONDITION_MESSAGE: Final = 2048
"""Characters; Kubernetes allows 32,768, which nobody reads and every watcher pays for."""


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """Every condition Springtide writes."""

    READY = "Ready"
    """NodePool, AutoscalerPolicy. Accepted and acted on; False names the field or fact in the way, and the
    remedy."""
    PROVIDER_REACHABLE = "ProviderReachable"
    """NodePool. The last listing of the pool's groups succeeded."""
    DEGRADED = "Degraded"
    """NodePool, AutoscalerPolicy. Works, but part of it does not: a group backs off, nodes are unready, a group is
    missing, the API server or a zone fails."""
    SCALING_UP = "ScalingUp"
    """NodePool. Nodes are on their way."""
    SCALING_DOWN = "ScalingDown"
    """NodePool. Nodes are being removed."""
    AT_MAX = "AtMax"
    """NodePool. No group of the pool may grow."""
    AT_MIN = "AtMin"
    """NodePool. No group of the pool may shrink."""
    PRIORITIES_VALID = "PrioritiesValid"
    """AutoscalerPolicy with spec.priorities. Its text can be read; False names the line in the way."""


class Reason(StrEnum):
    """Why a condition has its status; stable, for scripts and alerts."""

    # Ready=True
    ACCEPTED = "Accepted"
    PAUSED = "Paused"
    DRY_RUN = "DryRun"
    # Ready=False: the resource itself
    INVALID_SPEC = "InvalidSpec"
    POLICY_NOT_FOUND = "PolicyNotFound"
    POLICY_INVALID = "PolicyInvalid"
    BOUNDS_CONTRADICT = "BoundsContradict"
    # Ready=False: the node groups
    GROUP_NOT_FOUND = "GroupNotFound"
    NO_GROUPS = "NoGroups"
    GROUP_CLAIMED = "GroupClaimed"
    GROUP_UNUSABLE = "GroupUnusable"
    GROUP_HAS_SCALING_POLICY = "GroupHasScalingPolicy"
    AZ_REBALANCE_ACTIVE = "AZRebalanceActive"
    DISCOVERY_NOT_OWNED = "DiscoveryNotOwned"
    TEMPLATE_UNKNOWN = "TemplateUnknown"
    # Ready=False: the surroundings
    CLUSTER_AUTOSCALER_ACTIVE = "ClusterAutoscalerActive"
    PROVIDER_NOT_INSTALLED = "ProviderNotInstalled"
    CREDENTIALS_DENIED = "CredentialsDenied"
    PROVIDER_ERROR = "ProviderError"
    PROVIDER_THROTTLED = "ProviderThrottled"
    NO_PROVIDER_IDS = "NoProviderIDs"
    NODES_UNMATCHED = "NodesUnmatched"
    CLUSTER_UNHEALTHY = "ClusterUnhealthy"
    STALE_PICTURE = "StalePicture"
    # ProviderReachable=True
    LISTED = "Listed"
    NOT_LISTED_YET = "NotListedYet"
    # Degraded
    GROUPS_BACKING_OFF = "GroupsBackingOff"
    NODES_UNREADY = "NodesUnready"
    FOREIGN_TAINTS = "ForeignTaints"
    UNREGISTERED_INSTANCES = "UnregisteredInstances"
    AS_EXPECTED = "AsExpected"
    # Degraded, as StalePicture: the surroundings (springtide.cluster.degradation)
    API_SERVER_UNREACHABLE = "ApiServerUnreachable"
    API_SERVER_SLOW = "ApiServerSlow"
    API_SERVER_THROTTLING = "ApiServerThrottling"
    PROVIDER_SLOW = "ProviderSlow"
    CLOCK_JUMPED = "ClockJumped"
    ZONE_OUTAGE = "ZoneOutage"
    OVERLOADED = "Overloaded"
    # ScalingUp, ScalingDown
    PURCHASE_OUTSTANDING = "PurchaseOutstanding"
    REMOVAL_IN_PROGRESS = "RemovalInProgress"
    NO_ACTIVITY = "NoActivity"
    # AtMax, AtMin
    POOL_BOUND = "PoolBound"
    GROUP_BOUNDS = "GroupBounds"
    POLICY_LIMIT = "PolicyLimit"
    WITHIN_BOUNDS = "WithinBounds"
    # PrioritiesValid
    PRIORITIES_READ = "PrioritiesRead"
    PRIORITIES_MALFORMED = "PrioritiesMalformed"


class Condition(ApiModel):
    """One thing that is true or not of the resource, as metav1.Condition."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z]*$")]
    """What is said, e.g. Ready."""

    status: ConditionStatus
    """True, False or Unknown."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z]*$")]
    """Why, in one word for scripts and alerts."""

    message: Annotated[str, StringConstraints(max_length=MAX_CONDITION_MESSAGE)] = ""
    """Why, for humans: the field or fact, and the remedy."""

    observed_generation: AnyInteger | None = None
    """The metadata.generation this was said of."""

    last_transition_time: Time
    """When the status last changed."""


ConditionList = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]


def set_condition(
    conditions: Iterable[Condition],
    kind: ConditionType,
    status: ConditionStatus | bool,
    *,
    reason: Reason,
    message: str,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """The conditions with this one added, or replaced in its place.

    lastTransitionTime is kept when the status stays the same, so that it says since when, and so that writing
    the same fact twice changes nothing. The message may hold what clouds and users wrote: see api.foreign_text.
    """
    if isinstance(status, bool):
        status = ConditionStatus.TRUE if status else ConditionStatus.FALSE
    kept = {condition.type: condition for condition in conditions}
    before = kept.get(kind)
    since = before.last_transition_time if before is not None and before.status == status else now
    kept[kind] = Condition(
        type=kind.value,
        status=status,
        reason=reason.value,
        message=shown(message, at_most=MAX_CONDITION_MESSAGE),
        observed_generation=generation,
        last_transition_time=since.replace(microsecond=0),
    )
    return tuple(kept.values())


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """The condition of this type, if any."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: ConditionType) -> bool:
    """Whether the condition is there and True."""
    condition = find_condition(conditions, kind)
    return condition is not None and condition.status == ConditionStatus.TRUE
