"""The AWS of the devcluster: moto's server, a proxy that gives it real manners, a bridge to hollow nodes."""

from devcluster.cloud.bridge import BridgeOptions
from devcluster.cloud.calls import Call, CallLog
from devcluster.cloud.cloud import Cloud, CloudOptions
from devcluster.cloud.failures import Failures, Rule, parse_rule
from devcluster.cloud.fleet import EventKind, FleetEvent, Timings
from devcluster.cloud.groups import GroupSpec
from devcluster.cloud.model import Instance, State

__all__ = [
    "BridgeOptions",
    "Call",
    "CallLog",
    "Cloud",
    "CloudOptions",
    "EventKind",
    "Failures",
    "FleetEvent",
    "GroupSpec",
    "Instance",
    "Rule",
    "State",
    "Timings",
    "parse_rule",
]
