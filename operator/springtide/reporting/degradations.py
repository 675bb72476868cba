"""Degraded modes as people see them: parts of conditions, and a line in the log when one begins and ends."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from springtide.api.conditions import Reason
from springtide.cluster.degradation import Degradation, DegradedMode
from springtide.reporting.notes import Note

SHOWN_BY_PROVIDER_REACHABLE: Final = frozenset(
    {DegradedMode.CLOUD_THROTTLED, DegradedMode.CLOUD_DENIED, DegradedMode.CLOUD_UNREACHABLE}
)
"""These have a condition of their own, with the mode as its reason."""


def told_of(degradations: Iterable[Degradation], pool: str | None = None) -> list[tuple[Reason, str]]:
    """(reason, message) of what the condition Degraded says of a pool; of a policy: what concerns all pools."""
    return [
        (Reason(each.mode), each.message)
        for each in degradations
        if each.mode not in SHOWN_BY_PROVIDER_REACHABLE
        and (each.pools is None if pool is None else each.concerns(pool))
    ]


def mode_notes(before: Iterable[Degradation], now: Iterable[Degradation], *, plan_id: str) -> Iterator[Note]:
    """What began and what is over. The log only: which pools are concerned is told by their conditions' events."""
    old, new = _by_mode(before), _by_mode(now)
    for mode, degradation in new.items():
        if mode not in old:
            yield Note(
                message=f"degraded: {mode}: {degradation.message}",
                reason=mode.value,
                level=logging.WARNING,
                plan_id=plan_id,
                decides=False,
            )
    for mode in old.keys() - new.keys():
        yield Note(
            message=f"not degraded any more: {mode}", reason=mode.value, plan_id=plan_id, decides=False
        )


def _by_mode(degradations: Iterable[Degradation]) -> dict[DegradedMode, Degradation]:
    first: dict[DegradedMode, Degradation] = {}
    for each in degradations:
        first.setdefault(each.mode, each)
    return first
