"""Instances that left their group although we did not ask for it: noticed between two readings, explained by AWS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from springtide.cluster.groups import Instance, InstanceState, Loss, LossCause
from springtide.providers.aws.activities import MAX_MESSAGE, NEWEST_FIRST
from springtide.providers.aws.groups import AutoScalingGroup
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import Region
from springtide.providers.base import ProviderError

EXPLAINED_WITHIN = timedelta(minutes=2)
"""Activities appear some time after the instance went; one that has none by then is told without a cause."""

TOLD_FOR = timedelta(minutes=15)
"""So long a loss stands in the listings: whoever reads them does so every few seconds."""

MOST_TOLD = 50
"""Losses told of a group at a time: when AWS takes a whole group, its name says more than a thousand instances'."""

OURS_FOR = timedelta(hours=1)
"""So long an instance that we terminated may stay Terminating (lifecycle hooks last up to two days; but by then the
readings have shown it as going)."""

FORGOTTEN_AFTER = timedelta(hours=1)
"""What was in a group that nobody has read since then proves nothing."""

# Phrases of the activities' Cause. Sources: "Scaling cooldowns and activity history" and "Health checks" of the EC2 Auto
# Scaling user guide, and causes quoted in public issue trackers. The first that is found counts: an activity tells the
# whole story, and the reason comes before "a difference between desired and actual capacity".
_CAUSES = (
    ("to balance instances in zones", LossCause.AZ_REBALANCE),
    ("aid in balancing the group", LossCause.AZ_REBALANCE),
    ("rebalance recommendation", LossCause.REBALANCE_RECOMMENDATION),
    ("spot instance interruption", LossCause.SPOT_INTERRUPTION),
    ("instance refresh", LossCause.INSTANCE_REFRESH),
    ("instance lifetime", LossCause.MAX_INSTANCE_LIFETIME),
    ("triggered policy", LossCause.SCALING_POLICY),
    ("scheduled action", LossCause.SCHEDULED_ACTION),
    ("health check", LossCause.HEALTH_CHECK),
    ("health-check", LossCause.HEALTH_CHECK),
    ("user request", LossCause.USER_REQUEST),
    ("difference between desired and actual capacity", LossCause.TARGET_LOWERED),
)

_LEAVES = re.compile(r"(?:Terminating|Detaching|Moving) EC2 instance(?: to Standby)?: (i-\w+)")
"""Descriptions of the activities by which an instance leaves its group's capacity."""


@dataclass(slots=True)
class _Group:
    """What is remembered of one group."""

    alive: Mapping[str, Instance]
    read_at: datetime
    missing: dict[str, tuple[Instance, datetime]] = field(default_factory=dict)
    """Gone, not explained yet, and when that was noticed."""
    losses: tuple[Loss, ...] = ()


class Losses:
    """The losses of the groups of one region. What happened before its first reading of a group it does not know."""

    def __init__(self, region: Region, *, clock: Callable[[], datetime]) -> None:
        self._region = region
        self._clock = clock
        self._groups: dict[str, _Group] = {}
        self._ours: dict[str, datetime] = {}
        self.problem = ""
        """Why activities could not be read the last time, for users; empty when they could."""

    def expect(self, instance_id: str) -> None:
        """We are about to terminate this instance (whether AWS will agree or not: then it stays, and is no loss)."""
        self._ours[instance_id] = self._clock()

    async def refresh(self, groups: Iterable[AutoScalingGroup]) -> None:
        """Compare with the last reading, and ask AWS about what is missing. Never raises ProviderError."""
        now = self._clock()
        self.problem = ""
        self._forget(now)
        puzzled = [name for group in groups if (name := self._compare(group, now))]
        await asyncio.gather(*(self._explain(name, now) for name in puzzled))

    def of(self, group: str) -> tuple[Loss, ...]:
        """The recent losses of a group, oldest first."""
        known = self._groups.get(group)
        return known.losses if known else ()

    def _forget(self, now: datetime) -> None:
        self._ours = {name: at for name, at in self._ours.items() if now - at <= OURS_FOR}
        self._groups = {
            name: group for name, group in self._groups.items() if now - group.read_at <= FORGOTTEN_AFTER
        }
        for group in self._groups.values():
            group.losses = tuple(loss for loss in group.losses if now - loss.time <= TOLD_FOR)

    def _compare(self, group: AutoScalingGroup, now: datetime) -> str:
        """The group's name if there is something to explain."""
        alive = {one.id: one for one in group.instances if one.state is not InstanceState.DELETING}
        known = self._groups.get(group.name)
        if known is None:
            self._groups[group.name] = _Group(alive, now)
            return ""
        for name, instance in known.alive.items():
            if name not in alive and name not in self._ours:
                known.missing.setdefault(name, (instance, now))
        for name in alive.keys() & known.missing.keys():
            # Back again: it was in standby.
            del known.missing[name]
        known.alive, known.read_at = alive, now
        return group.name if known.missing else ""

    async def _explain(self, name: str, now: datetime) -> None:
        group = self._groups[name]
        told = await self._departures(name)
        found: list[Loss] = []
        for instance, (record, since) in list(group.missing.items()):
            cause = told.get(instance)
            if cause is None and now - since < EXPLAINED_WITHIN:
                continue
            del group.missing[instance]
            found.append(_loss(record, since, cause))
        group.losses = (*group.losses, *found)[-MOST_TOLD:]

    async def _departures(self, group: str) -> Mapping[str, str]:
        """Instance -> the Cause of its leaving, of the newest activities."""
        try:
            answer = await self._region.call(
                Operation.DESCRIBE_ACTIVITIES, AutoScalingGroupName=group, MaxRecords=NEWEST_FIRST
            )
        except ProviderError as error:
            self.problem = str(error)
            return {}
        return departures(answer.get("Activities") or ())


def departures(activities: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Instance -> the Cause of its leaving, as far as these activities tell."""
    found: dict[str, str] = {}
    for activity in activities:
        described = _LEAVES.match(str(activity.get("Description") or ""))
        if described:
            found.setdefault(described[1], str(activity.get("Cause") or ""))
    return found


def classify_cause(cause: str) -> LossCause:
    """Which process of AWS, or who, a Cause tells of."""
    text = cause.lower()
    return next((kind for phrase, kind in _CAUSES if phrase in text), LossCause.UNKNOWN)


def _loss(instance: Instance, since: datetime, cause: str | None) -> Loss:
    if not cause:
        kind, message = LossCause.UNKNOWN, "the group's scaling activities do not say why"
    else:
        kind, message = classify_cause(cause), " ".join(cause.split())
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1].rstrip() + "…"
    return Loss(
        instance=instance.id,
        provider_id=instance.provider_id,
        time=since,
        cause=kind,
        message=message,
    )
