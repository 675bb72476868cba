"""What there is to say when a NodePool's conditions change: the log and `kubectl describe` tell when it happened."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from springtide.api.conditions import Condition, ConditionStatus, ConditionType, Reason, find_condition
from springtide.reporting.notes import Note

_BAD_WHEN = {
    ConditionType.READY: ConditionStatus.FALSE,
    ConditionType.PROVIDER_REACHABLE: ConditionStatus.FALSE,
    ConditionType.DEGRADED: ConditionStatus.TRUE,
}
"""The conditions whose changes are told; those of the others are decisions, which are told anyway."""

_WORDS = {
    (ConditionType.READY, False): "is not ready",
    (ConditionType.READY, True): "is ready",
    (ConditionType.PROVIDER_REACHABLE, False): "cannot be read from its cloud",
    (ConditionType.PROVIDER_REACHABLE, True): "is read from its cloud again",
    (ConditionType.DEGRADED, False): "is degraded",
    (ConditionType.DEGRADED, True): "is not degraded any more",
}


def condition_notes(
    pool: str, before: Iterable[Condition], after: Iterable[Condition], *, plan_id: str
) -> Iterator[Note]:
    """Notes of what has another status or reason than before; the event's reason is the condition's."""
    before, after = tuple(before), tuple(after)
    told: set[str] = set()
    for kind, bad in _BAD_WHEN.items():
        old, new = find_condition(before, kind), find_condition(after, kind)
        if new is None or new.reason in told or not _is_news(kind, old, new):
            continue
        # A cloud that was never read makes the pool unready for the same reason: said once.
        told.add(new.reason)
        good = new.status is not bad
        what = f"NodePool {pool} {_WORDS[kind, good]}"
        yield Note(
            message=f"{what}: {new.message}" if new.message else what,
            reason=new.reason,
            level=logging.INFO if good else logging.WARNING,
            plan_id=plan_id,
            pool=pool,
            decides=False,
        )


def _is_news(kind: ConditionType, old: Condition | None, new: Condition) -> bool:
    if new.reason == Reason.NOT_LISTED_YET:
        return False
    if old is None or old.reason == Reason.NOT_LISTED_YET:
        return kind is ConditionType.READY or new.status is _BAD_WHEN[kind]
    return (old.status, old.reason) != (new.status, new.reason)
