"""The real API server judges the CustomResourceDefinitions, the examples and the table of good and bad manifests."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from devcluster.api import Api, ApiError, load_manifests
from devcluster.controlplane import ControlPlane
from tests.bad_manifests import BAD, Bad
from tests.manifests import GOOD, Manifest, nodepool, policy

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

REPOSITORY = Path(__file__).parents[2]
COLLECTIONS = {"NodePool": "nodepools", "AutoscalerPolicy": "autoscalerpolicies"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api() -> AsyncIterator[Api]:
    """An API server that serves our CustomResourceDefinitions."""
    async with ControlPlane() as control_plane, control_plane.api() as api:
        await api.apply_all(load_manifests(REPOSITORY / "crds"))
        yield api


def collection(manifest: Manifest) -> str:
    return f"/apis/springtide.dev/v1alpha1/{COLLECTIONS[manifest['kind']]}"


async def create(api: Api, manifest: Manifest, *, dry_run: bool = True) -> Manifest:
    """Create as kubectl does: unknown fields are errors."""
    dry = {"dryRun": "All"} if dry_run else {}
    return await api.post(collection(manifest), manifest, fieldValidation="Strict", **dry)


async def delete(api: Api, manifest: Manifest) -> None:
    await api.delete(f"{collection(manifest)}/{manifest['metadata']['name']}")


@pytest.mark.parametrize("manifest", GOOD.values(), ids=GOOD.keys())
async def test_good_manifests_are_accepted(api: Api, manifest: Manifest) -> None:
    created = await create(api, manifest)
    assert_contains(created["spec"], manifest["spec"])


@pytest.mark.parametrize("bad", BAD, ids=str)
async def test_bad_manifests_are_refused_with_field_and_remedy(api: Api, bad: Bad) -> None:
    message = await refusal(api, bad)
    # CEL names an entry of a map as max[nodes], the rest of the API server as max.nodes.
    assert bad.field in re.sub(r"\[([a-z][^][ ]*)\]", r".\1", message)
    assert bad.server in message


async def refusal(api: Api, bad: Bad) -> str:
    """What the API server says to the manifest, or to the change to it."""
    if bad.before is None:
        with pytest.raises(ApiError) as refused:
            await create(api, bad.manifest)
        return refused.value.message
    existing = await create(api, bad.before, dry_run=False)
    try:
        with pytest.raises(ApiError) as refused:
            await api.put(
                f"{collection(existing)}/{existing['metadata']['name']}",
                existing | {"spec": bad.manifest["spec"]},
            )
        return refused.value.message
    finally:
        await delete(api, existing)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.stem)
async def test_examples_are_accepted(api: Api, path: Path) -> None:
    for manifest in load_manifests(path):
        assert_contains((await create(api, manifest)).get("spec", {}), manifest.get("spec", {}))


async def test_the_api_server_fills_in_the_defaults(api: Api) -> None:
    bare = policy()
    del bare["spec"]
    spec = (await create(api, bare))["spec"]
    assert spec["scanInterval"] == "10s"
    assert spec["scaleDown"]["unneededTime"] == "10m"
    assert spec["scaleUp"]["backoff"] == {"initial": "5m", "max": "30m", "reset": "3h"}


async def test_a_pool_overrides_nothing_that_it_does_not_name(api: Api) -> None:
    spec = (await create(api, nodepool(scaleDown={"unneededTime": "5m"}, scaleUp={"backoff": {}})))["spec"]
    assert spec["scaleDown"] == {"unneededTime": "5m"}
    assert spec["scaleUp"] == {"backoff": {}}
    assert spec["policyRef"] == {"name": "default"}


async def test_kubectl_get_tells_the_story(api: Api) -> None:
    manifest = nodepool(name="columns")
    created = await create(api, manifest, dry_run=False)
    created["status"] = {
        "effective": {"mode": "DryRun"},
        "size": {"target": 4, "min": 1, "max": 9},
        "scaleUp": {"state": "InProgress"},
        "scaleDown": {"state": "CandidatesPresent", "candidateCount": 2},
        "nodes": {"unready": 1},
        "utilizationPercent": {"cpu": 40, "memory": 70},
        "hourlyCost": "0.384",
        "lastDecision": {"time": "2026-01-01T00:00:00Z", "action": "ScaleUp", "summary": "3->4 for 2 pods"},
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "DryRun",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    await api.put(f"{collection(manifest)}/columns/status", created)
    shown = await table_row(api, f"{collection(manifest)}/columns")
    del shown["Age"]
    assert shown == {
        "Name": "columns",
        "Policy": "default",
        "Mode": "DryRun",
        "Ready": "True",
        "Reason": "DryRun",
        "Target": 4,
        "Min": 1,
        "Max": 9,
        "Scale-Up": "InProgress",
        "Scale-Down": "CandidatesPresent",
        "Candidates": 2,
        "Unready": 1,
        "CPU%": 40,
        "Mem%": 70,
        "$/h": "0.384",
        "Last": "3->4 for 2 pods",
    }
    await delete(api, manifest)


async def table_row(api: Api, path: str) -> Manifest:
    """What kubectl shows of one object: column name → cell."""
    headers = {
        "Authorization": f"Bearer {api.token}",
        "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io",
    }
    authority = ssl.create_default_context(cafile=str(api.ca_path))
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(api.server + path, ssl=authority) as response,
    ):
        table = await response.json()
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def assert_contains(whole: Any, part: Any) -> None:
    """What was written came back: the schema pruned or changed none of it."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert_contains(whole[key], value)
    elif isinstance(part, list):
        for item, written in zip(whole, part, strict=True):
            assert_contains(item, written)
    else:
        assert whole == part
