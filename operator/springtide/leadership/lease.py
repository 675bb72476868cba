"""A Lease of coordination.k8s.io/v1, read and written: who holds it, since when nothing happened to it, what to write.

Pure functions. Times in a Lease are written for people; nothing here is decided by them, for they are another machine's
clock. Whether a holder is gone is judged by how long *we* have seen its record unchanged, on a clock of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil, inf
from typing import Any, Final

Manifest = Mapping[str, Any]
"""A Lease as the API server sent it, whole: labels and fields that we do not know survive our writes."""

MOST_MARGIN_SECONDS: Final = 1.0
"""Between the end of our right and the earliest moment at which another may take the lease: two machines' clocks run at
speeds that differ by far less than this in 15 s; most of it is for a call that is being cut off."""

RELEASED_SECONDS: Final = 1
"""leaseDurationSeconds of a Lease that was given back, as client-go writes it: whoever ignores the empty holder does
not wait long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """In seconds; the defaults are those of client-go and of all Kubernetes components."""

    duration: float = 15.0
    """So long others leave a Lease alone that is not renewed."""
    renew_deadline: float = 10.0
    """A holder that could not renew for so long gives up."""
    retry_period: float = 2.0
    """Between two renewals."""

    @property
    def validity(self) -> float:
        """So long after the start of a renewal that succeeded the right to act lasts, whatever happens to us."""
        return self.duration - min(MOST_MARGIN_SECONDS, self.duration / 10)

    def problem(self) -> str:
        """Why nobody could lead safely by these; empty when all is well."""
        if self.duration < 1:
            return "the lease duration must be at least 1s"
        if not self.renew_deadline < self.validity:
            return (
                f"the renew deadline must be shorter than the lease duration, by more than "
                f"{self.duration - self.validity:g}s"
            )
        if not 0 < self.retry_period * 2 <= self.renew_deadline:
            return "the retry period must be longer than zero, and at most half of the renew deadline"
        return ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was last read of the Lease, and since when it has been just that."""

    lease: Manifest | None = None
    """None: there is none."""
    since: float = -inf
    """On our clock: when it was first seen so. Later than it came about, so that waiting from then on is long enough."""
    duration: float = 0.0
    """Its holder's leaseDurationSeconds; of a Lease that vanished, what it was before."""

    def followed_by(self, lease: Manifest | None, *, now: float) -> Sighting:
        """After reading it again, at `now` (when the answer had come)."""
        if self.since > -inf and version_of(lease) == version_of(self.lease):
            return self
        return Sighting(lease, now, _duration_of(lease) if lease is not None else self.duration)

    def seconds_until_free(self, *, own: str, times: LeaseTimes, now: float) -> float:
        """How long the Lease must stay as it is before `own` may take it; 0 = at once.

        A Lease that is missing may have been deleted under a leader that does not know it yet: it is waited for like
        a silent one.
        """
        if self.lease is not None and holder_of(self.lease) in ("", own):
            return 0.0
        # Who wrote the record decides how long it is good for; ours may be configured differently.
        return max(0.0, self.since + (self.duration or times.duration) - now)


def version_of(lease: Manifest | None) -> tuple[str, str]:
    """Changes with every write, whoever makes it."""
    metadata = (lease or {}).get("metadata") or {}
    return str(metadata.get("uid", "")), str(metadata.get("resourceVersion", ""))


def holder_of(lease: Manifest | None) -> str:
    """Identity of who holds it; empty when it was released or never taken."""
    return str(_spec(lease).get("holderIdentity") or "")


def transitions_of(lease: Manifest | None) -> int:
    """How often it went to another holder."""
    return _whole(_spec(lease).get("leaseTransitions"))


def new_lease(*, namespace: str, name: str) -> Manifest:
    """One that nobody holds yet, to be created."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "springtide"},
        },
        "spec": {},
    }


def taken(lease: Manifest, *, own: str, times: LeaseTimes, wall: datetime) -> Manifest:
    """The Lease with us as its holder; the resourceVersion in it makes the write a compare-and-swap."""
    same = holder_of(lease) == own
    acquired = _spec(lease).get("acquireTime") if same else None
    return _written(
        lease,
        holderIdentity=own,
        # Rounded up: others may wait longer than we think, never shorter.
        leaseDurationSeconds=ceil(times.duration),
        acquireTime=acquired or micro_time(wall),
        renewTime=micro_time(wall),
        leaseTransitions=transitions_of(lease) + (0 if same else 1),
    )


def released(lease: Manifest, *, wall: datetime) -> Manifest:
    """The Lease given back: the next may take it at once."""
    return _written(
        lease, holderIdentity="", leaseDurationSeconds=RELEASED_SECONDS, renewTime=micro_time(wall)
    )


def micro_time(wall: datetime) -> str:
    """As the API server writes a MicroTime: always six digits, always UTC."""
    return wall.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _written(lease: Manifest, **fields: Any) -> Manifest:
    metadata = {name: value for name, value in lease["metadata"].items() if name != "managedFields"}
    return {**lease, "metadata": metadata, "spec": {**_spec(lease), **fields}}


def _duration_of(lease: Manifest | None) -> float:
    return float(_whole(_spec(lease).get("leaseDurationSeconds")))


def _whole(value: object) -> int:
    # Written by others, too: anything but a positive number counts as not said.
    return value if isinstance(value, int) and value > 0 else 0


def _spec(lease: Manifest | None) -> Mapping[str, Any]:
    return (lease or {}).get("spec") or {}
