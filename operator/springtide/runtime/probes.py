"""When a pass loop that lives is stuck all the same: /healthz fails then, and the kubelet starts the process anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

STALLED_PASS_SECONDS: Final = 120.0
"""A pass that takes longer is stuck."""
MISSED_SCANS: Final = 6
"""So many scan intervals without a pass are too many."""


def stalled(*, now: float, began: float | None, ended: float | None, intervals: Sequence[timedelta]) -> str:
    """What is wrong with the loop; empty when all is well.

    `began`: of the pass that is being made; `ended`: of the last one; both by the clock of `now`. `intervals`: of the
    policies; without any, nobody asks for passes.
    """
    if began is not None and now - began > STALLED_PASS_SECONDS:
        return f"a pass has been running for {now - began:.0f} s"
    if intervals and ended is not None:
        silent = now - ended
        if silent > max(STALLED_PASS_SECONDS, MISSED_SCANS * min(intervals).total_seconds()):
            return f"no pass for {silent:.0f} s"
    return ""
