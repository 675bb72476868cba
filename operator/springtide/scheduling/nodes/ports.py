"""Which host ports are taken on which nodes: sparse, because few pods ask for host ports."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import HostPort
from springtide.scheduling.arrays import BoolArray, IntArray

WILDCARD_IPS = ("0.0.0.0", "")
"""What kube-scheduler takes for "all addresses". The IPv6 "::" is an address like any other to it."""

_Port = tuple[str, int]
_Takers = Mapping[str, IntArray]
"""host IP -> indices of the nodes where it is taken, once for every pod that takes it."""


def ports_conflict(one: HostPort, other: HostPort) -> bool:
    """Whether two pods with these ports cannot share a node."""
    if (one.protocol, one.port) != (other.protocol, other.port):
        return False
    return _overlap(_address(one.host_ip), _address(other.host_ip))


def _address(host_ip: str) -> str:
    return WILDCARD_IPS[0] if host_ip in WILDCARD_IPS else host_ip


def _overlap(one: str, other: str) -> bool:
    return one == other or WILDCARD_IPS[0] in (one, other)


class PortUse:
    """Host ports in use. Its parts are replaced, never changed, so a copy is a copy of one small dictionary."""

    __slots__ = ("_taken",)

    def __init__(self, taken: Mapping[_Port, _Takers] | None = None) -> None:
        self._taken: dict[_Port, _Takers] = dict(taken or {})

    def copy(self) -> PortUse:
        return PortUse(self._taken)

    def take(self, ports: tuple[HostPort, ...], indices: IntArray) -> None:
        """One pod with these ports is now on each of the nodes (an index twice = two pods)."""
        for port in ports:
            takers = self._takers(port)
            ip = _address(port.host_ip)
            before = takers.get(ip)
            now = indices.copy() if before is None else np.concatenate((before, indices))
            self._taken[port.protocol, port.port] = {**takers, ip: now}

    def release(self, ports: tuple[HostPort, ...], index: int, count: int) -> None:
        """`count` pods with these ports have left the node."""
        for port in ports:
            takers = self._takers(port)
            ip = _address(port.host_ip)
            if ip in takers:
                gone = np.flatnonzero(takers[ip] == index)[:count]
                self._taken[port.protocol, port.port] = {**takers, ip: np.delete(takers[ip], gone)}

    def conflicts(self, port: HostPort, size: int) -> BoolArray:
        """On which of `size` nodes the port is taken."""
        taken = np.zeros(size, dtype=np.bool_)
        for ip, indices in self._takers(port).items():
            if _overlap(ip, _address(port.host_ip)):
                taken[indices] = True
        return taken

    def _takers(self, port: HostPort) -> _Takers:
        return self._taken.get((port.protocol, port.port), {})
