"""AWS's query protocol: requests as forms, answers and errors as XML.

Source of the formats: botocore's ``query`` and ``ec2`` protocol parsers and the services' API references.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

AUTOSCALING_NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
EC2_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Request:
    """One call as the SDK sent it: `service` as in the signature's scope, `params` flat as on the wire."""

    service: str
    action: str
    access_key: str
    params: Mapping[str, str]

    def required(self, name: str) -> str:
        """A parameter that must be there."""
        value = self.params.get(name)
        if not value:
            raise AwsError("ValidationError", f"The request must contain the parameter {name}.")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number; required when there is no default."""
        if default is not None and name not in self.params:
            return default
        value = self.required(name)
        try:
            return int(value)
        except ValueError:
            raise AwsError("ValidationError", f"{name} must be a whole number, not {value!r}") from None

    def member_list(self, prefix: str) -> list[str]:
        """Values of a list parameter: ``prefix.member.N`` (query) or ``prefix.N`` (ec2), in order."""
        pattern = re.compile(re.escape(prefix) + r"\.(?:member\.)?(\d+)")
        numbered = ((pattern.fullmatch(key), value) for key, value in self.params.items())
        return [value for _, value in sorted((int(m[1]), value) for m, value in numbered if m)]

    def filters(self) -> dict[str, list[str]]:
        """The ``Filter(s)`` parameter as name → accepted values."""
        found: dict[str, list[str]] = {}
        for key, name in self.params.items():
            match = re.fullmatch(r"(Filters?\.(?:member\.)?\d+)\.Name", key)
            if match:
                stem = match[1]
                values = self.member_list(f"{stem}.Values") or self.member_list(f"{stem}.Value")
                found[name] = values
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean parameter."""
        value = self.params.get(name)
        return default if value is None else value.lower() == "true"


class AwsError(Exception):
    """An error answer of AWS: HTTP status, error code and message, all as the real service gives them."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def parse_request(*, authorization: str, body: bytes, query: Iterable[tuple[str, str]]) -> Request:
    """Read a call from its signature header, form body and query string."""
    credential = _CREDENTIAL.search(authorization)
    params = dict(query)
    try:
        params.update(parse_qsl(body.decode(), keep_blank_values=True))
    except UnicodeDecodeError:  # not the query protocol; such calls are passed on untouched
        params = {}
    action = params.pop("Action", "")
    params.pop("Version", None)
    return Request(
        service=credential[3] if credential else "",
        action=action,
        access_key=credential[1] if credential else "",
        params=params,
    )


def form(action: str, params: Mapping[str, str], *, version: str) -> bytes:
    """The form body of a call, for the proxy's own questions to moto and for altered ones."""
    return urlencode({"Action": action, "Version": version, **params}).encode()


def timestamp(moment: datetime) -> str:
    """A moment as AWS writes it in answers."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Value = str | int | bool | datetime | None | Sequence["Value"] | Mapping[str, "Value"]
"""What an answer may be made of; None is left out, a sequence becomes list members."""


def render(value: Value, *, item: str = "member") -> str:
    """XML of a value; `item` names list elements: ``member`` (query) or ``item`` (ec2)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, str | int):
        return escape(str(value))
    if isinstance(value, Mapping):
        return "".join(
            f"<{key}>{render(inner, item=item)}</{key}>" for key, inner in value.items() if inner is not None
        )
    if value is None:
        return ""
    return "".join(f"<{item}>{render(inner, item=item)}</{item}>" for inner in value)


def autoscaling_answer(action: str, result: Mapping[str, Value] | None = None) -> bytes:
    """A successful answer of the Auto Scaling service."""
    body = f"<{action}Result>{render(result)}</{action}Result>" if result is not None else ""
    return (
        f'<{action}Response xmlns="{AUTOSCALING_NAMESPACE}">{body}'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def ec2_answer(action: str, result: Mapping[str, Value]) -> bytes:
    """A successful answer of EC2."""
    return (
        f'<{action}Response xmlns="{EC2_NAMESPACE}"><requestId>{uuid.uuid4()}</requestId>'
        f"{render(result, item='item')}</{action}Response>"
    ).encode()


def error_answer(service: str, error: AwsError) -> bytes:
    """An error answer in the dialect of the service."""
    code, message = escape(error.code), escape(error.message)
    if service == "ec2":
        return (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{uuid.uuid4()}</RequestID></Response>"
        ).encode()
    kind = "Sender" if error.status < 500 else "Receiver"
    return (
        f'<ErrorResponse xmlns="{AUTOSCALING_NAMESPACE}"><Error><Type>{kind}</Type><Code>{code}</Code>'
        f"<Message>{message}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    ).encode()


def local_name(element: ElementTree.Element) -> str:
    """Tag without its namespace."""
    return element.tag.rpartition("}")[2]


Tree = str | list["Tree"] | dict[str, "Tree"]
"""An answer as plain data: leaves are text, lists come from ``member``/``item`` children."""


def tree(element: ElementTree.Element) -> Tree:
    """Plain data of an XML answer; an empty element is the empty string."""
    children = list(element)
    if not children:
        return element.text or ""
    if local_name(children[0]) in ("member", "item"):
        return [tree(child) for child in children]
    return {local_name(child): tree(child) for child in children}


def dig(data: Tree, *path: str) -> Tree:
    """What lies at a path of keys in a tree; the empty string when a step is absent."""
    for key in path:
        if not isinstance(data, dict):
            return ""
        data = data.get(key, "")
    return data


def text_at(data: Tree, *path: str) -> str:
    """The text at a path, empty when absent."""
    found = dig(data, *path)
    return found if isinstance(found, str) else ""


def list_at(data: Tree, *path: str) -> list[Tree]:
    """The list at a path, empty when absent."""
    found = dig(data, *path)
    return found if isinstance(found, list) else []
