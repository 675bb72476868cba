"""The annotation springtide.dev/removal: all that the next process must know to finish a removal, or to undo it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from springtide.cluster.annotations import REMOVAL


class RemovalPhase(StrEnum):
    """How far a removal got. Written before the step is taken, so that a restart repeats a step, never skips one."""

    TAINTED = "Tainted"
    """Marked; nothing else was touched."""
    DRAINING = "Draining"
    """Pods may have been evicted."""
    TERMINATING = "Terminating"
    """The cloud may have been asked to terminate the instance."""


class RemovalRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"plan_id": "planID", "cordoned_by_us": "cordonedByUs", "node_uid": "nodeUID"},
):
    """The content of the annotation."""

    phase: RemovalPhase
    since: datetime
    deadline: datetime
    """Interrupted before the termination and not resumed until then: rolled back."""
    plan_id: str
    cordoned_by_us: bool
    """False: the node was cordoned already, and stays so when the removal is rolled back."""
    pool: str
    group: str
    instance: str
    node_uid: str
    reason: str
    owner: str = ""
    """Which operator wrote it, for people who look."""
    pods: tuple[str, ...] = ()
    """Uids of the pods the plan found a place for; any other one that needs a place ends the removal."""

    def dump(self) -> str:
        return msgspec.json.encode(self).decode()

    @property
    def identity(self) -> tuple[str, datetime]:
        """The same for all phases of one removal."""
        return self.plan_id, self.since


class UnreadableRecord(ValueError):
    """The annotation is there, but it is not what we write."""


def load_record(annotations: Mapping[str, str]) -> RemovalRecord | None:
    """The removal a node's annotations tell of; None without one. Raises UnreadableRecord."""
    text = annotations.get(REMOVAL)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=RemovalRecord)
    except msgspec.MsgspecError as error:
        raise UnreadableRecord(f"annotation {REMOVAL}: {error}") from error
