"""ApiServerUnreachable, ApiServerSlow, ApiServerThrottling: how our own calls fared in the last minute.

Removals can wait, and each is dozens of calls; purchases are a few calls that running work may depend on. So all three
forbid removals, and none forbids purchases: how old a picture may be for those is StalePicture's question.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.degradation import Degradation, DegradedMode

FAILED_IN_A_ROW: Final = 3
FAILING_SECONDS: Final = 10.0
"""So many calls failed, and none succeeded, for so long: no hiccup any more. A change of leader in etcd takes less."""
SLOW_SECONDS: Final = 1.0
"""The median call. Kubernetes' own objective is that 99 of 100 calls take less (SLI "API call latency")."""
ENOUGH_CALLS: Final = 5
"""A median of fewer says nothing."""
THROTTLED_CALLS: Final = 3
"""So many rejections within a minute: not a moment's peak."""


def of_api_server(calls: ApiCalls) -> Iterator[Degradation]:
    """What is wrong with the API server."""
    if calls.failed_in_a_row >= FAILED_IN_A_ROW and calls.failing_seconds >= FAILING_SECONDS:
        yield _degradation(
            DegradedMode.API_SERVER_UNREACHABLE,
            f"the API server does not answer ({calls.last_error}): nothing is removed until it does",
        )
    if calls.quick_calls >= ENOUGH_CALLS and calls.median_seconds > SLOW_SECONDS:
        yield _degradation(
            DegradedMode.API_SERVER_SLOW,
            f"the API server takes more than {SLOW_SECONDS:g} s to answer most of our calls: nothing is removed "
            "until it is quicker",
        )
    if calls.throttled >= THROTTLED_CALLS:
        yield _degradation(
            DegradedMode.API_SERVER_THROTTLING,
            "the API server turns our calls away (429, API priority and fairness): we send fewer, and remove nothing "
            "until it takes them",
        )


def _degradation(mode: DegradedMode, message: str) -> Degradation:
    return Degradation(mode=mode, message=message, forbids_removals=True)
