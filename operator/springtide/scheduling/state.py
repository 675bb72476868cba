"""What a filter looks at: the nodes, and what is left of them."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.nodes.usage import Usage


@dataclass(frozen=True, slots=True)
class State:
    nodes: NodeTable
    usage: Usage
