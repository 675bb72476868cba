"""What may stand between a call and its effect: latency, throttling, refused credentials, server errors."""

from __future__ import annotations

import asyncio
import time

from devcluster.cloud.failures import (
    AnswerLost,
    Denied,
    Failures,
    InvalidCredentials,
    Latency,
    ServerError,
    Throttled,
)
from devcluster.cloud.protocol import AwsError, Request
from devcluster.cloud.views import ACCOUNT_ID


class Gate:
    """Applies the call rules in force."""

    def __init__(self, *, failures: Failures) -> None:
        self._failures = failures
        self._buckets: dict[int, tuple[float, float]] = {}

    async def admit(self, request: Request) -> None:
        """Let a call through, late if so ruled; raises the AwsError it is refused with."""
        for latency in self._failures.of(Latency):
            if latency.applies(request.action):
                await asyncio.sleep(latency.seconds)
        self._authorize(request)
        for throttled in self._failures.of(Throttled):
            if self._over_rate(throttled, request) and throttled.applies(request.action):
                raise _throttled(request)
        if any(broken.applies(request.action) for broken in self._failures.of(ServerError)):
            raise AwsError(
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
                status=500,
            )

    def _authorize(self, request: Request) -> None:
        for rule in self._failures.of(InvalidCredentials):
            if rule.access_key in (None, request.access_key) and rule.applies(request.action):
                raise _invalid_credentials(request)
        if any(denied.applies(request.action) for denied in self._failures.of(Denied)):
            raise _denied(request)

    def answer_is_lost(self, request: Request) -> bool:
        """Whether the caller shall never see the answer."""
        return any(rule.applies(request.action) for rule in self._failures.of(AnswerLost))

    def _over_rate(self, rule: Throttled, request: Request) -> bool:
        """Token bucket of one second's worth; a rule without a rate refuses everything."""
        if rule.per_second is None:
            return True
        if rule.action not in (None, request.action):
            return False
        now = time.monotonic()
        burst = max(1.0, rule.per_second)
        tokens, since = self._buckets.get(id(rule), (burst, now))
        tokens = min(burst, tokens + (now - since) * rule.per_second)
        over = tokens < 1.0
        self._buckets[id(rule)] = (tokens if over else tokens - 1.0, now)
        return over


def _invalid_credentials(request: Request) -> AwsError:
    if request.service == "ec2":
        return AwsError(
            "AuthFailure", "AWS was not able to validate the provided access credentials", status=401
        )
    return AwsError(
        "InvalidClientTokenId", "The security token included in the request is invalid.", status=403
    )


def _denied(request: Request) -> AwsError:
    who = f"arn:aws:iam::{ACCOUNT_ID}:user/{request.access_key}"
    message = f"User: {who} is not authorized to perform: {request.service}:{request.action}"
    if request.service == "ec2":
        return AwsError(
            "UnauthorizedOperation",
            f"You are not authorized to perform this operation. {message}",
            status=403,
        )
    return AwsError(
        "AccessDenied",
        f"{message} because no identity-based policy allows the {request.service}:{request.action} action",
        status=403,
    )


def _throttled(request: Request) -> AwsError:
    if request.service == "ec2":
        return AwsError("RequestLimitExceeded", "Request limit exceeded.", status=503)
    return AwsError("Throttling", "Rate exceeded", status=400)
