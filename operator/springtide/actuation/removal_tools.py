"""What every removal works with, and how it tells what happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from springtide.actuation.detachment import VolumeApi
from springtide.actuation.eviction import Evictor
from springtide.actuation.node_edits import NodeEditor
from springtide.actuation.ports import Clock, Emit, NodeApi, Picture
from springtide.actuation.removal_record import RemovalRecord
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.terminations import Terminator


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalTools:
    """Shared by all removals of the process."""

    nodes: NodeApi
    editor: NodeEditor
    evictor: Evictor
    terminator: Terminator
    picture: Picture
    settings: ActuationSettings
    clock: Clock
    emit: Emit
    volumes: VolumeApi | None = None
    """None: nobody knows what is attached, and nothing is waited for."""


class Told(TypedDict):
    """What all outcomes of one removal say."""

    pool: str
    group: str
    plan_id: str
    node: str
    node_uid: str
    instance: str


def told_of(node: str, record: RemovalRecord) -> Told:
    return Told(
        pool=record.pool,
        group=record.group,
        plan_id=record.plan_id,
        node=node,
        node_uid=record.node_uid,
        instance=record.instance,
    )
