"""The generated CustomResourceDefinitions: in step with the models, structural, bounded, documented."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from springtide.api.crd import NODEPOOL, POLICY, RESOURCES, Resource, manifest, render
from springtide.api.nodepool_status import NodePoolStatus
from springtide.api.policy import AutoscalerPolicySpec

REPOSITORY = Path(__file__).parents[3]

Schema = dict[str, Any]


def root(resource: Resource) -> Schema:
    schema: Schema = manifest(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node of a schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


ALL_NODES = {f"{resource.kind}{path}": node for resource in RESOURCES for path, node in nodes(root(resource))}
OWN_FIELDS = {path: node for path, node in ALL_NODES.items() if re.match(r"[A-Za-z]+\.(spec|status)", path)}


def at(resource: Resource, path: str) -> Schema:
    return dict(nodes(root(resource)))[path]


def test_the_checked_in_files_are_the_generated_ones() -> None:
    checked_in = {path.name: path.read_text() for path in (REPOSITORY / "crds").glob("*.yaml")}
    assert checked_in == render(), "run `make crds` and commit the result"


def test_the_files_are_plain_yaml_of_the_manifests() -> None:
    assert [yaml.safe_load(text) for text in render().values()] == [
        manifest(resource) for resource in RESOURCES
    ]


ALLOWED = {
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "default",
    "properties",
    "additionalProperties",
    "items",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
}
OF_TYPE = {
    "string": {"pattern", "minLength", "maxLength", "format", "enum"},
    "integer": {"minimum", "maximum", "format", "enum"},
    "boolean": set(),
    "array": {"items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "object": {"properties", "additionalProperties", "required", "minProperties", "maxProperties"},
    "int-or-string": {"x-kubernetes-int-or-string", "minimum", "maxLength"},
}
OF_ANY_TYPE = {"type", "description", "default", "x-kubernetes-validations"}


def kind_of(node: Schema) -> str:
    return "int-or-string" if node.get("x-kubernetes-int-or-string") else node["type"]


def test_every_node_is_structural() -> None:
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/"""
    for path, node in ALL_NODES.items():
        assert set(node) <= ALLOWED, path
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node), path
        assert set(node) <= OF_TYPE[kind_of(node)] | OF_ANY_TYPE, f"{path} has a keyword of another type"
        assert not {"properties", "additionalProperties"} <= set(node), path
        assert set(node.get("required", ())) <= set(node.get("properties", ())), path
        assert "default" not in node or node["default"] is not None, path


def test_every_field_is_bounded() -> None:
    """Without bounds the API server estimates CEL rules as too costly and refuses the whole definition."""
    bounds = {
        "string": {"maxLength", "enum", "format"},
        "array": {"maxItems"},
        "int-or-string": {"maxLength"},
        "object": {"properties", "maxProperties"},
    }
    unbounded = [
        path
        for path, node in OWN_FIELDS.items()
        if kind_of(node) in bounds and not bounds[kind_of(node)] & set(node)
    ]
    assert unbounded == []


def test_every_field_explains_itself() -> None:
    for path, node in OWN_FIELDS.items():
        for name, field in node.get("properties", {}).items():
            text = field["description"]
            assert re.match(r"^[A-Z\d].*[.…]$", text), f"{path}.{name}: {text}"
            if "default" in field and field["default"] != {}:
                assert "Default: " in text, f"{path}.{name}"


def test_lists_that_are_maps_have_their_keys() -> None:
    for path, node in ALL_NODES.items():
        for key in node.get("x-kubernetes-list-map-keys", ()):
            item = node["items"]
            assert key in item["required"] or "default" in item["properties"][key], path


def test_lists_of_objects_say_how_they_merge() -> None:
    """Server-side apply replaces a list whole unless the schema says what tells its items apart."""
    for path, node in ALL_NODES.items():
        if node.get("type") == "array" and node["items"].get("type") == "object":
            assert node.get("x-kubernetes-list-type") == "map", path


def test_every_rule_says_what_to_do() -> None:
    rules = [rule for node in ALL_NODES.values() for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) > 50
    assert all(rule["message"] for rule in rules)


