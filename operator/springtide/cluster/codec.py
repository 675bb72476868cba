"""Decoding of LIST answers and watch events into keyed items: typed, the whole envelope in one go.

An object that cannot be read must not hide the others: the envelope is decoded again, object by object, and a stand-in
takes its place (see cluster.unreadable), or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from sys import intern
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from springtide.cluster.api_errors import ApiError, error_from_status
from springtide.cluster.picture import Manifest
from springtide.cluster.unreadable import StandIn, metadata_of, reason_of
from springtide.cluster.wire import MetaWire, ObjectWire, Wire

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
W = TypeVar("W", bound=ObjectWire)
Body = TypeVar("Body")

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """One answer of a (paged) LIST."""

    items: tuple[tuple[Key, T_co], ...]
    resource_version: str
    continue_token: str = ""
    """Empty on the last page."""
    unreadable: Mapping[Key, str] = field(default_factory=dict)
    """Objects that cannot be read, and why; among `items` only where something stands in for them."""


@dataclass(frozen=True, slots=True)
class Event(Generic[T_co]):
    """One line of a watch. `item` is None for DELETED, BOOKMARK and ERROR, and for what cannot be read."""

    type: EventType
    key: Key = ("", "")
    item: T_co | None = None
    resource_version: str = ""
    error: ApiError | None = None
    unreadable: str = ""
    """Why the object cannot be read; `item` is what stands in for it, if anything does."""


class Codec(Protocol[T_co]):
    """Turns bytes from the API server into items. Raises msgspec.DecodeError if they make no sense."""

    def decode_page(self, body: bytes) -> Page[T_co]: ...

    def decode_events(self, lines: bytes) -> Sequence[Event[T_co]]: ...


class _ListMetaWire(Wire):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _ListWire(Wire, Generic[Body]):
    metadata: _ListMetaWire = msgspec.field(default_factory=_ListMetaWire)
    items: tuple[Body, ...] | None = None


class _EventWire(Wire, Generic[Body]):
    type: EventType
    object: Body


_RAW_EVENTS = msgspec.json.Decoder(_EventWire[msgspec.Raw])
_RAW_PAGE = msgspec.json.Decoder(_ListWire[msgspec.Raw])


class RecordCodec(Generic[W, T]):
    """Objects decoded into the wire struct `wire`, then turned into records."""

    def __init__(
        self, wire: type[W], to_record: Callable[[W], T], *, stand_in: StandIn | None = None
    ) -> None:
        """`stand_in`: makes the record of an object that cannot be read; without it such an object is left out."""
        self._to_record = to_record
        self._stand_in = stand_in
        self._page: msgspec.json.Decoder[_ListWire[W]] = msgspec.json.Decoder(_ListWire[wire])  # type: ignore[valid-type]
        self._events: msgspec.json.Decoder[_EventWire[W]] = msgspec.json.Decoder(_EventWire[wire])  # type: ignore[valid-type]
        self._object: msgspec.json.Decoder[W] = msgspec.json.Decoder(wire)

    def decode_page(self, body: bytes) -> Page[T]:
        try:
            answer = self._page.decode(body)
            items = tuple((_key_of(wire), self._to_record(wire)) for wire in answer.items or ())
        except (ValueError, ArithmeticError, RecursionError):
            return self._page_by_object(body)
        return Page(
            items=items,
            resource_version=answer.metadata.resource_version,
            continue_token=answer.metadata.continue_,
        )

    def _page_by_object(self, body: bytes) -> Page[T]:
        answer = _RAW_PAGE.decode(body)
        read = [self._read(raw) for raw in answer.items or ()]
        return Page(
            items=tuple((one.key, one.item) for one in read if one.item is not None),
            resource_version=answer.metadata.resource_version,
            continue_token=answer.metadata.continue_,
            unreadable={one.key: one.unreadable for one in read if one.unreadable},
        )

    def decode_events(self, lines: bytes) -> list[Event[T]]:
        try:
            wires = self._events.decode_lines(lines)
            if not any(wire.type is EventType.ERROR for wire in wires):
                return [self._event(wire) for wire in wires]
        except (ValueError, ArithmeticError, RecursionError):
            # An ERROR event carries a Status object, whose `status` is a text, a BOOKMARK of a pod has null for its
            # containers: neither fits the envelope; nor does an object that cannot be read. Rare enough to decode the
            # chunk again, line by line.
            pass
        # An ERROR event may fit, too, where this kind's status is not read, but what it says was lost.
        return [self._event_of_line(line) for line in lines.splitlines() if line]

    def _event_of_line(self, line: bytes) -> Event[T]:
        raw = _RAW_EVENTS.decode(line)
        if raw.type is EventType.ERROR:
            return _error_event(msgspec.json.decode(raw.object))
        if raw.type is EventType.BOOKMARK:
            metadata = msgspec.json.decode(raw.object, type=ObjectWire).metadata
            return Event(type=raw.type, resource_version=metadata.resource_version)
        read = self._read(raw.object)
        if raw.type is EventType.DELETED:
            return Event(type=raw.type, key=read.key, resource_version=read.resource_version)
        return Event(
            type=raw.type,
            key=read.key,
            item=read.item,
            resource_version=read.resource_version,
            unreadable=read.unreadable,
        )

    def _event(self, wire: _EventWire[W]) -> Event[T]:
        carries_item = wire.type in (EventType.ADDED, EventType.MODIFIED)
        return Event(
            type=wire.type,
            key=_key_of(wire.object),
            item=self._to_record(wire.object) if carries_item else None,
            resource_version=wire.object.metadata.resource_version,
        )

    def _read(self, raw: msgspec.Raw) -> _Read[T]:
        try:
            wire = self._object.decode(raw)
            return _Read(_key_of(wire), self._to_record(wire), wire.metadata.resource_version)
        except (ValueError, ArithmeticError, RecursionError) as error:
            # Not only what the decoder finds: a quantity, an operator, a time may make no sense to a record.
            manifest = msgspec.json.decode(raw)
            metadata = metadata_of(manifest)
            item = None if self._stand_in is None else self._stand_in(manifest)
            return _Read(_key(metadata), item, metadata.resource_version, reason_of(error))


@dataclass(frozen=True, slots=True)
class _Read(Generic[T_co]):
    """One object that was read by itself."""

    key: Key
    item: T_co | None
    resource_version: str
    unreadable: str = ""


class ManifestCodec:
    """Objects kept as their JSON says: our own custom resources, which api turns into models."""

    def __init__(self) -> None:
        self._page = msgspec.json.Decoder(_ListWire[dict[str, Any]])
        self._events = msgspec.json.Decoder(_EventWire[dict[str, Any]])

    def decode_page(self, body: bytes) -> Page[Manifest]:
        answer = self._page.decode(body)
        return Page(
            items=tuple((_key_of_manifest(manifest), manifest) for manifest in answer.items or ()),
            resource_version=answer.metadata.resource_version,
            continue_token=answer.metadata.continue_,
        )

    def decode_events(self, lines: bytes) -> list[Event[Manifest]]:
        return [self._event(wire.type, wire.object) for wire in self._events.decode_lines(lines)]

    @staticmethod
    def _event(kind: EventType, manifest: dict[str, Any]) -> Event[Manifest]:
        if kind is EventType.ERROR:
            return _error_event(manifest)
        return Event(
            type=kind,
            key=_key_of_manifest(manifest),
            item=manifest if kind in (EventType.ADDED, EventType.MODIFIED) else None,
            resource_version=str(manifest.get("metadata", {}).get("resourceVersion", "")),
        )


def _error_event(status: Mapping[str, Any]) -> Event[Any]:
    return Event(type=EventType.ERROR, error=error_from_status(status))


def _key_of(wire: ObjectWire) -> Key:
    return _key(wire.metadata)


def _key(metadata: MetaWire) -> Key:
    # Interned: one namespace is in the keys of thousands of pods.
    return (intern(metadata.namespace), metadata.name)


def _key_of_manifest(manifest: Mapping[str, Any]) -> Key:
    metadata = manifest.get("metadata", {})
    return (str(metadata.get("namespace", "")), str(metadata.get("name", "")))
