"""What can go wrong between us and the API server, as types that callers can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from springtide.api.foreign_text import shown

MAX_MESSAGE = 1000
"""Characters of an answer's message; admission webhooks have sent pages."""


class KubeError(Exception):
    """Base of everything that KubeClient raises for a request."""


class ApiUnreachable(KubeError):
    """No answer: refused, cut, or too late. A mutation may have happened: read before repeating it."""


class NoAccess(KubeError):
    """The credentials could not be read: no kubeconfig, a broken one, a failing exec plugin."""


class ApiError(KubeError):
    """The API server answered, and the answer was no."""

    def __init__(
        self,
        *,
        status: int,
        reason: str = "",
        message: str = "",
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        # Webhooks and proxies write into it whatever they like.
        message = shown(message, at_most=MAX_MESSAGE)
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status
        """HTTP status code, or the code of the Status object in a watch's ERROR event."""
        self.reason = reason
        """Machine-readable reason of the Status object: NotFound, Conflict, Expired, TooManyRequests, …"""
        self.message = message
        self.retry_after = retry_after
        """Seconds the API server asks us to wait; None when it did not say."""
        self.details: Mapping[str, Any] = details or {}

    @property
    def causes(self) -> tuple[str, ...]:
        """Reasons in details.causes, e.g. ("DisruptionBudget",) for an eviction that a budget forbids."""
        return tuple(str(cause.get("reason", "")) for cause in self.details.get("causes") or ())


def error_from_answer(*, status: int, retry_after: str | None, body: bytes) -> ApiError:
    """Build the error from an HTTP answer, whose body is a Status object, or plain text from a proxy."""
    try:
        parsed = msgspec.json.decode(body)
    except msgspec.DecodeError:
        parsed = None
    if not isinstance(parsed, dict) or parsed.get("kind") != "Status":
        return ApiError(
            status=status,
            message=body[:300].decode(errors="replace").strip(),
            retry_after=_seconds(retry_after),
        )
    return error_from_status(parsed, status=status, retry_after=_seconds(retry_after))


def error_from_status(
    parsed: Mapping[str, Any], *, status: int | None = None, retry_after: float | None = None
) -> ApiError:
    """Build the error from a Status object (the body of a failed call, or a watch's ERROR event)."""
    details = parsed.get("details") or {}
    hint = details.get("retryAfterSeconds")
    return ApiError(
        status=status if status is not None else int(parsed.get("code") or 500),
        reason=str(parsed.get("reason") or ""),
        message=str(parsed.get("message") or ""),
        retry_after=retry_after if retry_after is not None else (float(hint) if hint else None),
        details=details,
    )


def _seconds(retry_after: str | None) -> float | None:
    # The API server sends whole seconds; the header's other form, a date, is not used by it.
    if retry_after is None or not retry_after.strip().isdigit():
        return None
    return float(retry_after)
