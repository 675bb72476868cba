"""News of instances that clouds took away by themselves: each told once, with the Node it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from springtide.actuation.outcome import InstanceLost
from springtide.actuation.removal_record import RemovalPhase
from springtide.cluster.groups import Loss
from springtide.cluster.snapshot import PoolView, Snapshot

REMEMBERED: Final = timedelta(minutes=5)
"""Longer than a cloud may take to explain a loss."""


class LossNews:
    """Asked once a pass. Its memory is bounded by what the listings show."""

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()
        """Provider ids."""
        self._pools: frozenset[str] = frozenset()
        """Uids of pools that were looked at before: what happened earlier was told by who looked then."""
        self._nodes: dict[str, tuple[str, datetime]] = {}
        """Provider id -> Node, and when it was last seen: by the time a loss is explained, its Node may be gone."""

    def of(self, snapshot: Snapshot) -> list[InstanceLost]:
        """What this pass is the first to see."""
        self._remember_nodes(snapshot)
        listed = [view for view in snapshot.pools if view.groups]
        losses = [(view, group, loss) for view in listed for group, loss in _losses(view)]
        news = [
            self._outcome(view, group, loss)
            for view, group, loss in losses
            if loss.provider_id not in self._told and view.uid in self._pools
        ]
        self._told = frozenset(loss.provider_id for _, _, loss in losses)
        self._pools = frozenset(view.uid for view in listed)
        # A removal of an earlier process, whose listing knows nothing of that.
        going = {
            name for name, removal in snapshot.removals.items() if removal.phase == RemovalPhase.TERMINATING
        }
        return [each for each in news if each.node not in going]

    def _remember_nodes(self, snapshot: Snapshot) -> None:
        seen = {node.provider_id: (node.name, snapshot.now) for node in snapshot.picture.nodes}
        gone = {
            each: (name, at)
            for each, (name, at) in self._nodes.items()
            if each not in seen and snapshot.now - at <= REMEMBERED
        }
        self._nodes = seen | gone

    def _outcome(self, view: PoolView, group: str, loss: Loss) -> InstanceLost:
        node, _ = self._nodes.get(loss.provider_id, ("", None))
        return InstanceLost(
            at=loss.time,
            pool=view.name,
            group=group,
            instance=loss.instance,
            node=node,
            cause=loss.cause,
            message=loss.message,
        )


def _losses(view: PoolView) -> Iterator[tuple[str, Loss]]:
    for group in view.groups:
        for loss in group.losses:
            yield group.id, loss
