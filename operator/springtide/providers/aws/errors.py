"""What went wrong in a call to AWS, in the words of the provider protocol."""

from __future__ import annotations

import re

import aiohttp
from botocore import exceptions as sdk

from springtide.api.foreign_text import shown
from springtide.providers.aws.iam import Operation
from springtide.providers.base import (
    AmbiguousError,
    CredentialsError,
    ProviderError,
    RefusedError,
    ThrottledError,
)

# Error codes: "Common error types" of the EC2, EC2 Auto Scaling and STS API references, and botocore's retry table.
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure", "OptInRequired"}
)
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_SLOW_DOWN = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ResourceContention",
        "ScalingActivityInProgress",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
_NO_CREDENTIALS = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.NoAuthTokenError,
    sdk.TokenRetrievalError,
    sdk.UnauthorizedSSOTokenError,
    sdk.ProfileNotFound,
    sdk.ConfigNotFound,
)

_MAX_MESSAGE = 300
"""Characters: AWS's encoded authorisation failures run to kilobytes."""


def classify(error: Exception, *, operation: Operation, region: str) -> ProviderError:
    """The protocol's exception for an SDK error; its text says what failed, why, and the way out."""
    what = f"AWS {operation.value} in {region}"
    if isinstance(error, sdk.ClientError):
        return _answered(error, what=what, operation=operation)
    if isinstance(error, _NO_CREDENTIALS):
        return CredentialsError(
            f"{what}: no usable AWS credentials ({readable(str(error))}); "
            "give the operator's ServiceAccount an IAM role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if _never_sent(error):
        return ProviderError(
            f"{what}: cannot connect ({readable(str(error))}); check the region, the network and AWS_ENDPOINT_URL"
        )
    if operation.mutates:
        return AmbiguousError(
            f"{what}: the answer was lost ({_named(error)}); the call may have had its effect"
        )
    return ProviderError(f"{what}: no usable answer ({_named(error)})")


def readable(text: str) -> str:
    """The first sentence or so of an AWS message, on one line, without secrets and the encoded authorisation details."""
    told = re.sub(r"Encoded authorization failure message:.*", "", text, flags=re.DOTALL)
    return shown(told.strip(), at_most=_MAX_MESSAGE)


def _answered(error: sdk.ClientError, *, what: str, operation: Operation) -> ProviderError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = readable(str(error.response.get("Error", {}).get("Message", "")))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _DENIED:
        return CredentialsError(
            f"{what}: access denied; allow the IAM action {operation.value} to the operator's role ({message})"
        )
    if code in _BAD_CREDENTIALS:
        return CredentialsError(
            f"{what}: AWS does not accept the credentials ({code}: {message}); "
            "renew them, and check the operator's role and the clock of its machine"
        )
    if code in _SLOW_DOWN:
        return ThrottledError(
            f"{what}: AWS asks to slow down ({code}: {message}); it is tried again by itself"
        )
    if status >= 500 or code.startswith(("Internal", "ServiceUnavailable", "RequestTimeout")):
        if operation.mutates:
            return AmbiguousError(
                f"{what}: AWS failed inside ({code}: {message}); the call may have had its effect"
            )
        return ProviderError(f"{what}: AWS failed inside ({code}: {message}); it is tried again by itself")
    return RefusedError(f"{what}: refused ({code}: {message})")


def _never_sent(error: Exception) -> bool:
    """Whether the connection was not even made, so that the call cannot have had an effect."""
    if isinstance(error, (sdk.ConnectTimeoutError, sdk.ProxyConnectionError, sdk.SSLError)):
        return True
    # aiobotocore raises EndpointConnectionError also for a connection that broke in the middle of an exchange;
    # only the cause tells a refused connection (never sent) from that.
    cause = error.kwargs.get("error") if isinstance(error, sdk.EndpointConnectionError) else None
    return isinstance(cause, aiohttp.ClientConnectorError)


def _named(error: Exception) -> str:
    text = readable(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