def test_the_policy_has_all_defaults_and_the_pool_overrides_none() -> None:
    assert at(POLICY, ".spec")["default"] == {}
    assert at(POLICY, ".spec.scaleDown")["default"] == {}
    assert at(POLICY, ".spec.scaleDown.unneededTime")["default"] == "10m"
    assert at(POLICY, ".spec.scaleUp.backoff.max")["default"] == "30m"
    overridden = dict(nodes(at(NODEPOOL, ".spec.scaleDown"))) | dict(nodes(at(NODEPOOL, ".spec.scaleUp")))
    assert not [path for path, node in overridden.items() if "default" in node]


def test_the_schema_defaults_are_the_models_defaults() -> None:
    """Filling in by the API server and by the models must come to the same."""
    assert AutoscalerPolicySpec.model_validate(filled(at(POLICY, ".spec"))) == AutoscalerPolicySpec()


def filled(schema: Schema) -> Any:
    """What the API server makes of an absent value: the default, and in objects those of the fields, level by level."""
    if schema.get("type") != "object":
        return schema.get("default")
    return {
        name: filled(field)
        for name, field in schema.get("properties", {}).items()
        if field.get("default") is not None
    }


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_a_status_is_neither_filled_in_nor_judged_by_the_api_server(resource: Resource) -> None:
    status = json.dumps(root(resource)["properties"]["status"])
    assert '"default"' not in status
    assert "x-kubernetes-validations" not in status


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_columns_point_at_fields_that_exist(resource: Resource) -> None:
    known = {path for path, _ in nodes(root(resource))} | {".metadata.creationTimestamp"}
    for column in resource.columns:
        assert column.path.partition("[")[0] in known


def test_the_columns_are_those_of_the_manual() -> None:
    narrow = [column.name for column in NODEPOOL.columns if not column.wide]
    wide = [column.name for column in NODEPOOL.columns if column.wide]
    assert [name.upper() for name in narrow] == (
        ["POLICY", "MODE", "READY", "TARGET", "MIN", "MAX", "SCALE-UP", "SCALE-DOWN", "CANDIDATES", "AGE"]
    )
    assert [name.upper() for name in wide] == ["REASON", "UNREADY", "CPU%", "MEM%", "$/H", "LAST"]


def test_names() -> None:
    names = {resource.kind: manifest(resource)["spec"]["names"] for resource in RESOURCES}
    assert names["NodePool"]["shortNames"] == ["stnp", "np"]
    assert names["AutoscalerPolicy"]["shortNames"] == ["stap"]
    assert names["AutoscalerPolicy"]["plural"] == "autoscalerpolicies"
    assert all(name["categories"] == ["autoscaling"] for name in names.values())


NOT_YET = [
    (NODEPOOL, ".spec", ["headroom", "schedules"]),
    (NODEPOOL, ".spec.provider", ["gce", "openstack", "clusterAPI", "external"]),
    (NODEPOOL, ".spec.provider.aws", ["assumeRoleARN"]),
    (
        POLICY,
        ".spec",
        ["consolidation", "compatMetrics"],
    ),
]


@pytest.mark.parametrize(("resource", "path", "absent"), NOT_YET)
def test_nothing_is_accepted_that_does_nothing(resource: Resource, path: str, absent: list[str]) -> None:
    assert not set(at(resource, path)["properties"]) & set(absent)


def test_plan_ids_are_written_as_in_logs() -> None:
    decision = {"time": "2026-01-01T00:00:00Z", "planID": "p-7", "action": "ScaleUp", "summary": "3->4"}
    status = NodePoolStatus.model_validate({"lastDecision": decision, "scaleUp": {"from": 3, "to": 4}})
    assert status.to_wire()["lastDecision"] == decision
    assert status.to_wire()["scaleUp"] == {"state": "NoActivity", "from": 3, "to": 4}


def test_launch_failures_already_seen_are_told_apart_to_the_microsecond() -> None:
    """Cut to the second, the newest failure seen would look newer than what was seen, and be acted on again."""
    seen = "2026-01-01T00:00:00.123456Z"
    status = NodePoolStatus.model_validate({"groups": [{"id": "a", "failuresSeenUntil": seen}]})
    assert status.to_wire()["groups"][0]["failuresSeenUntil"] == seen
