"""Creating Auto Scaling groups as an administrator would: launch template, subnets, group, tags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devcluster.cloud.bridge import TEMPLATE_TAG

DEFAULT_ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_IMAGE_ID = "ami-12c6146b"
"""Any image that moto knows; nothing boots from it."""


@dataclass(frozen=True, kw_only=True)
class GroupSpec:
    """An Auto Scaling group to create."""

    name: str
    instance_type: str = "m5.xlarge"
    zones: tuple[str, ...] = DEFAULT_ZONES
    min_size: int = 0
    max_size: int = 10
    desired: int | None = None
    """None is `min_size`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Become ``node-template/label/`` tags, and labels of the nodes."""
    taints: Mapping[str, str] = field(default_factory=dict)
    """Key to ``value:Effect``; become ``node-template/taint/`` tags, and taints of the nodes."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """Become ``node-template/resources/`` tags, and capacity of the nodes."""
    override_types: tuple[str, ...] = ()
    """More than none makes a mixed instances policy with these types, in order of preference."""

    def all_tags(self) -> dict[str, str]:
        """The tags, with those that describe the nodes."""
        return {
            **self.tags,
            **{f"{TEMPLATE_TAG}label/{key}": value for key, value in self.labels.items()},
            **{f"{TEMPLATE_TAG}taint/{key}": value for key, value in self.taints.items()},
            **{f"{TEMPLATE_TAG}resources/{key}": value for key, value in self.resources.items()},
        }


class Administrator:
    """Sets the stage through the same API that everybody uses."""

    def __init__(self, *, autoscaling: Any, ec2: Any) -> None:
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._lock = asyncio.Lock()
        self._vpc_id = ""
        self._subnets: dict[str, str] = {}
        self._templates: dict[str, str] = {}
        """Ids of the launch templates made here, by group."""

    async def create_group(self, spec: GroupSpec) -> None:
        """Create a group and what it needs; raises botocore's ClientError as AWS would refuse it."""
        subnets = [await self._subnet(zone) for zone in spec.zones]
        template = await self._ec2.create_launch_template(
            LaunchTemplateName=f"{spec.name}-template",
            LaunchTemplateData={"ImageId": _IMAGE_ID, "InstanceType": spec.instance_type},
        )
        template_id = template["LaunchTemplate"]["LaunchTemplateId"]
        source = {"LaunchTemplateId": template_id, "Version": "$Latest"}
        launch: dict[str, Any] = {"LaunchTemplate": source}
        if spec.override_types:
            overrides = [{"InstanceType": name} for name in spec.override_types]
            policy = {"LaunchTemplateSpecification": source, "Overrides": overrides}
            launch = {"MixedInstancesPolicy": {"LaunchTemplate": policy}}
        await self._autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=spec.name,
            MinSize=spec.min_size,
            MaxSize=spec.max_size,
            DesiredCapacity=spec.min_size if spec.desired is None else spec.desired,
            VPCZoneIdentifier=",".join(subnets),
            Tags=[
                {"Key": key, "Value": value, "PropagateAtLaunch": True}
                for key, value in spec.all_tags().items()
            ],
            **launch,
        )
        self._templates[spec.name] = template_id

    async def delete_group(self, name: str) -> None:
        """Delete a group with all its instances, and its launch template, so that the name is free again."""
        await self._autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        if template := self._templates.pop(name, ""):
            await self._ec2.delete_launch_template(LaunchTemplateId=template)

    async def _subnet(self, zone: str) -> str:
        async with self._lock:
            if not self._vpc_id:
                vpc = await self._ec2.create_vpc(CidrBlock="10.0.0.0/16")
                self._vpc_id = vpc["Vpc"]["VpcId"]
            if zone not in self._subnets:
                subnet = await self._ec2.create_subnet(
                    VpcId=self._vpc_id,
                    AvailabilityZone=zone,
                    CidrBlock=f"10.0.{16 * len(self._subnets)}.0/20",
                )
                self._subnets[zone] = subnet["Subnet"]["SubnetId"]
            return self._subnets[zone]
