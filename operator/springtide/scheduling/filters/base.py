"""The shape of a filter: a mask over nodes, and the reasons behind its noes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin

UNLIMITED = np.int64(2**62)
"""Stands for "any number of pods" in a limit."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One of kube-scheduler's filter plugins."""

    plugin: Plugin
    mask: Callable[[PodShape, State], BoolArray | None]
    """Which nodes would take one more pod of the shape; None = all would. Not to be written to by the caller."""
    explain: Callable[[PodShape, State, IntArray], Mapping[Misfit, int]]
    """Why the nodes with these indices, all of them rejected by `mask`, were: misfit -> number of nodes."""
    limit: Callable[[PodShape, State], IntArray | None] | None = None
    """How many more pods of the shape each node would take, 0 where `mask` says no; None = no limit. A filter
    without this function has no limit where its mask says yes."""
    objections: Callable[[PodShape, State, int], tuple[Misfit, ...]] | None = None
    """Everything that the filter has against one node, each thing a change of its own for users: two resources
    that are short, three taints. A filter without this function has one objection at most, what `explain` says."""
