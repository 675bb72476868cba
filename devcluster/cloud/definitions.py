"""Calls that define groups: checked as AWS does, kept by moto, and read back for the fleet.

moto keeps every group at capacity 0, so that it never launches instances of its own: they would be in service
at once, all in the first zone, and never fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from devcluster.cloud.backend import Answer, Backend
from devcluster.cloud.fleet import Fleet
from devcluster.cloud.model import Definition, LaunchTemplate, Subnet
from devcluster.cloud.protocol import (
    AUTOSCALING_NAMESPACE,
    AwsError,
    Request,
    Tree,
    dig,
    list_at,
    local_name,
    render,
    text_at,
)
from devcluster.cloud.views import group_instance


class Definitions:
    """Create, update, delete, tag, suspend and describe Auto Scaling groups."""

    def __init__(self, *, fleet: Fleet, backend: Backend) -> None:
        self._fleet = fleet
        self._backend = backend
        self._lock = asyncio.Lock()
        self._zones: dict[str, str] = {}
        self._mixed_policies: dict[str, dict[str, str]] = {}
        self.handlers = {
            "CreateAutoScalingGroup": self.create,
            "UpdateAutoScalingGroup": self.update,
            "DeleteAutoScalingGroup": self.delete,
            "DescribeAutoScalingGroups": self.describe,
            "CreateOrUpdateTags": self.change,
            "DeleteTags": self.change,
            "SuspendProcesses": self.change,
            "ResumeProcesses": self.change,
        }
        self.ec2_handlers = {
            "CreateLaunchTemplateVersion": self.change_template,
            "ModifyLaunchTemplate": self.change_template,
        }

    async def create(self, request: Request) -> Answer:
        """CreateAutoScalingGroup."""
        name = request.required("AutoScalingGroupName")
        min_size, max_size = request.integer("MinSize"), request.integer("MaxSize")
        desired = request.integer("DesiredCapacity", min_size)
        async with self._lock:
            if name in self._fleet.groups:
                # moto would silently replace it.
                raise AwsError(
                    "AlreadyExists",
                    "AutoScalingGroup by this name already exists - A group with the name "
                    f"{name} already exists",
                )
            _check_bounds(min_size=min_size, max_size=max_size, desired=desired)
            answer = await self._keep(request, name)
            if answer.status < 400:
                group = self._fleet.define(await self._read(name))
                self._fleet.resize(group, desired)
            return answer

    async def update(self, request: Request) -> Answer:
        """UpdateAutoScalingGroup; desired moves with the bounds unless it is given."""
        name = request.required("AutoScalingGroupName")
        async with self._lock:
            group = self._fleet.groups.get(name)
            if group is None:
                raise AwsError("ValidationError", "AutoScalingGroup name not found - null")
            min_size = request.integer("MinSize", group.definition.min_size)
            max_size = request.integer("MaxSize", group.definition.max_size)
            bounded = min(max(group.desired, min_size), max_size)
            desired = request.integer("DesiredCapacity", bounded)
            _check_bounds(min_size=min_size, max_size=max_size, desired=desired)
            answer = await self._keep(request, name)
            if answer.status < 400:
                self._fleet.define(await self._read(name))
                self._fleet.resize(group, desired)
            return answer

    async def delete(self, request: Request) -> Answer:
        """DeleteAutoScalingGroup; one with instances needs ForceDelete."""
        name = request.required("AutoScalingGroupName")
        async with self._lock:
            group = self._fleet.groups.get(name)
            if group is not None and group.instances and not request.flag("ForceDelete"):
                raise AwsError(
                    "ResourceInUse",
                    "You cannot delete an AutoScalingGroup while there are instances or pending Spot "
                    "instance request(s) still in the group.",
                )
            answer = await self._backend.call("autoscaling", request.action, request.params)
            if answer.status < 400 and group is not None:
                self._fleet.remove(group)
                self._mixed_policies.pop(name, None)
            return answer

    async def change(self, request: Request) -> Answer:
        """Any other call that alters the definition of groups: moto does it, the fleet reads it again."""
        async with self._lock:
            names = {request.params.get("AutoScalingGroupName", "")} | {
                value for key, value in request.params.items() if key.endswith(".ResourceId")
            }
            answer = await self._backend.call("autoscaling", request.action, request.params)
            if answer.status < 400:
                for name in names & self._fleet.groups.keys():
                    self._fleet.define(await self._read(name))
            return answer

    async def change_template(self, request: Request) -> Answer:
        """A launch template changes: its groups launch what $Latest and $Default mean from now on."""
        async with self._lock:
            answer = await self._backend.call("ec2", request.action, request.params)
            if answer.status < 400:
                named = {request.params.get("LaunchTemplateId"), request.params.get("LaunchTemplateName")}
                for group in list(self._fleet.groups.values()):
                    template = group.definition.launch_template
                    if template is not None and named & {template.template_id, template.name}:
                        self._fleet.define(await self._read(group.name))
            return answer

    async def describe(self, request: Request) -> Answer:
        """DescribeAutoScalingGroups: moto's filters and pages, our capacities and instances."""
        answer = await self._backend.call("autoscaling", request.action, request.params)
        if answer.status >= 400:
            return answer
        ElementTree.register_namespace("", AUTOSCALING_NAMESPACE)
        root = ElementTree.fromstring(answer.body)
        space = {"": AUTOSCALING_NAMESPACE}
        for member in root.iterfind("DescribeAutoScalingGroupsResult/AutoScalingGroups/member", space):
            group = self._fleet.groups.get(member.findtext("AutoScalingGroupName", "", space))
            if group is None:
                continue
            instances = [group_instance(instance) for instance in group.instances.values()]
            for child in list(member):
                if local_name(child) == "DesiredCapacity":
                    child.text = str(group.desired)
                elif local_name(child) == "Instances":
                    member.remove(child)
            member.append(
                ElementTree.fromstring(
                    f'<Instances xmlns="{AUTOSCALING_NAMESPACE}">{render(instances)}</Instances>'
                )
            )
        return Answer(answer.status, ElementTree.tostring(root), answer.content_type)

    async def _keep(self, request: Request, name: str) -> Answer:
        """Let moto keep the definition, at capacity 0."""
        params = {**request.params, "DesiredCapacity": "0"}
        mixed = {key: value for key, value in params.items() if key.startswith("MixedInstancesPolicy.")}
        if mixed:
            self._mixed_policies[name] = mixed
        elif any(re.match(r"LaunchTemplate\.|LaunchConfigurationName", key) for key in params):
            self._mixed_policies.pop(name, None)
        else:
            # moto drops the policy at an update that does not repeat it; AWS keeps it.
            params |= self._mixed_policies.get(name, {})
        return await self._backend.call("autoscaling", request.action, params)

    async def _read(self, name: str) -> Definition:
        """The definition as moto has it now."""
        result = await self._backend.ask(
            "autoscaling", "DescribeAutoScalingGroups", {"AutoScalingGroupNames.member.1": name}
        )
        data = list_at(result, "AutoScalingGroups")[0]
        policy = dig(data, "MixedInstancesPolicy", "LaunchTemplate")
        template = _launch_template(
            dig(policy, "LaunchTemplateSpecification") if policy else dig(data, "LaunchTemplate")
        )
        overrides = [text_at(override, "InstanceType") for override in list_at(policy, "Overrides")]
        types = tuple(filter(None, overrides))
        return Definition(
            name=name,
            min_size=int(text_at(data, "MinSize")),
            max_size=int(text_at(data, "MaxSize")),
            subnets=await self._subnets(data),
            instance_types=types or (await self._instance_type(data, template),),
            launch_template=template,
            mixed_instances=bool(policy),
            protects_new_instances=text_at(data, "NewInstancesProtectedFromScaleIn") == "true",
            suspended=frozenset(
                text_at(process, "ProcessName") for process in list_at(data, "SuspendedProcesses")
            ),
            tags={text_at(tag, "Key"): text_at(tag, "Value") for tag in list_at(data, "Tags")},
        )

    async def _subnets(self, data: Tree) -> tuple[Subnet, ...]:
        ids = [item.strip() for item in text_at(data, "VPCZoneIdentifier").split(",") if item.strip()]
        if not ids:
            zones = list_at(data, "AvailabilityZones")
            return tuple(Subnet(zone) for zone in zones if isinstance(zone, str))
        unknown = [item for item in ids if item not in self._zones]
        if unknown:
            result = await self._backend.ask("ec2", "DescribeSubnets", _numbered("SubnetId", unknown))
            for subnet in list_at(result, "subnetSet"):
                self._zones[text_at(subnet, "subnetId")] = text_at(subnet, "availabilityZone")
        return tuple(Subnet(self._zones[item], item) for item in ids)

    async def _instance_type(self, data: Tree, template: LaunchTemplate | None) -> str:
        if template is None:
            name = text_at(data, "LaunchConfigurationName")
            result = await self._backend.ask(
                "autoscaling", "DescribeLaunchConfigurations", {"LaunchConfigurationNames.member.1": name}
            )
            return text_at(list_at(result, "LaunchConfigurations")[0], "InstanceType")
        result = await self._backend.ask(
            "ec2",
            "DescribeLaunchTemplateVersions",
            {
                "LaunchTemplateId": template.template_id,
                "LaunchTemplateVersion.1": template.version or "$Default",
            },
        )
        version = list_at(result, "launchTemplateVersionSet")[0]
        return text_at(version, "launchTemplateData", "instanceType")


def _check_bounds(*, min_size: int, max_size: int, desired: int) -> None:
    if min_size > max_size:
        raise AwsError(
            "ValidationError",
            f"Max bound, {max_size}, must be greater than or equal to min bound, {min_size}",
        )
    if not min_size <= desired <= max_size:
        raise AwsError(
            "ValidationError",
            f"Desired capacity:{desired} must be between the specified min size:{min_size} and max "
            f"size:{max_size}",
        )


def _launch_template(data: Tree) -> LaunchTemplate | None:
    template_id = text_at(data, "LaunchTemplateId")
    if not template_id:
        return None
    return LaunchTemplate(template_id, text_at(data, "LaunchTemplateName"), text_at(data, "Version"))


def _numbered(name: str, values: list[str]) -> Mapping[str, str]:
    return {f"{name}.{number}": value for number, value in enumerate(values, start=1)}
