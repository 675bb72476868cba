"""Tells notes to those who listen: the log, and the objects they are about."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from springtide.api.model import API_GROUP, API_VERSION
from springtide.cluster.records import PodRecord
from springtide.reporting import logs
from springtide.reporting.events import Event, EventRecorder, EventType, Subject
from springtide.reporting.notes import Note

UidOf = Callable[[str], str]
"""From an object's name to its uid; empty when it is unknown."""


class Narrator:
    """Turns each note into one log line and its events."""

    def __init__(self, recorder: EventRecorder, *, pool_uid: UidOf, node_uid: UidOf) -> None:
        self._recorder = recorder
        self._pool_uid = pool_uid
        self._node_uid = node_uid

    def tell(self, note: Note) -> None:
        if note.log:
            self._log(note)
        kind = EventType.WARNING if note.level >= logging.WARNING else EventType.NORMAL
        for subject in self._subjects(note):
            self._recorder.record(Event(subject=subject, type=kind, reason=note.reason, message=note.message))
        for pod in note.pods:
            message, reason = note.pod_message or note.message, note.pod_reason or note.reason
            self._recorder.record(Event(subject=pod_subject(pod), type=kind, reason=reason, message=message))

    def _log(self, note: Note) -> None:
        # The bare message for people; numbers and names as keys for machines.
        fields: Mapping[str, object] = {
            key: value for key, value in note.fields.items() if key not in _RESERVED
        }
        extra = {"pool": note.pool, **fields} if note.pool else dict(fields)
        logs.decision(note.message, plan=note.plan_id, level=note.level, event=note.reason, **extra)

    def _subjects(self, note: Note) -> list[Subject]:
        subjects = []
        if note.pool:
            api_version = f"{API_GROUP}/{API_VERSION}"
            subjects.append(Subject(api_version, "NodePool", note.pool, self._pool_uid(note.pool)))
        if note.node:
            subjects.append(Subject("v1", "Node", note.node, self._node_uid(note.node)))
        return subjects


_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "plan", "level", "event"}


def pod_subject(pod: PodRecord) -> Subject:
    return Subject("v1", "Pod", pod.name, pod.uid, pod.namespace)
