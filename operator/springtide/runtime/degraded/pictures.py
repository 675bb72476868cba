"""StalePicture: how old the informers' news may be before nothing is removed, and nothing is bought.

Each kind of object is judged by itself: a watch of pods that is cut while that of nodes lives makes the whole picture old.
A watch that is merely silent does not: a healthy one bears bookmarks about once a minute, and one that bears nothing for
longer is given up by its informer (InformerSettings.silence_seconds).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from springtide.cluster.degradation import Degradation, DegradedMode
from springtide.reporting.phrases import elapsed

ONLY_REMOVALS_NEED: Final = frozenset(
    {"poddisruptionbudgets", "replicasets", "replicationcontrollers", "statefulsets", "jobs"}
)
"""What no purchase depends on. All other kinds decide on both."""
MAX_NAMED: Final = 5


def stale(
    ages: Mapping[str, float], *, max_for_removals: timedelta, max_for_purchases: timedelta
) -> Iterator[Degradation]:
    """One degradation when any kind is too old for removals or purchases. `ages`: seconds since the API server last told
    us anything, by kind of object."""
    old = {kind for kind, age in ages.items() if age > max_for_removals.total_seconds()}
    very_old = {
        kind
        for kind, age in ages.items()
        if age > max_for_purchases.total_seconds() and kind not in ONLY_REMOVALS_NEED
    }
    if not old and not very_old:
        return
    kinds, limit, consequence = old, max_for_removals, "nothing is removed until it tells again"
    if very_old:
        kinds, limit = very_old, max_for_purchases
        consequence = "nothing is bought or removed until it tells again"
    yield Degradation(
        mode=DegradedMode.STALE_PICTURE,
        message=f"the API server told nothing of {_named(kinds)} for more than {elapsed(limit)}: {consequence}",
        forbids_purchases=bool(very_old),
        forbids_removals=True,
    )


def _named(kinds: set[str]) -> str:
    names = sorted(kinds)
    more = f" and {len(names) - MAX_NAMED} other kinds" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
