"""Free ports: distinct, free, and not where outgoing connections come from."""

from __future__ import annotations

import socket

from devcluster.ports import FIRST_PORT, LAST_PORT, LOOPBACK, free_ports


def test_ports_are_distinct_and_in_range() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(FIRST_PORT <= port < LAST_PORT for port in ports)


def test_every_port_can_be_listened_on() -> None:
    for port in free_ports(5):
        with socket.create_server((LOOPBACK, port)):
            pass
