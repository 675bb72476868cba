"""The AWS calls Springtide makes, and the IAM policy that allows exactly these."""

from __future__ import annotations

from enum import Enum
from typing import Any

ENABLED_TAG = "k8s.io/cluster-autoscaler/enabled"
"""Cluster Autoscaler's discovery tag; the policy allows changes only to groups that carry it."""


class Operation(Enum):
    """One call of the SDK. The value is its IAM action, "service:Operation"."""

    DESCRIBE_GROUPS = "autoscaling:DescribeAutoScalingGroups"
    DESCRIBE_LAUNCH_CONFIGURATIONS = "autoscaling:DescribeLaunchConfigurations"
    DESCRIBE_POLICIES = "autoscaling:DescribePolicies"
    DESCRIBE_ACTIVITIES = "autoscaling:DescribeScalingActivities"
    DESCRIBE_INSTANCES = "ec2:DescribeInstances"
    DESCRIBE_INSTANCE_TYPES = "ec2:DescribeInstanceTypes"
    DESCRIBE_LAUNCH_TEMPLATE_VERSIONS = "ec2:DescribeLaunchTemplateVersions"
    SET_DESIRED_CAPACITY = "autoscaling:SetDesiredCapacity"
    TERMINATE_INSTANCE = "autoscaling:TerminateInstanceInAutoScalingGroup"

    @property
    def service(self) -> str:
        """The SDK's name of the service."""
        return self.value.partition(":")[0]

    @property
    def call(self) -> str:
        """The operation's name in the API, e.g. SetDesiredCapacity."""
        return self.value.partition(":")[2]

    @property
    def mutates(self) -> bool:
        """Whether the call changes anything: then it is never retried by the SDK."""
        return not self.call.startswith("Describe")


POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "SpringtideRead",
            "Effect": "Allow",
            # None of these supports resource-level permissions.
            "Action": [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeLaunchConfigurations",
                "autoscaling:DescribePolicies",
                "autoscaling:DescribeScalingActivities",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplateVersions",
            ],
            "Resource": "*",
        },
        {
            "Sid": "SpringtideResize",
            "Effect": "Allow",
            "Action": [
                "autoscaling:SetDesiredCapacity",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
            ],
            "Resource": "*",
            "Condition": {"StringEquals": {f"aws:ResourceTag/{ENABLED_TAG}": "true"}},
        },
    ],
}
"""Attach this to the operator's role. Groups named in a NodePool without being discovered by tags need the tag
k8s.io/cluster-autoscaler/enabled=true too, or a narrower Resource instead of the Condition."""

CLUSTER_PLACEHOLDER = "CLUSTER_NAME"


def policy_of_one_cluster(cluster: str = CLUSTER_PLACEHOLDER) -> dict[str, Any]:
    """The policy for an account that several clusters share: changes only to groups tagged as owned by this one.

    Whoever holds these credentials cannot resize another cluster's groups, whatever a NodePool names.
    """
    read, resize = POLICY["Statement"]
    owned = {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}
    condition = {"StringEquals": {**resize["Condition"]["StringEquals"], **owned}}
    return {**POLICY, "Statement": [read, {**resize, "Condition": condition}]}
