"""From a provider's kind, the key under spec.provider, to the object that implements it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, entry_points

from springtide.cluster.send_guard import Leave, give_leave
from springtide.providers.base import Provider

ENTRY_POINTS = "springtide.providers"
"""Group of entry points by which other packages add kinds: the name is the kind, the object a Factory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What every provider is told."""

    cluster_name: str = ""
    """Name of this cluster: groups found by tags must carry it."""
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    leave: Leave = give_leave
    """To be asked right before the bytes of a mutation are sent; what it raises must reach the caller as it is."""


Factory = Callable[[ProviderSettings], Provider]


class ProviderNotInstalledError(Exception):
    """There is no such provider, or what it needs is not installed. `str()` says what to do."""


def load(kind: str, settings: ProviderSettings) -> Provider:
    """Make the provider of a kind. Raises ProviderNotInstalledError."""
    factory = _BUILT_IN[kind] if kind in _BUILT_IN else _load(_entry_point(kind))
    try:
        return factory(settings)
    except ModuleNotFoundError as error:
        raise ProviderNotInstalledError(
            f"provider {kind}: the Python package {error.name!r} is not installed; "
            f"install Springtide with the extra {kind!r}: pip install 'springtide[{kind}]'"
        ) from error


def kinds() -> frozenset[str]:
    """All kinds that are built in or installed."""
    return frozenset(_BUILT_IN) | {point.name for point in entry_points(group=ENTRY_POINTS)}


def _entry_point(kind: str) -> EntryPoint:
    found = list(entry_points(group=ENTRY_POINTS, name=kind))
    if not found:
        raise ProviderNotInstalledError(
            f"there is no provider {kind!r}; known are {', '.join(sorted(kinds()))}; "
            f"install the package that brings it (entry point group {ENTRY_POINTS})"
        )
    return found[0]


def _load(point: EntryPoint) -> Factory:
    try:
        factory: Factory = point.load()
    except (ImportError, AttributeError) as error:
        raise ProviderNotInstalledError(
            f"provider {point.name}: {point.value} cannot be loaded ({error}); reinstall the package that brings it"
        ) from error
    return factory


def _aws(settings: ProviderSettings) -> Provider:
    # Imported only here: the SDK is an optional extra, and costs a second.
    from springtide.providers.aws.provider import AwsProvider

    return AwsProvider(cluster_name=settings.cluster_name, clock=settings.clock, leave=settings.leave)


def _simulated(settings: ProviderSettings) -> Provider:
    from springtide.providers.simulated.cloud import SimulatedCloud
    from springtide.providers.simulated.provider import SimulatedProvider

    return SimulatedProvider(SimulatedCloud(clock=settings.clock))


_BUILT_IN: Mapping[str, Factory] = {"aws": _aws, "simulated": _simulated}
