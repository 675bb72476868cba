"""The roles allow exactly the requests the operator's code makes: none is missing, none is to spare."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
import msgspec
import pytest

from springtide.actuation.node_api import KubeNodes
from springtide.actuation.volume_api import KubeVolumes
from springtide.cluster.api_errors import ApiError, ApiUnreachable
from springtide.cluster.decode import pod_record
from springtide.cluster.kube import KubeClient
from springtide.cluster.records import PodRecord
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.watching import ClusterWatch
from springtide.cluster.wire import PodWire
from springtide.handlers import register
from springtide.leadership.kube_leases import KubeLeases
from springtide.reporting.events import Event, EventRecorder, EventType, Subject
from springtide.reporting.status_writer import StatusWriter
from tests.unit.deploy.deployed import manifests, only

Permission = tuple[str, str, str, str]
"""API group, resource (with its subresource), object name ("" = any), verb."""

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = {"kind": "Lease", "metadata": {"name": "springtide"}}
SUBJECT = Subject("v1", "Node", "node-1", "uid-1")


class Recorder:
    """Stands in for KubeClient and notes what each request needs a permission for."""

    def __init__(self) -> None:
        self.needed: set[Permission] = set()
        self.refuse_next: ApiError | None = None

    async def get(self, path: str, params: dict[str, str] | None = None, **_: Any) -> bytes:
        self._note("get" if _names_an_object(path) else "list", path, params)
        return b'{"metadata": {}, "items": []}'

    async def get_json(self, path: str, params: dict[str, str] | None = None) -> Any:
        self._note("get", path, params)
        return {"metadata": {"uid": "uid-1", "resourceVersion": "2"}}

    async def post(self, path: str, body: Any, **_: Any) -> Any:
        self._note("create", path, None)
        return {}

    async def put(self, path: str, body: Any, **_: Any) -> Any:
        self._note("update", path, None)
        return {}

    async def delete(self, path: str, body: Any = None, **_: Any) -> Any:
        self._note("delete", path, None)
        return {}

    async def patch(self, path: str, body: Any, content_type: str = "", **_: Any) -> Any:
        self._note("patch", path, None)
        if self.refuse_next is not None:
            refusal, self.refuse_next = self.refuse_next, None
            raise refusal
        return {"metadata": {"resourceVersion": "3"}}

    def _note(self, verb: str, path: str, params: dict[str, str] | None) -> None:
        group, resource = resource_of(path)
        self.needed.add((group, resource, selected_name(params or {}), verb))


def resource_of(path: str) -> tuple[str, str]:
    """API group and resource/subresource of a request path."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    return group, "/".join((rest[0], *rest[2:]))


def _names_an_object(path: str) -> bool:
    return len(path.strip("/").split("/")) > (3 if path.startswith("/api/") else 4)


def selected_name(params: dict[str, str]) -> str:
    """The one object that a list or watch is limited to: the authorizer takes it for the object's name."""
    selector = str(params.get("fieldSelector", ""))
    return selector.removeprefix("metadata.name=") if selector.startswith("metadata.name=") else ""


def of_informers() -> Iterator[Permission]:
    watch = ClusterWatch(KubeClient.from_environment("unused"))
    for informer in watch.informers:
        group, resource = resource_of(informer.resource.path)
        name = selected_name({"fieldSelector": informer.resource.field_selector})
        for verb in ("list", "watch"):
            yield group, resource, name, verb


async def of_actuation(pod: PodRecord) -> set[Permission]:
    client: Any = Recorder()
    nodes = KubeNodes(client, decode_pods=lambda _: ())
    await nodes.read("node-1")
    await nodes.patch("node-1", {})
    await nodes.delete("node-1", uid="uid-1")
    await nodes.pods_on("node-1")
    await nodes.evict(pod, grace_seconds=30)
    await KubeVolumes(client, claim=lambda namespace, name: None).attached_to("node-1")
    needed: set[Permission] = client.needed
    return needed


