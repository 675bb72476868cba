"""Talking to moto: passing on calls as they came, and asking questions of the proxy's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

import aiohttp

from devcluster.cloud.protocol import AwsError, Tree, form, text_at, tree

API_VERSIONS = {"autoscaling": "2011-01-01", "ec2": "2016-11-15"}

_NOT_FORWARDED = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "keep-alive", "expect", "accept-encoding")
)
"""Headers that belong to one connection, or that no longer fit a body that was altered."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "text/xml"

    def error_code(self) -> str | None:
        """The AWS error code in it; None for a success."""
        if self.status < 400:
            return None
        try:
            root = tree(ElementTree.fromstring(self.body))
        except ElementTree.ParseError:
            return f"HTTP {self.status}"
        return text_at(root, "Error", "Code") or f"HTTP {self.status}"


class Backend:
    """moto's server, seen from the proxy."""

    def __init__(self, *, url: str, region: str) -> None:
        self._url = url
        self._region = region
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, skip_auto_headers=("User-Agent",)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def forward(self, *, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Pass a call on; a moto that does not answer is a 503 as AWS would give it."""
        kept = {name: value for name, value in headers.items() if name.lower() not in _NOT_FORWARDED}
        try:
            async with self._session.request(method, self._url + path, headers=kept, data=body) as response:
                content_type = response.headers.get("Content-Type", "text/xml")
                return Answer(response.status, await response.read(), content_type)
        except aiohttp.ClientError as error:
            raise AwsError("ServiceUnavailable", f"moto does not answer: {error}", status=503) from error

    async def call(self, service: str, action: str, params: Mapping[str, str]) -> Answer:
        """Make a call of the proxy's own, or an altered one of a caller."""
        scope = f"proxy/20260101/{self._region}/{service}/aws4_request"
        headers = {
            # moto reads the service from the scope and checks no signature.
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none",
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        }
        body = form(action, params, version=API_VERSIONS[service])
        return await self.forward(method="POST", path="/", headers=headers, body=body)

    async def ask(self, service: str, action: str, params: Mapping[str, str]) -> Tree:
        """The result of a call as plain data; raises AwsError."""
        answer = await self.call(service, action, params)
        code = answer.error_code()
        if code is not None:
            raise AwsError(code, f"moto refused {action}: {answer.body.decode(errors='replace')[:500]}")
        root = tree(ElementTree.fromstring(answer.body))
        result = root.get(f"{action}Result") if isinstance(root, dict) else None
        return root if result is None else result
