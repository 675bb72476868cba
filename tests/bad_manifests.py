"""Manifests that users might write wrongly, and what they are told.

One table for two judges: tests/unit/api asks Springtide's own reader, tests/e2e the real API server.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.manifests import GROUPS, TAINT, Manifest, aws, nodepool, policy, simulated


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A manifest that must be refused, and the message that must come back."""

    id: str
    manifest: Manifest
    field: str
    """Both judges name this field."""
    remedy: str
    """Springtide's reader says this; empty: only the API server can judge (unknown fields, changes, quantities)."""
    server: str
    """The API server says this."""
    before: Manifest | None = None
    """For a forbidden change: what was there."""

    def __str__(self) -> str:
        return self.id


DURATION = "write a duration such as 500ms, 90s, 10m or 1h30m"
QUANTITY = 'write a Kubernetes quantity such as 4, "500m", "1.5" or "16Gi"'
_WRONG_SIZES = "lower minSize or raise maxSize"
_ONE_OF = "exactly one of aws and simulated must be given"
_GROUPS_OR_TAGS = "name the groups, or the tags that find them"

BAD_NODEPOOLS = (
    Bad(
        id="minSize above maxSize",
        manifest=nodepool(minSize=5, maxSize=3),
        field="spec.minSize",
        remedy=_WRONG_SIZES,
        server=_WRONG_SIZES,
    ),
    Bad(
        id="negative minSize",
        manifest=nodepool(minSize=-1),
        field="spec.minSize",
        remedy="use 0 or more",
        server="should be greater than or equal to 0",
    ),
    Bad(
        id="maxSize in quotes",
        manifest=nodepool(maxSize="10"),
        field="spec.maxSize",
        remedy="write a whole number, without quotes",
        server="must be of type integer",
    ),
    Bad(
        id="fractional maxSize",
        manifest=nodepool(maxSize=2.5),
        field="spec.maxSize",
        remedy="write a whole number",
        server="must be of type integer",
    ),
    Bad(
        id="unknown mode",
        manifest=nodepool(mode="Stopped"),
        field="spec.mode",
        remedy="use one of 'Active', 'DryRun' or 'Paused'",
        server='supported values: "Active", "DryRun", "Paused"',
    ),
    Bad(
        id="no provider",
        manifest=nodepool(provider=None),
        field="spec.provider",
        remedy="is required: add it",
        server="Required value",
    ),
    Bad(
        id="empty provider",
        manifest=nodepool(provider={}),
        field="spec.provider",
        remedy=_ONE_OF,
        server=_ONE_OF,
    ),
    Bad(
        id="two providers",
        manifest=nodepool(provider=aws(**GROUPS) | simulated()),
        field="spec.provider",
        remedy=_ONE_OF,
        server=_ONE_OF,
    ),
    Bad(
        id="provider of another kind than before",
        before=nodepool(),
        manifest=nodepool(provider=simulated()),
        field="spec.provider",
        remedy="",
        server="the kind of provider cannot be changed: create another NodePool",
    ),
    Bad(
        id="no region",
        manifest=nodepool(provider={"aws": GROUPS}),
        field="spec.provider.aws.region",
        remedy="is required: add it",
        server="Required value",
    ),
    Bad(
        id="zone instead of region",
        manifest=nodepool(provider={"aws": GROUPS | {"region": "eu-central-1a"}}),
        field="spec.provider.aws.region",
        remedy="write the region's code, e.g. eu-central-1",
        server="write the region's code, e.g. eu-central-1",
    ),
    Bad(
        id="another region than before",
        before=nodepool(),
        manifest=nodepool(provider={"aws": GROUPS | {"region": "us-east-1"}}),
        field="spec.provider.aws.region",
        remedy="",
        server="region cannot be changed: create another NodePool for the other region",
    ),
    Bad(
        id="neither groups nor discovery",
        manifest=nodepool(provider=aws()),
        field="spec.provider.aws",
        remedy=_GROUPS_OR_TAGS,
        server=_GROUPS_OR_TAGS,
    ),
    Bad(
        id="both groups and discovery",
        manifest=nodepool(provider=aws(**GROUPS, discovery={"tags": {"team": "search"}})),
        field="spec.provider.aws",
        remedy=_GROUPS_OR_TAGS,
        server=_GROUPS_OR_TAGS,
    ),
    Bad(
        id="the same group twice",
        manifest=nodepool(provider=aws(autoScalingGroups=["a", "b", "a"])),
        field="spec.provider.aws.autoScalingGroups",
        remedy="group 'a' is listed twice: list it once",
        server='Duplicate value: "a"',
    ),
    Bad(
        id="no groups in the list",
        manifest=nodepool(provider=aws(autoScalingGroups=[])),
        field="spec.provider.aws.autoScalingGroups",
        remedy="give at least 1",
        server="should have at least 1 items",
    ),
    Bad(
        id="one group instead of a list",
        manifest=nodepool(provider=aws(autoScalingGroups="general")),
        field="spec.provider.aws.autoScalingGroups",
        remedy="write a list",
        server="must be of type array",
    ),
    Bad(
        id="discovery without tags",
        manifest=nodepool(provider=aws(discovery={"tags": {}})),
        field="spec.provider.aws.discovery.tags",
        remedy="give at least 1",
        server="should have at least 1 properties",
    ),
    Bad(
        id="simulated group with min above max",
        manifest=nodepool(provider=simulated(minSize=4, maxSize=2)),
        field="spec.provider.simulated.groups[0].minSize",
        remedy=_WRONG_SIZES,
        server=_WRONG_SIZES,
    ),
    Bad(
        id="policy name with capitals",
        manifest=nodepool(policyRef={"name": "Default"}),
        field="spec.policyRef.name",
        remedy="write lower-case letters, digits, '-' and '.'",
        server="write lower-case letters, digits, '-' and '.'",
    ),
    Bad(
        id="label key with a space",
        manifest=nodepool(template={"labels": {"my tier": "front"}}),
        field="spec.template.labels",
        remedy="write name or prefix/name, e.g. example.com/tier",
        server="write name or prefix/name, e.g. example.com/tier",
    ),
    Bad(
        id="label value too long",
        manifest=nodepool(template={"labels": {"tier": "x" * 64}}),
        field="spec.template.labels.tier",
        remedy="use at most 63",
        server="may not be more than 63",
    ),
    Bad(
        id="hostname as a template label",
        manifest=nodepool(template={"labels": {"kubernetes.io/hostname": "one"}}),
        field="spec.template.labels",
        remedy="remove it from labels",
        server="remove it from labels",
    ),
    Bad(
        id="unknown taint effect",
        manifest=nodepool(template={"taints": [TAINT | {"effect": "NoStart"}]}),
        field="spec.template.taints[0].effect",
        remedy="use one of 'NoSchedule', 'PreferNoSchedule' or 'NoExecute'",
        server='supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    ),
    Bad(
        id="taint without key",
        manifest=nodepool(template={"taints": [{"effect": "NoSchedule"}]}),
        field="spec.template.taints[0].key",
        remedy="is required: add it",
        server="Required value",
    ),
    Bad(
        id="the same taint twice",
        manifest=nodepool(template={"taints": [TAINT, TAINT | {"value": "other"}]}),
        field="spec.template.taints",
        remedy="taint 'nvidia.com/gpu:NoSchedule' is listed twice: list it once",
        server="Duplicate value",
    ),
    Bad(
        id="a taint both lasting and for startup",
        manifest=nodepool(template={"taints": [TAINT], "startupTaints": [TAINT]}),
        field="spec.template.startupTaints",
        remedy="keep it in startupTaints if something takes it off",
        server="keep it in startupTaints if something takes it off",
    ),
    Bad(
        id="an autoscaler's own taint",
        manifest=nodepool(
            template={"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}
        ),
        field="spec.template.taints",
        remedy="remove it from taints",
        server="remove it from taints",
    ),
    Bad(
        id="quantity with a space",
        manifest=nodepool(template={"capacity": {"memory": "16 Gi"}}),
        field="spec.template.capacity.memory",
        remedy=QUANTITY,
        server=QUANTITY,
    ),
    Bad(
        id="bare decimal quantity",
        manifest=nodepool(template={"capacity": {"cpu": 0.5}}),
        field="spec.template.capacity.cpu",
        remedy='quote it: "0.5"',
        server="must be of type integer,string",
    ),
    Bad(
        id="negative quantity",
        manifest=nodepool(template={"capacity": {"cpu": -4}}),
        field="spec.template.capacity.cpu",
        remedy=QUANTITY,
        server="should be greater than or equal to 0",
    ),
    Bad(
        id="allocatable above capacity",
        manifest=nodepool(template={"capacity": {"memory": "16Gi"}, "allocatable": {"memory": "17000Mi"}}),
        field="spec.template.allocatable",
        remedy="",
        server="lower the resource in allocatable or raise it in capacity",
    ),
    Bad(
        id="price with a currency sign",
        manifest=nodepool(hourlyPrice="$0.096"),
        field="spec.hourlyPrice",
        remedy=QUANTITY,
        server=QUANTITY,
    ),
    Bad(
        id="duration without unit",
        manifest=nodepool(scaleDown={"unneededTime": "10"}),
        field="spec.scaleDown.unneededTime",
        remedy=DURATION,
        server=DURATION,
    ),
    Bad(
        id="duration as a number of seconds",
        manifest=nodepool(scaleDown={"unneededTime": 600}),
        field="spec.scaleDown.unneededTime",
        remedy=DURATION,
        server="must be of type string",
    ),
    Bad(
        id="negative duration",
        manifest=nodepool(scaleDown={"delayAfterAdd": "-10m"}),
        field="spec.scaleDown.delayAfterAdd",
        remedy=DURATION,
        server=DURATION,
    ),
    Bad(
        id="threshold as a fraction, as Cluster Autoscaler has it",
        manifest=nodepool(scaleDown={"utilizationThresholdPercent": 0.5}),
        field="spec.scaleDown.utilizationThresholdPercent",
        remedy="write a whole number",
        server="must be of type integer",
    ),
    Bad(
        id="threshold above 100 percent",
        manifest=nodepool(scaleDown={"utilizationThresholdPercent": 120}),
        field="spec.scaleDown.utilizationThresholdPercent",
        remedy="use 100 or less",
        server="should be less than or equal to 100",
    ),
    Bad(
        id="yes instead of true",
        manifest=nodepool(scaleDown={"enabled": "yes"}),
        field="spec.scaleDown.enabled",
        remedy="write true or false, without quotes",
        server="must be of type boolean",
    ),
    Bad(
        id="backoff that begins above its maximum",
        manifest=nodepool(scaleUp={"backoff": {"initial": "1h", "max": "30m"}}),
        field="spec.scaleUp.backoff",
        remedy="shorten initial or lengthen max",
        server="shorten initial or lengthen max",
    ),
    Bad(
        id="field of a later release",
        manifest=nodepool(headroom={"pods": 10}),
        field="spec.headroom",
        remedy="",
        server="unknown field",
    ),
    Bad(
        id="misspelt field",
        manifest=nodepool(scaleDown={"unneedTime": "5m"}),
        field="spec.scaleDown.unneedTime",
        remedy="",
        server="unknown field",
    ),
)

BAD_POLICIES = (
    Bad(
        id="unknown expander",
        manifest=policy(expanders=["cheapest"]),
        field="spec.expanders[0]",
        remedy="use one of 'random', 'most-pods', 'least-waste', 'least-nodes', 'price', 'priority' or 'least-cost'",
        server='supported values: "random", "most-pods", "least-waste", "least-nodes", "price", "priority", "least-cost"',
    ),
    Bad(
        id="the same expander twice",
        manifest=policy(expanders=["most-pods", "most-pods"]),
        field="spec.expanders",
        remedy="expander 'most-pods' is listed twice",
        server='Duplicate value: "most-pods"',
    ),
    Bad(
        id="random before others",
        manifest=policy(expanders=["random", "least-waste"]),
        field="spec.expanders",
        remedy="put random last",
        server="put random last",
    ),
    Bad(
        id="least-cost behind others",
        manifest=policy(expanders=["price", "least-cost"]),
        field="spec.expanders",
        remedy="put least-cost first",
        server="put least-cost first",
    ),
    Bad(
        id="no expander",
        manifest=policy(expanders=[]),
        field="spec.expanders",
        remedy="give at least 1",
        server="should have at least 1 items",
    ),
    Bad(
        id="expanders as Cluster Autoscaler's comma list",
        manifest=policy(expanders="least-waste,random"),
        field="spec.expanders",
        remedy="write a list",
        server="must be of type array",
    ),
    Bad(
        id="scanning too often",
        manifest=policy(scanInterval="100ms"),
        field="spec.scanInterval",
        remedy="use 1s or more",
        server="use 1s or more",
    ),
    Bad(
        id="words as a duration",
        manifest=policy(scanInterval="ten seconds"),
        field="spec.scanInterval",
        remedy=DURATION,
        server=DURATION,
    ),
    Bad(
        id="settle above settleMax",
        manifest=policy(settle="5s"),
        field="spec.settle",
        remedy="shorten settle or lengthen settleMax",
        server="shorten settle or lengthen settleMax",
    ),
    Bad(
        id="backoff that begins above the default maximum",
        manifest=policy(scaleUp={"backoff": {"initial": "45m"}}),
        field="spec.scaleUp.backoff",
        remedy="shorten initial or lengthen max",
        server="shorten initial or lengthen max",
    ),
    Bad(
        id="no time at all to provision",
        manifest=policy(scaleUp={"maxNodeProvisionTime": "0s"}),
        field="spec.scaleUp.maxNodeProvisionTime",
        remedy="use 1s or more",
        server="use 1s or more",
    ),
    Bad(
        id="currency sign",
        manifest=policy(currency="€"),
        field="spec.currency",
        remedy="write an ISO 4217 code, e.g. EUR",
        server="write an ISO 4217 code, e.g. EUR",
    ),
    Bad(
        id="limits that contradict",
        manifest=policy(limits={"min": {"cpu": "8"}, "max": {"cpu": "7900m"}}),
        field="spec.limits.min",
        remedy="",
        server="lower the resource in min or raise it in max",
    ),
    Bad(
        id="limit that is no quantity",
        manifest=policy(limits={"max": {"nodes": "many"}}),
        field="spec.limits.max.nodes",
        remedy=QUANTITY,
        server=QUANTITY,
    ),
    Bad(
        id="a budget without a number",
        manifest=policy(budgets=[{"name": "few"}]),
        field="spec.budgets[0]",
        remedy="give nodes or nodesPercent, 0 for none",
        server="give nodes or nodesPercent, 0 for none",
    ),
    Bad(
        id="a budget with two numbers",
        manifest=policy(budgets=[{"name": "few", "nodes": 1, "nodesPercent": 10}]),
        field="spec.budgets[0]",
        remedy="both nodes and nodesPercent are given: keep one of them",
        server="both nodes and nodesPercent are given: keep one of them",
    ),
    Bad(
        id="a budget's schedule without a duration",
        manifest=policy(budgets=[{"name": "nights", "nodes": 0, "schedule": "0 22 * * *"}]),
        field="spec.budgets[0]",
        remedy="give both, or neither for a budget that always holds",
        server="give both, or neither for a budget that always holds",
    ),
    Bad(
        id="a budget that allows always",
        manifest=policy(budgets=[{"name": "nights", "action": "Allow"}]),
        field="spec.budgets[0]",
        remedy="give schedule and duration, or use action Limit",
        server="give schedule and duration, or use action Limit",
    ),
    Bad(
        id="a budget's schedule of four fields",
        manifest=policy(budgets=[{"name": "nights", "nodes": 0, "schedule": "0 22 * *", "duration": "8h"}]),
        field="spec.budgets[0].schedule",
        remedy="write the five fields of cron",
        server="write the five fields of cron",
    ),
    Bad(
        id="a budget's time zone as an offset",
        manifest=policy(
            budgets=[
                {
                    "name": "nights",
                    "nodes": 0,
                    "schedule": "0 22 * * *",
                    "duration": "8h",
                    "timeZone": "+02:00",
                }
            ]
        ),
        field="spec.budgets[0].timeZone",
        remedy="e.g. Europe/Berlin",
        server="e.g. Europe/Berlin",
    ),
    Bad(
        id="two budgets of one name",
        manifest=policy(budgets=[{"name": "few", "nodes": 1}, {"name": "few", "nodesPercent": 10}]),
        field="spec.budgets",
        remedy="budget 'few' is listed twice",
        server="Duplicate value",
    ),
    Bad(
        id="a budget for an unknown reason",
        manifest=policy(budgets=[{"name": "few", "nodes": 1, "reasons": ["Drifted"]}]),
        field="spec.budgets[0].reasons[0]",
        remedy="use one of 'Empty', 'Underutilized' or 'Unready'",
        server='supported values: "Empty", "Underutilized", "Unready"',
    ),
    Bad(
        id="unready share above 100 percent",
        manifest=policy(health={"maxUnreadyPercent": 101}),
        field="spec.health.maxUnreadyPercent",
        remedy="use 100 or less",
        server="should be less than or equal to 100",
    ),
    Bad(
        id="same scheduler twice",
        manifest=policy(scaleUp={"bypassedSchedulers": ["volcano", "volcano"]}),
        field="spec.scaleUp.bypassedSchedulers",
        remedy="scheduler 'volcano' is listed twice",
        server='Duplicate value: "volcano"',
    ),
)

BAD = BAD_NODEPOOLS + BAD_POLICIES