async def of_events() -> set[Permission]:
    """An event, and the same again after the pause: a new object, then a higher count."""
    client, times = Recorder(), iter(NOW + timedelta(minutes=10 * step) for step in range(100))
    recorder = EventRecorder(client, clock=lambda: next(times))
    event = Event(SUBJECT, EventType.NORMAL, "ScaleDown", "message")
    async with running(recorder):
        for _ in range(2):
            recorder.record(event)
            await recorder.flush(seconds=5)
    return client.needed


@asynccontextmanager
async def running(recorder: EventRecorder) -> AsyncIterator[None]:
    """The recorder's writers, for as long as the context."""
    writing = asyncio.ensure_future(recorder.run())
    yield
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def of_election() -> set[Permission]:
    """Reading the Lease by its name, taking it, making it anew."""
    client: Any = Recorder()
    leases = KubeLeases(client, namespace="springtide-system", name="springtide")
    for call in (
        leases.read(within=1),
        leases.create(LEASE, within=1),
        leases.replace(LEASE, within=1),
    ):
        with contextlib.suppress(ApiUnreachable):
            # The recorder's answers are no Leases.
            await call
    needed: set[Permission] = client.needed
    return {
        (group, resource, "" if verb == "create" else "springtide", verb)
        for group, resource, _, verb in needed
    }


async def of_statuses() -> set[Permission]:
    """A write that loses the race, so that the object is read again."""
    client = Recorder()
    writer = StatusWriter(client, clock=lambda: NOW, heartbeat=timedelta(seconds=60))
    for plural in ("nodepools", "autoscalerpolicies"):
        client.refuse_next = ApiError(status=409, reason="Conflict")
        await writer.write(plural, "name", uid="uid-1", resource_version="1", status={"a": 1})
    return client.needed


def of_kopf() -> Iterator[Permission]:
    """kopf lists and watches what has handlers, and patches (the finalizer, its annotations) what it handles."""
    registry = register(kopf.OperatorRegistry())
    selectors = {
        selector
        for handlers in (registry._watching, registry._spawning, registry._changing)
        for selector in handlers.get_all_selectors()
    }
    for selector in selectors:
        for verb in ("list", "watch", "patch"):
            yield str(selector.group), str(selector.any_name), "", verb


@pytest.fixture
def pod() -> PodRecord:
    wire = msgspec.convert({"metadata": {"name": "pod-1", "namespace": "default", "uid": "uid-2"}}, PodWire)
    return pod_record(wire, shapes=ShapeTable())


@pytest.fixture
async def needed(pod: PodRecord) -> set[Permission]:
    return {
        *of_informers(),
        *await of_actuation(pod),
        *await of_events(),
        *await of_statuses(),
        *await of_election(),
        *of_kopf(),
    }


def granted() -> set[Permission]:
    return {
        (group, resource, name, verb)
        for role in manifests()
        if role["kind"] in ("ClusterRole", "Role")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


async def test_every_request_is_allowed(needed: set[Permission]) -> None:
    assert needed - granted() == set()


async def test_nothing_is_allowed_that_no_request_needs(needed: set[Permission]) -> None:
    assert granted() - needed == set()


def test_the_roles_are_bound_to_the_account_the_operator_runs_under() -> None:
    account = only("ServiceAccount")["metadata"]
    for suffix in ("ClusterRole", "Role"):
        roles = {each["metadata"]["name"] for each in manifests() if each["kind"] == suffix}
        bindings = [each for each in manifests() if each["kind"] == f"{suffix}Binding"]
        assert {binding["roleRef"]["name"] for binding in bindings} == roles
        assert {binding["roleRef"]["kind"] for binding in bindings} == {suffix}
        for binding in bindings:
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
            ]
    pod_spec = only("Deployment")["spec"]["template"]["spec"]
    assert pod_spec["serviceAccountName"] == account["name"]


def test_what_the_election_needs_is_allowed_in_its_own_namespace_only() -> None:
    role, binding, lease = only("Role"), only("RoleBinding"), only("Lease")["metadata"]
    assert {each["metadata"]["namespace"] for each in (role, binding)} == {lease["namespace"]}
    own = {
        rule["resources"][0]
        for each in manifests()
        if each["kind"] == "ClusterRole"
        for rule in each["rules"]
        if "update" in rule["verbs"]
    }
    assert own == set()
