"""Springtide's reader: accepts what is good, says field, fault and remedy of what is bad, never raises."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from springtide.api.nodepool import NodePool
from springtide.api.nodepool_status import NodePoolStatus, PoolSize
from springtide.api.parse import InvalidResource, parse_nodepool, parse_policy
from springtide.api.policy import AutoscalerPolicy
from springtide.api.settings import Expander, Mode
from tests.bad_manifests import BAD, Bad
from tests.manifests import GOOD, Manifest, nodepool, policy

REPOSITORY = Path(__file__).parents[3]


def read(manifest: Manifest) -> NodePool | AutoscalerPolicy | InvalidResource:
    return parse_nodepool(manifest) if manifest["kind"] == "NodePool" else parse_policy(manifest)


@pytest.mark.parametrize("manifest", GOOD.values(), ids=GOOD.keys())
def test_good_manifests_are_read(manifest: Manifest) -> None:
    assert not isinstance(read(manifest), InvalidResource)


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.remedy], ids=str)
def test_bad_manifests_are_refused_with_field_and_remedy(bad: Bad) -> None:
    refused = read(bad.manifest)
    assert isinstance(refused, InvalidResource)
    (problem,) = refused.problems
    assert problem.field == bad.field
    assert bad.remedy in str(problem)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_read(path: Path) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        assert not isinstance(read(manifest), InvalidResource)


def test_all_problems_are_told_at_once() -> None:
    refused = parse_nodepool(nodepool(mode="On", minSize=-1, scaleDown={"unneededTime": "soon"}))
    assert isinstance(refused, InvalidResource)
    assert [problem.field for problem in refused.problems] == [
        "spec.mode",
        "spec.minSize",
        "spec.scaleDown.unneededTime",
    ]
    assert refused.message.count(";") == 2


def test_a_refused_resource_is_named() -> None:
    manifest = nodepool(name="gpu", mode="On")
    manifest["metadata"]["generation"] = 7
    refused = parse_nodepool(manifest)
    assert isinstance(refused, InvalidResource)
    assert (refused.kind, refused.name, refused.generation) == ("NodePool", "gpu", 7)


def test_unknown_fields_are_ignored_when_reading() -> None:
    pool = parse_nodepool(nodepool(fieldOfTheFuture={"a": 1}))
    assert isinstance(pool, NodePool)


@pytest.mark.parametrize("status", ["lost", {"size": "big"}, {"groups": [{"target": 3}]}])
def test_a_status_of_another_release_is_dropped(status: Any) -> None:
    pool = parse_nodepool(nodepool() | {"status": status})
    assert isinstance(pool, NodePool)
    assert pool.status == NodePoolStatus()


def test_a_status_of_ours_is_kept() -> None:
    pool = parse_nodepool(nodepool() | {"status": {"size": {"target": 4}, "ofTheFuture": 1}})
    assert isinstance(pool, NodePool)
    assert pool.status == NodePoolStatus(size=PoolSize(target=4))


def test_null_means_absent_as_for_the_api_server() -> None:
    manifest = nodepool(minSize=3)
    manifest["spec"] |= {"maxSize": None, "mode": None}
    pool = parse_nodepool(manifest)
    assert isinstance(pool, NodePool)
    assert (pool.spec.min_size, pool.spec.max_size, pool.spec.mode) == (3, None, Mode.ACTIVE)


def test_a_policy_without_spec_has_the_defaults_of_cluster_autoscaler() -> None:
    manifest = policy()
    del manifest["spec"]
    read_policy = parse_policy(manifest)
    assert isinstance(read_policy, AutoscalerPolicy)
    spec = read_policy.spec
    assert spec.expanders == (Expander.LEAST_WASTE,)
    assert spec.scan_interval == timedelta(seconds=10)
    assert spec.scale_up.max_node_provision_time == timedelta(minutes=15)
    assert spec.scale_up.expendable_pods_priority_cutoff == -10
    assert spec.scale_down.unneeded_time == timedelta(minutes=10)
    assert spec.scale_down.utilization_threshold_percent == 50
    assert spec.health.max_unready_percent == 45


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = [
    "policyRef",
    "mode",
    "minSize",
    "maxSize",
    "provider",
    "template",
    "hourlyPrice",
    "scaleUp",
    "scaleDown",
]


@given(metadata=_JUNK, spec=st.dictionaries(st.sampled_from(_FIELDS), _JUNK) | _JUNK, status=_JUNK)
def test_reading_never_raises(metadata: Any, spec: Any, status: Any) -> None:
    outcome = parse_nodepool({"metadata": metadata, "spec": spec, "status": status})
    assert isinstance(outcome, NodePool) or outcome.message


@pytest.mark.parametrize("group", [{"name": "a"}, {"name": "a", "capacity": 4}])
def test_the_path_leads_into_lists(group: Manifest) -> None:
    refused = parse_nodepool(nodepool(provider={"simulated": {"groups": [group]}}))
    assert isinstance(refused, InvalidResource)
    assert refused.problems[0].field == "spec.provider.simulated.groups[0].capacity"


@pytest.mark.parametrize("depth", [40, 900, 100_000])
@pytest.mark.parametrize("kind", ["list", "object"])
def test_a_resource_nested_deeper_than_python_can_follow_is_refused_by_field(depth: int, kind: str) -> None:
    deep: Any = "bottom"
    for _ in range(depth):
        deep = [deep] if kind == "list" else {"a": deep}
    refused = parse_nodepool({**nodepool(), "spec": {**nodepool()["spec"], "template": deep}})
    assert isinstance(refused, InvalidResource)
    assert "spec: is nested too deeply" in refused.message
    # Python itself would fail to take the nest apart recursively.
    while isinstance(deep, (list, dict)):
        deep = deep[0] if isinstance(deep, list) else deep["a"]
