"""What the volume plugins say before any node is looked at: a pod whose claims are not in order fits nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.cluster.volumes.needs import VolumeNeeds, VolumePlugin
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.filters.node_affinity import names_of_every_term
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def rejected_by(needs: VolumeNeeds, plugin: VolumePlugin, *, before_filters: bool) -> bool:
    """Whether this plugin is the one that rejects the pod as a whole, in this phase."""
    rejection = needs.rejection
    return rejection is not None and rejection.plugin is plugin and rejection.before_filters is before_filters


def mask(shape: PodShape, state: State, *, plugin: VolumePlugin) -> BoolArray | None:
    if shape.volumes is None or not rejected_by(shape.volumes, plugin, before_filters=True):
        return None
    if names_of_every_term(shape) == frozenset():
        return None  # NodeAffinity comes before, and has ruled out every node already
    return np.zeros(len(state.nodes), dtype=np.bool_)


def explain(shape: PodShape, _state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    assert shape.volumes is not None
    assert shape.volumes.rejection is not None
    rejection = shape.volumes.rejection
    return {Misfit(Plugin(rejection.plugin.value), subject=rejection.subject): len(rejected)}


PREFILTERS = tuple(
    Filter(plugin=Plugin(plugin.value), mask=partial(mask, plugin=plugin), explain=explain)
    for plugin in (VolumePlugin.VOLUME_RESTRICTIONS, VolumePlugin.VOLUME_BINDING, VolumePlugin.VOLUME_ZONE)
)
