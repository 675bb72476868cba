"""Why a pod does not fit a node: one reason code and the numbers behind it. Rendered by reporting only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Plugin(StrEnum):
    """kube-scheduler's filter plugins, named as there, in the scheduler's order."""

    NODE_UNSCHEDULABLE = "NodeUnschedulable"
    NODE_NAME = "NodeName"
    TAINT_TOLERATION = "TaintToleration"
    NODE_AFFINITY = "NodeAffinity"
    NODE_PORTS = "NodePorts"
    NODE_RESOURCES_FIT = "NodeResourcesFit"
    VOLUME_RESTRICTIONS = "VolumeRestrictions"
    NODE_VOLUME_LIMITS = "NodeVolumeLimits"
    VOLUME_BINDING = "VolumeBinding"
    VOLUME_ZONE = "VolumeZone"
    POD_TOPOLOGY_SPREAD = "PodTopologySpread"
    INTER_POD_AFFINITY = "InterPodAffinity"
    NOT_MODELLED = "NotModelled"
    """The pod has a hard constraint that is not simulated yet (see cluster.shape.Unmodelled)."""


class PodRule(StrEnum):
    """Which rule between pods is broken, of the plugins that have several."""

    NO_TOPOLOGY = "NoTopology"
    """The node lacks the topology key of a spread, or of an affinity term."""
    SKEW = "Skew"
    """The domain would have too many pods more than the one that has the fewest."""
    AFFINITY = "Affinity"
    """No pod that it must be near to is in the domain."""
    ANTI_AFFINITY = "AntiAffinity"
    """A pod that it must not be near to is in the domain."""
    REPELLED = "Repelled"
    """A pod in the domain must not be near to it."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first plugin that rejects, in the scheduler's order, with its numbers."""

    plugin: Plugin
    subject: str = ""
    """What it is about: a resource name, a taint "key=value:Effect", a label or port; a volume, claim or CSI
    driver; the unmodelled constraint."""
    requested: int = 0
    """For NodeResourcesFit: the pod's request (cpu in milli). For NodeVolumeLimits: volumes to attach."""
    free: int = 0
    """For NodeResourcesFit: what is free on the node (cpu in milli). For NodeVolumeLimits: how many more can be."""
    rule: PodRule | None = None
    """For PodTopologySpread and InterPodAffinity."""
    topology_key: str = ""
    """For these two: the label whose values are the domains; `subject` is then the selector of the pods."""
    domain: str = ""
    """The node's value of that label; of several nodes in one misfit, that of the domain which is nearest to fitting."""
    matching: int = 0
    """Pods in the domain that the rule speaks of."""
    minimum: int = 0
    """For SKEW: what the domain with the fewest has (0 where there are too few domains)."""
    skew: int = 0
    """For SKEW: what it would be, were the pod in the domain."""
    max_skew: int = 0
    """For SKEW: what the constraint allows."""
