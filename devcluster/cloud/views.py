"""Instances as the different answers of AWS show them."""

from __future__ import annotations

from devcluster.cloud.model import Instance, State
from devcluster.cloud.protocol import Value

ACCOUNT_ID = "123456789012"
"""moto's account."""

_EC2_STATES = {
    State.PENDING: (0, "pending"),
    State.IN_SERVICE: (16, "running"),
    State.TERMINATING: (32, "shutting-down"),
    State.TERMINATED: (48, "terminated"),
}
"""EC2's code and name for each lifecycle state (API reference, InstanceState)."""


def group_instance(instance: Instance) -> dict[str, Value]:
    """An element of a group's Instances."""
    template = instance.launch_template
    return {
        "InstanceId": instance.instance_id,
        "InstanceType": instance.instance_type,
        "AvailabilityZone": instance.zone,
        "LifecycleState": str(instance.state),
        "HealthStatus": "Healthy",
        "LaunchTemplate": None
        if template is None
        else {
            "LaunchTemplateId": template.template_id,
            "LaunchTemplateName": template.name,
            "Version": template.version or "$Default",
        },
        "ProtectedFromScaleIn": instance.protected,
    }


def autoscaling_instance(instance: Instance) -> dict[str, Value]:
    """An element of DescribeAutoScalingInstances, which writes the health in capitals."""
    return {
        **group_instance(instance),
        "AutoScalingGroupName": instance.group,
        "HealthStatus": "HEALTHY",
    }


def ec2_state_name(instance: Instance) -> str:
    """EC2's word for the instance's state."""
    return _EC2_STATES[instance.state][1]


def ec2_state(instance: Instance) -> dict[str, Value]:
    """EC2's instance state: code and name."""
    code, name = _EC2_STATES[instance.state]
    return {"code": code, "name": name}


def ec2_tags(instance: Instance) -> dict[str, str]:
    """The instance's tags: its group's, and the one Auto Scaling adds."""
    return {**instance.tags, "aws:autoscaling:groupName": instance.group}


def reservation(instance: Instance) -> dict[str, Value]:
    """An element of DescribeInstances' reservationSet: one instance of its own."""
    return {
        "reservationId": instance.instance_id.replace("i-", "r-", 1),
        "ownerId": ACCOUNT_ID,
        "instancesSet": [
            {
                "instanceId": instance.instance_id,
                "instanceState": ec2_state(instance),
                "privateDnsName": instance.private_dns_name,
                "instanceType": instance.instance_type,
                "launchTime": instance.launched,
                "placement": {"availabilityZone": instance.zone, "tenancy": "default"},
                "privateIpAddress": instance.private_ip,
                "subnetId": instance.subnet_id or None,
                "tagSet": [{"key": key, "value": value} for key, value in ec2_tags(instance).items()],
            }
        ],
    }
