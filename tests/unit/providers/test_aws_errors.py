"""SDK errors become the protocol's exceptions."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from springtide.providers.aws.errors import classify, readable
from springtide.providers.aws.iam import Operation
from springtide.providers.base import (
    AmbiguousError,
    CredentialsError,
    ProviderError,
    RefusedError,
    ThrottledError,
)
from tests.hostile import SECRETS

READ, CHANGE = Operation.DESCRIBE_GROUPS, Operation.SET_DESIRED_CAPACITY


def answer(code: str, *, status: int = 400, message: str = "because") -> sdk.ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return sdk.ClientError(response, "Anything")


def refused_connection() -> sdk.EndpointConnectionError:
    key = ConnectionKey("127.0.0.1", 9, False, True, None, None, None)
    cause = aiohttp.ClientConnectorError(key, OSError(111, "refused"))
    return sdk.EndpointConnectionError(endpoint_url="http://127.0.0.1:9", error=cause)


def broken_connection() -> sdk.EndpointConnectionError:
    return sdk.EndpointConnectionError(endpoint_url="http://aws", error=aiohttp.ClientOSError(104, "reset"))


@pytest.mark.parametrize(
    ("error", "operation", "expected"),
    [
        pytest.param(answer("AccessDenied", status=403), READ, CredentialsError, id="access denied"),
        pytest.param(answer("UnauthorizedOperation", status=403), READ, CredentialsError, id="denied by EC2"),
        pytest.param(answer("ExpiredToken", status=403), CHANGE, CredentialsError, id="expired token"),
        pytest.param(answer("UnrecognizedClientException"), CHANGE, CredentialsError, id="unknown client"),
        pytest.param(sdk.NoCredentialsError(), READ, CredentialsError, id="no credentials at all"),
        pytest.param(answer("Throttling"), CHANGE, ThrottledError, id="throttling"),
        pytest.param(
            answer("RequestLimitExceeded", status=503), CHANGE, ThrottledError, id="throttled with 503"
        ),
        pytest.param(
            answer("ScalingActivityInProgress"), CHANGE, ThrottledError, id="an activity is in the way"
        ),
        pytest.param(answer("ResourceContention", status=500), CHANGE, ThrottledError, id="a pending update"),
        pytest.param(answer("ValidationError"), CHANGE, RefusedError, id="refused"),
        pytest.param(answer("InternalFailure", status=500), CHANGE, AmbiguousError, id="500 to a change"),
        pytest.param(answer("InternalFailure", status=500), READ, ProviderError, id="500 to a read"),
        pytest.param(answer("ServiceUnavailable", status=503), CHANGE, AmbiguousError, id="503 to a change"),
        pytest.param(sdk.ReadTimeoutError(endpoint_url="u"), CHANGE, AmbiguousError, id="no answer in time"),
        pytest.param(
            sdk.ConnectTimeoutError(endpoint_url="u"), CHANGE, ProviderError, id="no connection in time"
        ),
        pytest.param(refused_connection(), CHANGE, ProviderError, id="connection refused"),
        pytest.param(broken_connection(), CHANGE, AmbiguousError, id="connection reset after sending"),
        pytest.param(
            sdk.ConnectionClosedError(endpoint_url="u"), CHANGE, AmbiguousError, id="closed after sending"
        ),
        pytest.param(ResponseParserError("not XML"), CHANGE, AmbiguousError, id="an answer that is none"),
        pytest.param(ResponseParserError("not XML"), READ, ProviderError, id="the same to a read"),
        pytest.param(TimeoutError(), CHANGE, AmbiguousError, id="our own deadline"),
    ],
)
def test_an_error_is_classified(
    error: Exception, operation: Operation, expected: type[ProviderError]
) -> None:
    assert type(classify(error, operation=operation, region="eu-central-1")) is expected


def test_the_message_is_one_line_that_says_what_where_and_why() -> None:
    error = answer("ValidationError", message="Desired capacity:9 must be\n between 0 and 5")
    text = str(classify(error, operation=CHANGE, region="eu-central-1"))
    assert text == (
        "AWS autoscaling:SetDesiredCapacity in eu-central-1: refused "
        "(ValidationError: Desired capacity:9 must be between 0 and 5)"
    )


def test_an_encoded_authorization_failure_is_not_shown_to_users() -> None:
    message = "You are not authorized. Encoded authorization failure message: " + "x" * 3000
    assert readable(message) == "You are not authorized."


def test_a_long_message_is_cut() -> None:
    assert len(readable("word " * 1000)) <= 300


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["UnauthorizedOperation", "SignatureDoesNotMatch", "Throttling", "ValidationError"]
)
@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_no_answer_of_aws_brings_a_secret_into_a_message(
    code: str, status: int, text: str, secret: str
) -> None:
    error = classify(answer(code, status=status, message=text), operation=CHANGE, region="eu-central-1")
    assert secret not in str(error)
    assert "eu-central-1" in str(error)


@pytest.mark.parametrize("operation", [READ, CHANGE])
@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_no_failure_of_the_sdk_brings_a_secret_into_a_message(
    operation: Operation, text: str, secret: str
) -> None:
    failures = (
        sdk.CredentialRetrievalError(provider="custom-process", error_msg=text),
        sdk.TokenRetrievalError(provider="sso", error_msg=text),
        sdk.EndpointConnectionError(endpoint_url=text, error=OSError(text)),
        sdk.ReadTimeoutError(endpoint_url=text, error=TimeoutError()),
        sdk.ProxyConnectionError(proxy_url=text, error=OSError(text)),
        sdk.SSLError(endpoint_url=text, error=OSError(text)),
        sdk.HTTPClientError(error=RuntimeError(text)),
        ResponseParserError(f"Unable to parse response, invalid XML received: {text}"),
    )
    for failure in failures:
        assert secret not in str(classify(failure, operation=operation, region="eu-central-1"))


def test_an_access_denied_still_says_who_may_not_do_what() -> None:
    text = (
        "User: arn:aws:sts::123456789012:assumed-role/springtide/1 is not authorized to perform: "
        "autoscaling:SetDesiredCapacity on resource: arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:x"
    )
    told = str(
        classify(answer("AccessDenied", status=403, message=text), operation=CHANGE, region="eu-central-1")
    )
    assert "assumed-role/springtide/1 is not authorized to perform: autoscaling:SetDesiredCapacity" in told
    assert "123456789012" not in told
