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
    NOT_MODELLED = "NotModelled"
    """The pod has a hard constraint that is not simulated yet (see cluster.shape.Unmodelled)."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first plugin that rejects, in the scheduler's order, with its numbers."""

    plugin: Plugin
    subject: str = ""
    """What it is about: a resource name, a taint "key=value:Effect", a label or port; the unmodelled constraint."""
    requested: int = 0
    """For NodeResourcesFit: the pod's request (cpu in milli)."""
    free: int = 0
    """For NodeResourcesFit: what is free on the node (cpu in milli)."""
