"""The command line of ``python -m devcluster``, read into the options of the control plane and the cloud."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from devcluster.cloud import CloudOptions, GroupSpec, Rule, Timings, parse_rule
from devcluster.components import ControlPlaneOptions

T = TypeVar("T")

DEFAULT_POOL = "name=general,type=m5.xlarge,zones=us-east-1a:us-east-1b:us-east-1c,min=0,max=10"

EPILOG = """\
a pool is an Auto Scaling group:
  --pool name=general,type=m5.xlarge,zones=us-east-1a:us-east-1b,min=0,max=10
  --pool name=gpu,type=g4dn.xlarge,max=4,label.accelerator=t4,taint.nvidia.com/gpu=true:NoSchedule
  further keys: desired=N, override=TYPE:TYPE, tag.KEY=VALUE, resource.NAME=QUANTITY

failure modes (may be repeated, from the start on):
  --no-capacity us-east-1b             EC2 has no more instances in this zone
  --never-registers general            instances of this group start, but never become nodes
  --fail vanishes:group=gpu,seconds=60 any other, with its fields: quota-reached, slow-boot, throttled,
                                       denied, invalid-credentials, server-error, answer-lost, latency
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asked for; ``cloud`` is None with ``--no-cloud``."""

    control_plane: ControlPlaneOptions
    cloud: CloudOptions | None


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line; like argparse, explains what is wrong with it and exits with code 2."""
    values = _parser().parse_args(arguments)
    control_plane = ControlPlaneOptions(logs=values.logs, node_lease_seconds=values.node_lease_seconds)
    if values.no_cloud:
        return Options(control_plane=control_plane, cloud=None)
    cloud = CloudOptions(
        timings=Timings(boot_s=values.boot_delay),
        failures=(*values.no_capacity, *values.never_registers, *values.fail),
        groups=tuple(values.pool or [read_pool(DEFAULT_POOL)]),
        logs=values.logs,
    )
    return Options(control_plane=control_plane, cloud=cloud)


def read_pool(text: str) -> GroupSpec:
    """Read ``name=…,type=…,zones=a:b,min=0,max=10,label.KEY=VALUE,…``; raises ValueError."""
    plain: dict[str, str] = {}
    mappings: dict[str, dict[str, str]] = {"tag": {}, "label": {}, "taint": {}, "resource": {}}
    for pair in text.split(","):
        key, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"{pair!r} is not KEY=VALUE")
        kind, dot, name = key.partition(".")
        if dot and kind in mappings:
            mappings[kind][name] = value
        elif key in POOL_KEYS:
            plain[key] = value
        else:
            raise ValueError(f"unknown key {key!r}; known are {', '.join([*POOL_KEYS, *mappings])}")
    if "name" not in plain:
        raise ValueError("a pool needs a name")
    default = GroupSpec(name=plain["name"])
    return GroupSpec(
        name=plain["name"],
        instance_type=plain.get("type", default.instance_type),
        zones=tuple(plain["zones"].split(":")) if "zones" in plain else default.zones,
        min_size=_whole(plain, "min", default.min_size),
        max_size=_whole(plain, "max", default.max_size),
        desired=_whole(plain, "desired", 0) if "desired" in plain else None,
        override_types=tuple(plain["override"].split(":")) if "override" in plain else (),
        tags=mappings["tag"],
        labels=mappings["label"],
        taints=mappings["taint"],
        resources=mappings["resource"],
    )


POOL_KEYS = ("name", "type", "zones", "min", "max", "desired", "override")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_seconds(text: str) -> float:
    """Read a Go duration such as ``1m30s`` or ``500ms`` into seconds; raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 5s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _whole(values: dict[str, str], key: str, default: int) -> int:
    text = values.get(key, str(default))
    if not text.isdecimal():
        raise ValueError(f"{key} must be a whole number, not {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devcluster",
        description="A real Kubernetes control plane and an AWS for it on this machine, until Ctrl-C.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--pool", metavar="KEY=VALUE,…", action="append", type=_explained(read_pool), help="see below")
    add(
        "--boot-delay",
        metavar="DURATION",
        type=_explained(read_seconds),
        default=Timings().boot_s,
        help="from the launch of an instance until it is in service, such as 30s",
    )
    add("--no-capacity", metavar="ZONE", action="append", type=_no_capacity, default=[], help="see below")
    add(
        "--never-registers",
        metavar="GROUP",
        action="append",
        type=_never_registers,
        default=[],
        help="see below",
    )
    add("--fail", metavar="RULE", action="append", type=_explained(parse_rule), default=[], help="see below")
    add("--no-cloud", action="store_true", help="only the control plane and kwok")
    add(
        "--node-lease-seconds",
        metavar="N",
        type=int,
        default=ControlPlaneOptions().node_lease_seconds,
        help="how long a node may be silent; raise it for thousands of nodes",
    )
    add("--logs", metavar="FOLDER", type=Path, help="a new temporary folder unless given")
    return parser


def _no_capacity(zone: str) -> Rule:
    return parse_rule(f"no-capacity:zone={zone}")


def _never_registers(group: str) -> Rule:
    return parse_rule(f"never-registers:group={group}")


def _explained(read: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show our message: of a ValueError it shows only that the value was invalid."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert
