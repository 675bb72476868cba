"""NodePorts: a host port is free on a node, or it is not; so of a shape with host ports a node takes one pod."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import HostPort, PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.nodes.ports import WILDCARD_IPS
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    if not shape.host_ports:
        return None
    taken = np.zeros(len(state.nodes), dtype=np.bool_)
    for port in shape.host_ports:
        taken |= state.usage.ports.conflicts(port, len(taken))
    return ~taken


def limit(shape: PodShape, state: State) -> IntArray | None:
    available = mask(shape, state)
    return None if available is None else available.astype(np.int64)


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    misfits: dict[Misfit, int] = {}
    left = rejected
    for port in shape.host_ports:
        taken = state.usage.ports.conflicts(port, len(state.nodes))[left]
        if taken.any():
            misfits[Misfit(plugin=Plugin.NODE_PORTS, subject=port_text(port))] = int(np.count_nonzero(taken))
        left = left[~taken]
    return misfits


def port_text(port: HostPort) -> str:
    """80/TCP, or 10.0.0.1:80/TCP when bound to one address."""
    if port.host_ip in WILDCARD_IPS:
        return f"{port.port}/{port.protocol}"
    address = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{address}:{port.port}/{port.protocol}"


FILTER = Filter(plugin=Plugin.NODE_PORTS, mask=mask, explain=explain, limit=limit)
