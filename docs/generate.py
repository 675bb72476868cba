"""Writes what follows from the code: the reference pages of both resources, and the IAM policy (`make crds`).

The checked-in files are held against this by tests/unit/test_docs_drift.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from springtide.api.crd import NODEPOOL, POLICY, Column, Resource, manifest
from springtide.providers.aws.iam import POLICY as IAM_POLICY
from springtide.providers.aws.iam import policy_of_one_cluster

REPOSITORY = Path(__file__).parents[1]

Schema = dict[str, Any]

HEADER = "<!-- Generated from the models in operator/springtide/api by `make crds`; edit those. -->\n"

INTRODUCTIONS = {
    "NodePool": """\
The API server checks every field below and refuses what is wrong with a message that names the field and the remedy.
`kubectl` also refuses fields that do not exist; other clients may have the API server drop them silently. What only the
cluster or the cloud can tell (a policy that is missing, a group that does not exist) stands in
[condition](conditions.md) `Ready`.

Karpenter has a resource of the same name: where both are installed, write `kubectl get nodepools.springtide.dev` or `stnp`.

`scaleUp` and `scaleDown` take the fields of the [policy's](autoscalerpolicy.md), and override them for this pool.
Examples: [examples/](../examples).
""",
    "AutoscalerPolicy": """\
How pools are scaled. Every field has a default, so `spec: {}` is a complete policy. A NodePool follows the policy named
`default` unless its `policyRef` names another, and can override `scaleUp` and `scaleDown` for itself. Changes take effect
with the next pass, without a restart.

Example: [examples/policy-default.yaml](../examples/policy-default.yaml).
""",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One field: its path below spec or status, and its schema."""

    path: str
    schema: Schema
    required: bool


def fields(schema: Schema, prefix: str = "") -> Iterator[Row]:
    """All fields below an object, in the order of the models; `[]` marks the items of a list."""
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield Row(path, child, name in schema.get("required", ()))
        yield from fields(child, f"{path}.")
        if "items" in child:
            yield from fields(child["items"], f"{path}[].")
        if isinstance(child.get("additionalProperties"), dict):
            yield from fields(child["additionalProperties"], f"{path}.*.")


def type_of(schema: Schema) -> str:
    """The type as a user writes it."""
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if "items" in schema:
        inner = type_of(schema["items"])
        return "list of objects" if inner == "object" else f"list of {inner}"
    if isinstance(extra := schema.get("additionalProperties"), dict):
        return f"map to {type_of(extra)}"
    return scalar_type_of(schema)


def scalar_type_of(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if schema.get("format") == "date-time":
        return "time"
    is_text = schema["type"] == "string"
    if is_text and any("duration" in rule["message"] for rule in schema.get("x-kubernetes-validations", ())):
        return "duration"
    return str(schema["type"])


def default_of(row: Row) -> str:
    if row.required:
        return "required"
    if "default" not in row.schema:
        return ""
    value = row.schema["default"]
    return "" if value == {} else f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def cell(text: str) -> str:
    """Text that does not end its table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def spec_table(schema: Schema) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for row in fields(schema):
        meaning = cell(re.sub(r" Default: .*\.$", "", row.schema.get("description", "")))
        yield f"| `{row.path}` | {type_of(row.schema)} | {default_of(row)} | {meaning} |"


def status_table(schema: Schema) -> Iterator[str]:
    yield "| field | type | meaning |"
    yield "| --- | --- | --- |"
    for row in fields(schema):
        yield f"| `{row.path}` | {type_of(row.schema)} | {cell(row.schema.get('description', ''))} |"


def rules(schema: Schema, prefix: str = "spec") -> Iterator[str]:
    """What the API server says when fields contradict each other; rules of a single value's form are left out."""
    if schema.get("type") in ("object", "array"):
        for rule in schema.get("x-kubernetes-validations", ()):
            yield f"- `{prefix}{rule.get('fieldPath', '')}`: {cell(rule['message'])}"
    for name, child in schema.get("properties", {}).items():
        yield from rules(child, f"{prefix}.{name}")
    if "items" in schema:
        yield from rules(schema["items"], f"{prefix}[]")


def columns_table(columns: tuple[Column, ...]) -> Iterator[str]:
    yield "| column | shows |"
    yield "| --- | --- |"
    for column in columns:
        wide = " (with `-o wide`)" if column.wide else ""
        yield f"| {column.name.upper()} | {cell(column.description)}{wide} |"


def reference(resource: Resource) -> str:
    """The reference page of one resource."""
    definition = manifest(resource)["spec"]
    properties = definition["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    names = ", ".join(f"`{name}`" for name in (resource.plural, *resource.short_names))
    lines = [
        HEADER,
        f"# {resource.kind}\n",
        f"{cell(resource.model.__doc__ or '')}\n",
        f"`apiVersion: springtide.dev/v1alpha1`, cluster-scoped; for `kubectl`: {names}.\n",
        INTRODUCTIONS[resource.kind],
        "## kubectl get\n",
        *columns_table(resource.columns),
        "\n## spec\n",
        *spec_table(properties["spec"]),
        "\n### Rules between fields\n",
        *rules(properties["spec"]),
        "\n## status\n",
        *status_table(properties["status"]),
    ]
    return "\n".join(lines) + "\n"


def render() -> dict[str, str]:
    """Path in the repository → content."""
    return {
        "docs/nodepool.md": reference(NODEPOOL),
        "docs/autoscalerpolicy.md": reference(POLICY),
        "deploy/aws/iam-policy.json": json.dumps(IAM_POLICY, indent=2) + "\n",
        "deploy/aws/iam-policy-one-cluster.json": json.dumps(policy_of_one_cluster(), indent=2) + "\n",
    }


if __name__ == "__main__":
    for name, text in render().items():
        (REPOSITORY / name).write_text(text, encoding="utf-8")
