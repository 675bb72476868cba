"""Text as nobody would like to show it: secrets as clouds and API servers put them into messages, and characters that
forge lines, drive terminals, or fill memories."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, tzinfo=UTC)

_JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJl"
_KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"

SECRETS = [
    pytest.param(
        "UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:sts::123456789012:"
        "assumed-role/nodes/i-0abc is not authorized to perform: ec2:DescribeInstances because no identity-based policy "
        "allows it. Encoded authorization failure message: 4GIOHlTkIaWHQD0Q0m6XSnuUMCm-abcdef",
        "4GIOHlTkIaWHQD0Q0m6XSnuUMCm-abcdef",
        id="EC2's encoded authorisation failure",
    ),
    pytest.param(
        "User: arn:aws:sts::123456789012:assumed-role/nodes/i-0abc is not authorized to perform: sts:AssumeRole",
        "123456789012",
        id="the account in an ARN",
    ),
    pytest.param("account ID 123456789012 is suspended", "123456789012", id="the account in words"),
    pytest.param(
        "'k=v' not a valid key=value pair in Authorization header: 'AWS4-HMAC-SHA256 Credential=ASIAIOSFODNN7EXAMPLE/"
        "20260101/eu-central-1/autoscaling/aws4_request, SignedHeaders=host;x-amz-date, Signature=fe5f80f77d5fa3be'",
        "fe5f80f77d5fa3be",
        id="IncompleteSignature repeats the signature",
    ),
    pytest.param(
        "The AWS Access Key Id AKIAIOSFODNN7EXAMPLE does not exist in our records",
        "AKIAIOSFODNN7EXAMPLE",
        id="InvalidAccessKeyId repeats the key",
    ),
    pytest.param(
        "The Canonical String should have been 'POST / host:ec2 x-amz-security-token:IQoJb3JpZ2luX2VjEJr0//////wEaCXVz'",
        "IQoJb3JpZ2luX2VjEJr0",
        id="SignatureDoesNotMatch repeats the session token",
    ),
    pytest.param(
        'Could not connect to the endpoint URL: "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&'
        'X-Amz-Credential=AKIDEXAMPLE%2F20260101&X-Amz-Signature=7f2a1b"',
        "7f2a1b",
        id="a presigned URL",
    ),
    pytest.param(f"Unauthorized: token {_JWT} has expired", _JWT, id="a ServiceAccount's token"),
    pytest.param(
        "exec: process returned 1. token: k8s-aws-v1.aHR0cHM6Ly9zdHMu", "aHR0cHM6Ly9zdHMu", id="EKS's token"
    ),
    pytest.param(
        "Authorization: Bearer abcdefghijklmnopqrstuv.123", "abcdefghijklmnopqrstuv", id="a bearer token"
    ),
    pytest.param("Proxy-Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", id="a proxy's basic credentials"),
    pytest.param(
        "Cannot connect to proxy http://me:hunter2@proxy.example:3128", "hunter2", id="in a proxy's URL"
    ),
    pytest.param('exec: {"status": {"token": "s3cr3t-value"}}', "s3cr3t-value", id="ExecCredential as JSON"),
    pytest.param("client_secret='s3cr3t-value' was refused", "s3cr3t-value", id="an OIDC client's secret"),
    pytest.param(
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG", id="a credentials file"
    ),
    pytest.param(
        f"cannot load: -----BEGIN RSA PRIVATE KEY-----\n{_KEY}\n-----END RSA PRIVATE KEY----- (tls)",
        _KEY,
        id="a key",
    ),
    pytest.param(f"-----BEGIN PRIVATE KEY-----\n{_KEY}", _KEY, id="a key that was cut off"),
]
"""(message, what of it must never be shown): the shapes are those of botocore, EC2, STS, kube-apiserver and exec plugins."""

_CONTROLS = (
    "\n",
    "\r",
    "\t",
    "\0",
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x85",
    "\u202e",
    "\u2066",
    "\u200b",
)
_ODDITIES = ("\u2028", "\ud800", "\U000e0041", "…", '"', "\\", "'", "<b>")
_MARKUP = ("[red]", "[/]", "[link=http://x]", "{0}", "%s", "%(x)s", "${x}")
_UGLY = st.sampled_from(_CONTROLS + _ODDITIES + _MARKUP)


def hostile_text() -> st.SearchStrategy[str]:
    """Anything a string can hold, mostly short, sometimes a hundred thousand characters."""
    mixed = st.lists(st.one_of(_UGLY, st.text(max_size=20)), max_size=20).map("".join)
    long = st.tuples(mixed, st.sampled_from([500, 100_000])).map(
        lambda pair: (pair[0] or "x") * (1 + pair[1] // max(1, len(pair[0])))
    )
    secrets = st.sampled_from([param.values[0] for param in SECRETS])
    return st.one_of(mixed, mixed, mixed, long, st.tuples(mixed, secrets, mixed).map("".join))
