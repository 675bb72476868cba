"""VolumeBinding: bound volumes reach the node; for claims still unbound there is a volume, or one can be made there.

Volumes that are chosen for a placed pod are promised to it (see Simulation.place): shapes that choose among existing
volumes are placed one pod at a time. Volumes that are made do not use up the capacity that drivers publish, for
kube-scheduler does not count them either.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.quantity import render_quantity
from springtide.cluster.shape import PodShape
from springtide.cluster.volumes.needs import Provisioning, UnboundClaim, VolumeNeeds, VolumePlugin
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.filters.node_affinity import affinity_text
from springtide.scheduling.filters.whole_pod import rejected_by
from springtide.scheduling.nodes.volumes import Matching, reachable
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    needs = shape.volumes
    if needs is None:
        return None
    if rejected_by(needs, VolumePlugin.VOLUME_BINDING, before_filters=False):
        return np.zeros(len(state.nodes), dtype=np.bool_)
    if not (needs.bound or needs.unbound):
        return None
    fits = np.ones(len(state.nodes), dtype=np.bool_)
    for terms in needs.bound:
        fits &= reachable(terms, state.nodes)
    for served in _served(needs, state):
        fits &= served
    return fits


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    """Nodes by the first claim that keeps the pod away."""
    needs = shape.volumes
    assert needs is not None
    if needs.rejection is not None:
        return {Misfit(Plugin.VOLUME_BINDING, subject=needs.rejection.subject): len(rejected)}
    misfits: dict[Misfit, int] = {}
    left = rejected
    for terms in needs.bound:
        left = _told(
            misfits, f"a volume that is only in {affinity_text(terms)}", reachable(terms, state.nodes), left
        )
    for claim, served in zip(needs.unbound, _served(needs, state), strict=True):
        left = _told(misfits, _unserved_text(claim), served, left)
    return misfits


def _told(misfits: dict[Misfit, int], subject: str, fits: BoolArray, left: IntArray) -> IntArray:
    """Note that these nodes do not fit because of this; the nodes left over."""
    passed = fits[left]
    if not passed.all():
        misfit = Misfit(Plugin.VOLUME_BINDING, subject=subject)
        misfits[misfit] = misfits.get(misfit, 0) + int(np.count_nonzero(~passed))
    return left[passed]


def _served(needs: VolumeNeeds, state: State) -> list[BoolArray]:
    """By unbound claim: the nodes on which it gets a volume."""
    if not needs.unbound:
        return []
    matching = Matching(needs, state.nodes, state.usage.volumes)
    return [
        _selected(claim, state) & (found | _made(claim.provisioning, state))
        for claim, found in zip(needs.unbound, matching.found, strict=True)
    ]


def _selected(claim: UnboundClaim, state: State) -> BoolArray:
    if claim.selected_node is None:
        return reachable(None, state.nodes)
    return state.nodes.named((claim.selected_node,))


def _made(provisioning: Provisioning | None, state: State) -> BoolArray:
    """Where a volume can be made."""
    if provisioning is None:
        return np.zeros(len(state.nodes), dtype=np.bool_)
    return reachable(provisioning.allowed, state.nodes) & reachable(provisioning.roomy, state.nodes)


def _unserved_text(claim: UnboundClaim) -> str:
    if claim.selected_node is not None:
        return f"a claim whose volume is being made for node {claim.selected_node}"
    if claim.provisioning is None:
        return f"storage class {claim.class_name} has no free volume there"
    reasons = []
    if claim.provisioning.allowed is not None:
        reasons.append(f"makes volumes only in {affinity_text(claim.provisioning.allowed)}")
    if claim.provisioning.roomy is not None:
        size = render_quantity("memory", claim.provisioning.size_bytes)
        reasons.append(f"has no capacity of {size} there")
    return f"storage class {claim.class_name} {' or '.join(reasons)}"


FILTER = Filter(plugin=Plugin.VOLUME_BINDING, mask=mask, explain=explain)
