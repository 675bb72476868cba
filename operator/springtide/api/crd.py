"""The CustomResourceDefinitions, generated from the models: what `make crds` writes and `springtide crds`
prints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import yaml
from pydantic import BaseModel

from springtide.api.model import API_GROUP, API_VERSION
from springtide.api.nodepool import NodePool, NodePoolSpec
from springtide.api.nodepool_status import NodePoolStatus
from springtide.api.policy import AutoscalerPolicy, AutoscalerPolicySpec
from springtide.api.policy_status import AutoscalerPolicyStatus
from springtide.api.structural import Schema, structural_schema

_HEADER: Final = "# Generated from the models in operator/springtide/api by `make crds`; edit those.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str

    def manifest(self) -> dict[str, Any]:
        column: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "description": self.description,
            "jsonPath": self.path,
        }
        if self.wide:
            column["priority"] = 1
        return column


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One custom resource: its names, its models and its columns."""

    model: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    plural: str
    singular: str
    short_names: tuple[str, ...]
    spec_required: bool
    columns: tuple[Column, ...]

    @property
    def kind(self) -> str:
        return self.model.__name__

    @property
    def name(self) -> str:
        return f"{self.plural}.{API_GROUP}"


def _ready_column() -> Column:
    return Column(
        name="Ready",
        path='.status.conditions[?(@.type=="Ready")].status',
        description="Whether it is accepted and acted on; if not, `kubectl describe` says why.",
    )


_AGE: Final = Column(
    name="Age", path=".metadata.creationTimestamp", type="date", description="Since creation."
)


def _number(name: str, path: str, description: str) -> Column:
    return Column(name=name, path=path, type="integer", description=description)


_NODEPOOL_COLUMNS: Final = (
    Column(name="Policy", path=".spec.policyRef.name", description="The AutoscalerPolicy it follows."),
    Column(
        name="Mode",
        path=".status.effective.mode",
        description="The stricter of its own mode and the policy's.",
    ),
    _ready_column(),
    Column(
        name="Reason",
        path='.status.conditions[?(@.type=="Ready")].reason',
        wide=True,
        description="Why it is ready, or why not.",
    ),
    _number("Target", ".status.size.target", "Nodes asked from the cloud."),
    _number("Min", ".status.size.min", "Fewest nodes."),
    _number("Max", ".status.size.max", "Most nodes."),
    Column(name="Scale-Up", path=".status.scaleUp.state", description="What it does about growing."),
    Column(name="Scale-Down", path=".status.scaleDown.state", description="What it does about shrinking."),
    _number("Candidates", ".status.scaleDown.candidateCount", "Nodes that are unneeded."),
    _AGE,
    replace(_number("Unready", ".status.nodes.unready", "Nodes that are not ready."), wide=True),
    replace(_number("CPU%", ".status.utilizationPercent.cpu", "Requested CPU, of allocatable."), wide=True),
    replace(
        _number("Mem%", ".status.utilizationPercent.memory", "Requested memory, of allocatable."), wide=True
    ),
    Column(
        name="$/h",
        path=".status.hourlyCost",
        wide=True,
        description="Cost an hour, in the policy's currency.",
    ),
    Column(
        name="Last",
        path=".status.lastDecision.summary",
        wide=True,
        description="The last decision, with its numbers.",
    ),
)

_POLICY_COLUMNS: Final = (
    Column(name="Mode", path=".spec.mode", description="Active, DryRun or Paused."),
    _ready_column(),
    _number("Pools", ".status.pools.total", "NodePools that refer to it."),
    _number("Pending", ".status.lastPass.pendingPods", "Pods that waited for a place in the last pass."),
    Column(
        name="Last-Pass",
        path=".status.lastProbeTime",
        type="date",
        description="Since the last pass; to the minute.",
    ),
    _AGE,
    Column(name="Expanders", path=".spec.expanders", wide=True, description="How purchases are chosen."),
    Column(
        name="Took", path=".status.lastPass.duration", wide=True, description="How long the last pass took."
    ),
    Column(
        name="Last", path=".status.lastPass.summary", wide=True, description="What the last pass decided."
    ),
)

NODEPOOL: Final = Resource(
    model=NodePool,
    spec=NodePoolSpec,
    status=NodePoolStatus,
    plural="nodepools",
    singular="nodepool",
    short_names=("stnp", "np"),
    spec_required=True,
    columns=_NODEPOOL_COLUMNS,
)

POLICY: Final = Resource(
    model=AutoscalerPolicy,
    spec=AutoscalerPolicySpec,
    status=AutoscalerPolicyStatus,
    plural="autoscalerpolicies",
    singular="autoscalerpolicy",
    short_names=("stap",),
    spec_required=False,
    columns=_POLICY_COLUMNS,
)

RESOURCES: Final = (NODEPOOL, POLICY)


def manifest(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition object of a resource."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.name},
        "spec": {
            "group": API_GROUP,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.singular,
                "shortNames": list(resource.short_names),
                "categories": ["autoscaling"],
            },
            "scope": "Cluster",
            "versions": [
                {
                    "name": API_VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [column.manifest() for column in resource.columns],
                    "schema": {"openAPIV3Schema": _root_schema(resource)},
                }
            ],
        },
    }


def _root_schema(resource: Resource) -> Schema:
    spec = structural_schema(resource.spec, users_write_it=True)
    if not resource.spec_required:
        # Without it the defaults inside would not appear on an object that has no spec at all.
        spec = {"description": spec.pop("description"), "default": {}} | spec
    schema: Schema = {
        "description": " ".join((resource.model.__doc__ or "").split()),
        "type": "object",
        "properties": {
            "apiVersion": {"description": f"{API_GROUP}/{API_VERSION}.", "type": "string"},
            "kind": {"description": f"{resource.kind}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": structural_schema(resource.status, users_write_it=False),
        },
    }
    if resource.spec_required:
        schema["required"] = ["spec"]
    return schema


def render() -> dict[str, str]:
    """File name → YAML of every CustomResourceDefinition."""
    return {
        f"{resource.name}.yaml": _HEADER
        + yaml.safe_dump(manifest(resource), sort_keys=False, allow_unicode=True, width=110)
        for resource in RESOURCES
    }
