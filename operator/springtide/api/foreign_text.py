"""Text that others wrote (clouds, API servers, users), made fit to be shown: one line, bounded, without secrets.

Everything that goes to logs, events, conditions and status passes through here. Messages of clouds and SDKs carry
signed URLs, tokens and encoded authorisation details; group names, tags and messages may hold newlines that forge
log lines, escape sequences that drive terminals, and bidirectional marks that make text read as something else.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

HIDDEN: Final = "***"
"""What stands where a secret was."""

MOST_READ: Final = 16_384
"""Characters that are looked at; whatever follows is dropped, so that no message costs more than this."""

CUT: Final = "…"

_WORTH_REMEMBERING: Final = 2048
"""Characters: longer texts are rare, and must not fill the memory."""

_SECRETS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # A key may be cut off before its end.
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        HIDDEN,
    ),
    # AWS encodes who was denied what, and why: for sts:DecodeAuthorizationMessage, not for a status.
    (re.compile(r"Encoded authorization failure message:\s*\S+"), HIDDEN),
    # The whole query of a URL: presigned ones carry credential, signature and token there.
    (re.compile(r"(\bhttps?://[^\s?\"'<>]{1,1024})\?[^\s\"'<>]*"), rf"\1?{HIDDEN}"),
    # user:password@ of a proxy's or a repository's URL.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)[^/\s@]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"\b(Bearer)\s+[\w.~+/=-]{16,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # Of JSON Web Tokens: ServiceAccounts, OIDC, EKS (k8s-aws-v1. and a presigned URL in base 64).
    (re.compile(r"\beyJ[\w-]{8,}\.[\w.-]+"), HIDDEN),
    (re.compile(r"\bk8s-aws-v1\.[\w-]+"), HIDDEN),
    # Key ids: permanent and temporary credentials, bearer tokens, context-specific ones.
    (re.compile(r"\b(A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b"), rf"\1{HIDDEN}"),
    # Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…; Basic …
    (
        re.compile(
            r"\b(Authorization[\"']?\s*:\s*[\"']?(?:Basic|Negotiate|Digest))\s+[^\s\"',]+", re.IGNORECASE
        ),
        rf"\1 {HIDDEN}",
    ),
    # token=…, "password": "…", X-Amz-Security-Token: …; a colon in prose ("ExpiredToken: The …") is none of these,
    # hence the digit that the value must have there.
    (
        re.compile(
            r"((?:token|password|passwd|secret|access[_-]?key|api[_-]?key|private[_-]?key|signature|credential)"
            r"(?:\s*=\s*[\"']?|[\"']\s*:\s*[\"']?|:\s*(?=[\w+/=.~%-]{16})(?=[A-Za-z+/=._~%-]{0,64}[0-9])))"
            r"[^\s\"',;&<>(){}]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    # Account numbers: the last four digits tell two accounts apart.
    (re.compile(r"(\barn:aws[\w-]*:[\w-]*:[\w-]*:)[0-9]{8}([0-9]{4})\b"), rf"\1{HIDDEN}\2"),
    (re.compile(r"(\baccount(?: id)?[ :=\"']{1,4})[0-9]{8}([0-9]{4})\b", re.IGNORECASE), rf"\1{HIDDEN}\2"),
)


def without_secrets(text: str) -> str:
    """The text (its first MOST_READ characters) with credentials, signatures and account numbers hidden."""
    text = text[:MOST_READ]
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def visible(text: str) -> str:
    """The text with every character that does not print (control, escape, bidirectional, lone surrogate) spelled
    out, a newline as \\n: what is left can neither forge a line nor drive a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def shown(text: str, *, at_most: int) -> str:
    """One line for users: white space in one piece, nothing unprintable, no secrets, `at_most` characters.

    Of what it returns it makes the same again, so that a status read back is the status written.
    """
    return _remembered(text, at_most) if len(text) <= _WORTH_REMEMBERING else _shown(text, at_most)


def _shown(text: str, at_most: int) -> str:
    line = without_secrets(text)
    if not line.isprintable():
        # As a user would read it; what str.split takes for space and terminals do not (\x1c to \x1f) goes, too.
        # Spelled out it only grows: what is beyond the bound now is beyond it then.
        line = visible(" ".join(line.split())[: at_most + 1])
    return cut(line, at_most=at_most)


# Every pass says of most things what the pass before said.
_remembered = lru_cache(maxsize=4096)(_shown)


def cut(text: str, *, at_most: int) -> str:
    """The text, or as much of its beginning as leaves room for a mark that there was more."""
    return text if len(text) <= at_most else text[: at_most - len(CUT)].rstrip() + CUT


def _spelled(char: str) -> str:
    # As Python and JSON write it: \n, \x1b, \u202e, \U000e0041.
    return ascii(char)[1:-1]
