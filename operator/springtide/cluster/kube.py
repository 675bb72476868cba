"""The way to the API server: authenticated requests and streams, with errors as types.

It never retries on its own, but for one renewal of credentials after a 401: who asked knows whether the
question may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

import aiohttp
import msgspec
from yarl import URL

from springtide.api.foreign_text import shown
from springtide.cluster.access import Access, AccessLoader, from_environment
from springtide.cluster.api_calls import CallLog
from springtide.cluster.api_errors import (
    ApiError,
    ApiUnreachable,
    KubeError,
    NoAccess,
    error_from_answer,
)
from springtide.cluster.send_guard import Leave, give_leave, guarded

__all__ = [
    "APPLY_PATCH",
    "JSON_PATCH",
    "MERGE_PATCH",
    "STRATEGIC_MERGE_PATCH",
    "ApiError",
    "ApiUnreachable",
    "KubeClient",
    "KubeError",
    "NoAccess",
]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

DEFAULT_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 10.0
MAX_DESCRIPTION = 500
"""Characters of what an SDK or a plugin says of its failure."""
MAX_REQUESTS = 64
"""Requests at a time; more wait in line. Streams do not count, or a few watches could starve all else."""

Params = Mapping[str, str | int]
Body = Mapping[str, Any] | list[Any] | bytes


class KubeClient:
    """One API server, reached with one identity. Use as an async context manager, or call close()."""

    def __init__(
        self,
        load_access: AccessLoader,
        *,
        user_agent: str = "",
        leave: Leave = give_leave,
        calls: CallLog | None = None,
    ) -> None:
        """`leave` is asked right before the bytes of a POST, PUT, PATCH or DELETE are sent; it may raise."""
        self._load_access = load_access
        self._leave = leave
        self._user_agent = user_agent or f"springtide/{_version()}"
        self._access: Access | None = None
        self._access_read_at = 0.0
        self._renewal = asyncio.Lock()
        self._requests: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self.calls = calls or CallLog()

    @classmethod
    def from_environment(cls, path: str | None = None, *, context: str | None = None) -> Self:
        """By the given or default kubeconfig, else by the pod's service account, read on first use."""
        return cls(from_environment(path, context=context))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; open streams end with ApiUnreachable."""
        for session in (self._requests, self._streams):
            if session is not None:
                await session.close()
        self._requests = self._streams = None

    async def server(self) -> str:
        """Base URL of the API server."""
        return (await self._current_access()).server

    async def get(
        self, path: str, params: Params | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> bytes:
        """GET `path` (e.g. /api/v1/nodes); the raw JSON body."""
        return await self._request("GET", path, params=params, timeout_seconds=timeout_seconds)

    async def get_json(self, path: str, params: Params | None = None) -> Any:
        return msgspec.json.decode(await self.get(path, params))

    async def post(
        self,
        path: str,
        body: Body,
        *,
        params: Params | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Any:
        """Create an object, or call a subresource such as …/eviction; the decoded answer."""
        return await self._mutate("POST", path, body, params=params, timeout_seconds=timeout_seconds)

    async def put(
        self,
        path: str,
        body: Body,
        *,
        params: Params | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Any:
        """Replace an object. With metadata.resourceVersion in it a lost race is ApiError 409."""
        return await self._mutate("PUT", path, body, params=params, timeout_seconds=timeout_seconds)

    async def patch(
        self,
        path: str,
        body: Body,
        content_type: str = MERGE_PATCH,
        *,
        params: Params | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Any:
        """Patch an object. A failed JSON-patch `test` is ApiError 422, a wrong resourceVersion is 409."""
        return await self._mutate(
            "PATCH", path, body, content_type=content_type, params=params, timeout_seconds=timeout_seconds
        )

    async def delete(
        self,
        path: str,
        body: Body | None = None,
        *,
        params: Params | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Any:
        """Delete an object; `body` may hold DeleteOptions (preconditions, grace period)."""
        return await self._mutate("DELETE", path, body, params=params, timeout_seconds=timeout_seconds)

    @asynccontextmanager
    async def stream(
        self, path: str, params: Params | None = None, *, silence_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a long answer (a watch) and hand out its bytes in chunks, each of whole lines.

        A stream that is silent for longer than `silence_seconds`, or is cut, raises ApiUnreachable while
        being read; one that the server ends properly just ends. A cut-off last line is never handed out.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=silence_seconds
        )
        access = await self._current_access()
        session = self._stream_session()
        async with self.calls.noting(quick=False):
            response = await self._send(session, access, "GET", path, params=params, timeout=timeout)
            if response.status == 401:
                response.release()
                access = await self._renew_access(access)
                response = await self._send(session, access, "GET", path, params=params, timeout=timeout)
            if response.status >= 400:
                async with response:
                    raise await _error_of(response)
        try:
            yield _whole_lines(response.content, path)
        finally:
            response.close()

    async def _mutate(
        self,
        method: str,
        path: str,
        body: Body | None,
        *,
        content_type: str = "application/json",
        params: Params | None,
        timeout_seconds: float,
    ) -> Any:
        answer = await self._request(
            method,
            path,
            params=params,
            body=body if body is None or isinstance(body, bytes) else msgspec.json.encode(body),
            content_type=content_type,
            timeout_seconds=timeout_seconds,
        )
        return msgspec.json.decode(answer) if answer else {}

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout_seconds: float,
    ) -> bytes:
        async with self.calls.noting(quick="limit" not in (params or {})):
            return await self._exchange(
                method,
                path,
                params=params,
                body=body,
                content_type=content_type,
                timeout_seconds=timeout_seconds,
            )

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        params: Params | None,
        body: bytes | None,
        content_type: str,
        timeout_seconds: float,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        access = await self._current_access()
        for attempt in (1, 2):
            response = await self._send(
                self._request_session(),
                access,
                method,
                path,
                params=params,
                body=body,
                content_type=content_type,
                timeout=timeout,
            )
            async with response:
                if response.status == 401 and attempt == 1:
                    # A 401 says that nothing was done, so even a mutation may be sent again.
                    access = await self._renew_access(access)
                    continue
                if response.status >= 400:
                    raise await _error_of(response)
                return await _body_of(response, f"{method} {path}")
        raise AssertionError("unreachable: the second attempt returns or raises")

    async def _send(
        self,
        session: aiohttp.ClientSession,
        access: Access,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        params: Params | None = None,
        body: bytes | None = None,
        content_type: str = "",
    ) -> aiohttp.ClientResponse:
        headers = {"Authorization": access.authorization} if access.authorization else {}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            return await session.request(
                method,
                URL(access.server + path, encoded=True),
                params={name: str(value) for name, value in (params or {}).items()},
                data=body,
                headers=headers,
                ssl=access.ssl_context if access.ssl_context is not None else True,
                server_hostname=access.tls_server_name,
                proxy=access.proxy,
                timeout=timeout,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnreachable(f"{method} {path}: {_describe(error)}") from error

    def _request_session(self) -> aiohttp.ClientSession:
        if self._requests is None:
            self._requests = self._session(connection_limit=MAX_REQUESTS)
        return self._requests

    def _stream_session(self) -> aiohttp.ClientSession:
        if self._streams is None:
            self._streams = self._session(connection_limit=0)
        return self._streams

    def _session(self, *, connection_limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connection_limit),
            headers={
                "User-Agent": self._user_agent,
                "Accept": "application/json",
                # The API server compresses lists on one core, and inflating them would hold up our loop.
                "Accept-Encoding": "identity",
            },
            # Environment proxies and netrc stay out: a kubeconfig says proxy-url where one is needed, and
            # netrc credentials collide with our Authorization header.
            trust_env=False,
            trace_configs=[guarded(self._leave)],
            read_bufsize=2**20,
        )

    async def _current_access(self) -> Access:
        access = self._access
        if access is None or self._is_stale(access):
            return await self._renew_access(access)
        return access

    def _is_stale(self, access: Access) -> bool:
        age = asyncio.get_running_loop().time() - self._access_read_at
        return access.refresh_after_seconds is not None and age >= access.refresh_after_seconds

    async def _renew_access(self, seen: Access | None) -> Access:
        """Read the credentials again, unless another request did so since `seen` was handed out."""
        async with self._renewal:
            if self._access is not None and self._access is not seen:
                return self._access
            try:
                self._access = await self._load_access()
            except Exception as error:
                # Exec plugins and kubeconfigs fail in many ways; for callers they are all the same.
                raise NoAccess(f"credentials for the API server: {_describe(error)}") from error
            self._access_read_at = asyncio.get_running_loop().time()
            return self._access


async def _whole_lines(content: aiohttp.StreamReader, path: str) -> AsyncIterator[bytes]:
    pending = bytearray()
    while True:
        try:
            chunk = await content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnreachable(f"stream {path}: {_describe(error)}") from error
        if not chunk:
            return
        pending += chunk
        end = chunk.rfind(b"\n")
        if end >= 0:
            whole = len(pending) - (len(chunk) - end - 1)
            yield bytes(pending[:whole])
            del pending[:whole]


async def _body_of(response: aiohttp.ClientResponse, what: str) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ApiUnreachable(f"{what}: answer cut off: {_describe(error)}") from error


async def _error_of(response: aiohttp.ClientResponse) -> ApiError:
    try:
        body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        body = b""
    return error_from_answer(
        status=response.status, retry_after=response.headers.get("Retry-After"), body=body
    )


def _version() -> str:
    try:
        return version("springtide")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unreleased"


def _describe(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        # Its own text shows the address of an SSL context, which helps nobody.
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    # On one line: a broken kubeconfig is told by its YAML parser in four. Without secrets: an exec plugin's output is
    # in its error, a proxy's password in its URL.
    return shown(str(error), at_most=MAX_DESCRIPTION) or type(error).__name__
