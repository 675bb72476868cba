"""Purchases of which nobody heard the answer: what a later reading of the group says of them.

A request stands in the status before the cloud is asked. Whoever finds one there, after a crash or after answers that
were lost, learns from the target what became of it; nothing is asked for twice, and nothing is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from springtide.cluster.snapshot import OutstandingPurchase, PurchaseRequest

LATE_EFFECT: Final = timedelta(seconds=5)
"""A call that was on its way when its sender died may have its effect so much later: a reading before that is no proof
that nothing was bought."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a request."""

    purchase: OutstandingPurchase | None
    """What is outstanding because of it; None: the cloud never did it."""


def settle(
    request: PurchaseRequest, *, target: int, read_at: datetime, doubted_at: datetime
) -> Settlement | None:
    """Judge by the group's `target` as read at `read_at`; None: too early to tell.

    `doubted_at`: when its sender died, or gave up waiting for the answer. The cases:

    - the target asked for, or more: the cloud did it. Ours, with its own time and plan, so that maxNodeProvisionTime
      counts from the request and an instance of it that never registers may be given back. (What somebody added on top
      explains itself: an instance goes only while the purchase explains all that are unregistered.)
    - the target it was based on, or less: the cloud did not do it, or it was undone since. Forgotten.
    - in between: somebody else has changed the group meanwhile, and nobody can say which nodes are whose. Waited for
      like ours, but without a plan id, so that none of its instances is ever terminated as unregistered.
    """
    if target >= request.purchase.to_target:
        return Settlement(request.purchase)
    if read_at < doubted_at + LATE_EFFECT:
        return None
    if target <= request.expected:
        return Settlement(None)
    return Settlement(replace(request.purchase, to_target=target, plan_id=""))
