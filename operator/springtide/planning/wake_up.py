"""When to look again: the next instant at which a plan would differ by the mere passing of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from springtide.planning.groups.backoff import in_force
from springtide.planning.groups.readiness import GroupState, NodeState
from springtide.planning.groups.requests import LATE_EFFECT
from springtide.planning.landscape import settles_at
from springtide.planning.situation import Situation

NEXT_READING: Final = timedelta(seconds=3)
"""Clouds are read every two seconds while a request is open."""


def next_instant(situation: Situation, others: Iterable[datetime | None]) -> datetime | None:
    """The earliest end of a timer that is still running; None: time alone changes nothing."""
    now = situation.snapshot.now
    ends = [end for end in others if end is not None]
    for state in situation.states.values():
        ends += _of_group(state, situation)
    return min((end for end in ends if end > now), default=None)


def _of_group(state: GroupState, situation: Situation) -> Iterator[datetime]:
    """Backoff, the deadline of a purchase, of starting nodes, of what is promised on nodes just ready."""
    settings, now = state.pool.settings.scale_up, situation.snapshot.now
    backoff = situation.failures[state.key].backoff
    if backoff is not None and in_force(backoff, now=now):
        yield backoff.until
    request = state.memory.request
    if request is not None:
        yield request.purchase.since + LATE_EFFECT + NEXT_READING
    outstanding = situation.upcoming[state.key].outstanding
    if outstanding is not None:
        yield outstanding.since + settings.max_node_provision_time
    for node in state.in_state(NodeState.READY):
        yield settles_at(node)
    for node in state.in_state(NodeState.NOT_STARTED):
        yield node.created_at + settings.max_node_startup_time
