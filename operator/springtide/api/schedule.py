"""Times as users write them: cron schedules and names of time zones."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

from springtide.api.scalars import Matching, refuse

_CRON_REMEDY: Final = (
    "write the five fields of cron (minute, hour, day of month, month, day of week), e.g. 0 22 * * MON-FRI"
)
_ZONE_REMEDY: Final = "write a name of the IANA time zone database, e.g. Europe/Berlin"
_SOME_MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=512)
def _fault_of(schedule: str) -> str:
    """What is wrong with a cron schedule; empty: nothing."""
    try:
        next(CronSim(schedule, _SOME_MONDAY))
    except CronSimError as error:
        # "Bad day-of-week": the field is all that the library says.
        return f"{schedule!r} is no cron schedule ({str(error).removeprefix('Bad ')})"
    except StopIteration:
        return f"{schedule!r} never comes"
    return ""


def _check_schedule(schedule: str) -> str:
    fault = _fault_of(schedule)
    if fault:
        raise refuse(fault, remedy=_CRON_REMEDY)
    return schedule


@lru_cache(maxsize=512)
def time_zone(name: str) -> ZoneInfo:
    """The time zone. Raises ValueError when there is none of this name."""
    try:
        return ZoneInfo(name)
    # A name that is a folder of the database ("Europe") is an error of the file system.
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error


def _check_zone(name: str) -> str:
    try:
        time_zone(name)
    except ValueError as error:
        raise refuse(str(error), remedy=_ZONE_REMEDY) from error
    return name


Schedule = Annotated[
    str,
    Matching(r"^[^ ]+( +[^ ]+){4}$", _CRON_REMEDY, max_length=128),
    AfterValidator(_check_schedule),
]
"""A cron schedule of five fields. The API server sees only that they are five."""

TimeZone = Annotated[
    str,
    # Names of the database begin with a capital; files beside it ("localtime") do not.
    Matching(r"^[A-Z][A-Za-z0-9_+/-]*$", _ZONE_REMEDY, max_length=64),
    AfterValidator(_check_zone),
]
"""A name of the IANA time zone database. The API server sees only its form."""
