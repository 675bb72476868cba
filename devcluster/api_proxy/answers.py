"""What an API server says when it refuses: Status objects, and the plain text of its filters.

Source of the forms: apiserver/pkg/endpoints/handlers/responsewriters and apiserver/pkg/server/filters of Kubernetes 1.36.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from devcluster.api_proxy.faults import Fault

_FAIRNESS = {
    "X-Kubernetes-PF-FlowSchema-UID": "00000000-0000-0000-0000-000000000001",
    "X-Kubernetes-PF-PriorityLevel-UID": "00000000-0000-0000-0000-000000000002",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that does not come from the API server."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def _status(code: int, reason: str, message: str, **details: int) -> bytes:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }
    return json.dumps(status, separators=(",", ":")).encode()


_EXPIRED = _status(410, "Expired", "too old resource version: 1 (2)")

REFUSALS: Mapping[Fault, Refusal] = {
    Fault.CONFLICT: Refusal(
        status=409,
        body=_status(
            409,
            "Conflict",
            "Operation cannot be fulfilled: the object has been modified; please apply your changes to the "
            "latest version and try again",
        ),
    ),
    Fault.GONE: Refusal(status=410, body=_EXPIRED),
    Fault.TOO_MANY_REQUESTS: Refusal(
        status=429,
        body=_status(
            429, "TooManyRequests", "storage is (re)initializing, please try again later", retryAfterSeconds=1
        ),
        headers={"Retry-After": "1"},
    ),
    Fault.PRIORITY_AND_FAIRNESS: Refusal(
        status=429,
        body=b"Too many requests, please try again later.\n",
        content_type="text/plain",
        headers={"Retry-After": "1", **_FAIRNESS},
    ),
    Fault.INTERNAL_ERROR: Refusal(
        status=500,
        body=_status(500, "InternalError", "Internal error occurred: etcdserver: leader changed"),
    ),
    Fault.UNAVAILABLE: Refusal(
        status=503,
        body=_status(503, "ServiceUnavailable", "apiserver not ready", retryAfterSeconds=1),
        headers={"Retry-After": "1"},
    ),
    Fault.TIMEOUT: Refusal(
        status=504,
        body=_status(
            504,
            "Timeout",
            "Timeout: request did not complete within requested timeout - context deadline exceeded",
        ),
    ),
}
"""What the client is told, by fault; faults that are not here break the connection or change nothing."""

GONE_EVENT = b'{"type":"ERROR","object":' + _EXPIRED + b"}\n"
"""One line of a watch: its version is forgotten."""
