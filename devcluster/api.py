"""A small asynchronous client of the Kubernetes API: JSON, server-side apply, waiting for conditions.

The demo, the end-to-end tests and the fake cloud use it. The operator does not: it has informers of its own.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import yaml

Object = dict[str, Any]
"""A Kubernetes object as its JSON form."""

T = TypeVar("T")

POLL_SECONDS = 0.05
PAGE_SIZE = 1000
FIELD_MANAGER = "devcluster"

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(Exception):
    """The API server refused a request.

    ``status`` is the HTTP code, ``reason`` the machine-readable word ("NotFound", "Conflict", "Invalid"),
    ``message`` the sentence for people, ``body`` the whole Status object (empty when the answer was none).
    """

    def __init__(self, *, request: str, status: int, text: str) -> None:
        self.status = status
        self.body = _status_object(text)
        self.reason = str(self.body.get("reason", ""))
        self.message = str(self.body.get("message", text.strip()))
        super().__init__(f"{request}: {status} {self.reason}: {self.message}")


class Api:
    """One authenticated connection pool to one API server; ``async with`` closes it."""

    def __init__(self, *, server: str, token: str = "", ca_path: Path | None = None) -> None:
        """``server`` is a URL without path; without ``ca_path`` the server's certificate is not checked."""
        self.server = server
        self.token = token
        self.ca_path = ca_path
        self._session: aiohttp.ClientSession | None = None
        self._resources: dict[str, dict[str, Object]] = {}

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        """Connect as the current context of a kubeconfig with a bearer token and a CA file (as ours are)."""
        config = yaml.safe_load(path.read_text())
        contexts, clusters, users = (
            {entry["name"]: entry[kind] for entry in config[f"{kind}s"]}
            for kind in ("context", "cluster", "user")
        )
        context = contexts[config["current-context"]]
        cluster = clusters[context["cluster"]]
        authority = cluster.get("certificate-authority")
        return cls(
            server=cluster["server"],
            token=users[context["user"]]["token"],
            ca_path=Path(authority) if authority else None,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the pool; the next request would open a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # Requests.

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Send one request; return the decoded JSON answer. Raises ApiError for any status from 400 on."""
        async with self._open().request(
            method,
            self.server + path,
            data=None if body is None else json.dumps(body),
            params=params,
            headers={"Content-Type": content_type},
        ) as response:
            text = await response.text()
            if response.status >= 400:
                raise ApiError(request=f"{method} {path}", status=response.status, text=text)
            return json.loads(text) if response.content_type == "application/json" else text

    async def get(self, path: str, **params: str) -> Object:
        """Read one object, or anything else the path names that answers with JSON."""
        answer: Object = await self.request("GET", path, params=params)
        return answer

    async def find(self, path: str) -> Object | None:
        """Read one object, or None when there is none."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def items(self, path: str, **params: str) -> list[Object]:
        """Read all objects of a collection, page by page. ``params``: labelSelector, fieldSelector, …"""
        found: list[Object] = []
        page = {"limit": str(PAGE_SIZE), **params}
        while True:
            answer = await self.get(path, **page)
            found += answer["items"]
            token = answer["metadata"].get("continue")
            if not token:
                return found
            page["continue"] = token

    async def watch(self, path: str, *, since: str, **params: str) -> AsyncIterator[Object]:
        """Yield watch events (``type``, ``object``) after the resourceVersion ``since``, without end.

        The server ends watches as it likes, also when it finds the client slow: then the watch is resumed where it
        was. Raises ApiError 410 when that version is forgotten; the caller must list again.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        while True:
            query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": since, **params}
            async with self._open().get(self.server + path, params=query, timeout=timeout) as response:
                if response.status >= 400:
                    text = await response.text()
                    raise ApiError(request=f"GET {path}?watch", status=response.status, text=text)
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise ApiError(
                            request=f"GET {path}?watch", status=status["code"], text=json.dumps(status)
                        )
                    since = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event

    async def post(self, path: str, body: Object, **params: str) -> Object:
        """Create an object in a collection, or call a subresource such as ``eviction`` or ``binding``."""
        answer: Object = await self.request("POST", path, body=body, params=params)
        return answer

    async def put(self, path: str, body: Object) -> Object:
        """Replace an object; a stale resourceVersion in it is a 409."""
        answer: Object = await self.request("PUT", path, body=body)
        return answer

    async def patch(self, path: str, body: Any, *, kind: str = "merge") -> Object:
        """Change an object; ``kind`` is one of merge (a mapping), json (a list of operations), strategic."""
        answer: Object = await self.request("PATCH", path, body=body, content_type=PATCH_TYPES[kind])
        return answer

    async def delete(self, path: str, *, grace_seconds: int | None = None, **params: str) -> Object | None:
        """Delete an object, or a collection; None when it was gone already."""
        body = None if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        try:
            answer: Object = await self.request("DELETE", path, body=body, params=params)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return answer

    # Manifests.

    async def apply(self, manifest: Object, *, field_manager: str = FIELD_MANAGER) -> Object:
        """Create or change one object by server-side apply, taking over fields that others manage."""
        path = await self.path_of(manifest)
        answer: Object = await self.request(
            "PATCH",
            path,
            body=manifest,
            params={"fieldManager": field_manager, "force": "true", "fieldValidation": "Strict"},
            content_type=PATCH_TYPES["apply"],
        )
        return answer

    async def apply_all(self, manifests: Iterable[Object]) -> list[Object]:
        """Apply in the given order; a CustomResourceDefinition is waited for, so its objects may follow."""
        applied = []
        for manifest in manifests:
            applied.append(await self.apply(manifest))
            if manifest["kind"] == "CustomResourceDefinition":
                await self._established(manifest["metadata"]["name"])
        return applied

    async def path_of(self, manifest: Object) -> str:
        """Return the URL path of the object a manifest describes (namespace ``default`` unless named)."""
        version = manifest["apiVersion"]
        resource = await self._resource(version, manifest["kind"])
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if resource["namespaced"]:
            base += f"/namespaces/{manifest['metadata'].get('namespace', 'default')}"
        return f"{base}/{resource['name']}/{manifest['metadata']['name']}"

    async def _resource(self, version: str, kind: str) -> Object:
        if kind not in self._resources.get(version, {}):
            answer = await self.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
            self._resources[version] = {
                entry["kind"]: entry for entry in answer["resources"] if "/" not in entry["name"]
            }
        try:
            return self._resources[version][kind]
        except KeyError:
            raise LookupError(f"the API server knows no {kind} in {version}") from None

    async def _established(self, name: str) -> None:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"

        async def established() -> bool:
            definition = await self.get(path)
            spec = definition["spec"]
            if not has_condition(definition, "Established"):
                return False
            # Established comes a moment before every version is really served.
            return all(
                [
                    await self._serves(f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}")
                    for version in spec["versions"]
                    if version["served"]
                ]
            )

        await wait_for(established, timeout=30, what=f"CustomResourceDefinition {name} to be served")

    async def _serves(self, path: str) -> bool:
        try:
            await self.get(path, limit="1")
        except ApiError as error:
            # 404: not published yet. 429: published, but its storage is still being set up.
            if error.status in (404, 429):
                return False
            raise
        return True

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context: ssl.SSLContext | bool = False
            if self.ca_path is not None:
                context = ssl.create_default_context(cafile=str(self.ca_path))
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=100),
                headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
                timeout=aiohttp.ClientTimeout(total=60),
                # One watch event is one line; a large object must fit in it.
                read_bufsize=2**21,
            )
        return self._session


def load_manifests(path: Path) -> list[Object]:
    """Read the objects of a YAML file, or of all ``*.yaml`` files of a folder in the order of their names."""
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def has_condition(item: Object, kind: str, status: str = "True") -> bool:
    """Tell whether the object's ``status.conditions`` hold this type with this status."""
    # A fresh CustomResourceDefinition has conditions: null.
    conditions = item.get("status", {}).get("conditions") or []
    return any(entry["type"] == kind and entry["status"] == status for entry in conditions)


async def wait_for(
    predicate: Callable[[], Awaitable[T]], *, timeout: float, what: str, poll: float = POLL_SECONDS
) -> T:
    """Ask ``predicate`` again and again until its answer is truthy; return that answer.

    Raises TimeoutError after ``timeout`` seconds, saying ``what`` was waited for and the last answer.
    """
    last: Any = "no answer"
    try:
        async with asyncio.timeout(timeout):
            while True:
                last = await predicate()
                if last:
                    return last  # type: ignore[no-any-return]
                await asyncio.sleep(poll)
    except TimeoutError:
        raise TimeoutError(f"waited {timeout:g} s for {what}; last answer: {last!r}") from None


def _status_object(text: str) -> Object:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
