"""Atomic groups leave whole: a group that has no node or all of its nodes gives them back when every one can go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from springtide.planning.groups.limits import Ledger, is_atomic
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey


def incomplete(
    leaving: Iterable[GroupKey],
    states: Mapping[GroupKey, GroupState],
    *,
    in_flight: Iterable[GroupKey],
    ledger: Ledger,
) -> dict[GroupKey, str]:
    """Atomic groups of which only some nodes would leave, with the numbers.

    `leaving`: the group of each node that would be removed now. `in_flight`: that of each node whose removal an earlier
    plan began: such a group is on its way out as a whole, so it may be completed. `ledger`: before the removals.
    """
    going, gone = Counter(leaving), Counter(in_flight)
    partly: dict[GroupKey, str] = {}
    for key, count in going.items():
        target = ledger.target(key)
        if is_atomic(states[key].pool) and count + gone[key] < target:
            partly[key] = f"{count + gone[key]} of the {target} nodes of atomic group {key[1]} can go"
    return partly
