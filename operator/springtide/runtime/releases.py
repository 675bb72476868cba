"""Which nodes carry our marks but are not ours to manage (any more): their removals are undone, their taints lifted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from springtide.actuation.taints import removal_of, unneeded_since
from springtide.api.conditions import Reason
from springtide.cluster.groups import NodeGroup, PoolListing
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import Snapshot


def is_marked(node: NodeRecord) -> bool:
    """Whether we wrote a taint or a removal on the node."""
    return removal_of(node) is not None or unneeded_since(node) is not None


def nodes_of_pool(
    pool: str, picture: ClusterPicture, listings: Mapping[str, PoolListing]
) -> tuple[NodeRecord, ...]:
    """Marked nodes of the pool."""
    groups = listings.get(pool, PoolListing(pool=pool)).groups
    return _marked_nodes_of(pool, picture, groups)


def strays(snapshot: Snapshot) -> tuple[NodeRecord, ...]:
    """Marked nodes that belong to no pool's group: the group was taken off its pool, or the pool is gone.

    Only judged when every pool's groups are known: a cloud that does not answer makes no node a stray. A node whose
    instance is just being terminated has left its group's listing, too: a removal in that phase is left to finish.
    """
    if any(not view.groups for view in snapshot.pools):
        return ()
    ours = {i.provider_id for view in snapshot.pools for group in view.groups for i in group.instances}
    owned = {(view.name, group.id) for view in snapshot.pools for group in view.groups}
    return tuple(
        node
        for node in snapshot.picture.nodes
        if is_marked(node)
        and node.provider_id not in ours
        and ((removal := removal_of(node)) is None or (removal.pool, removal.group) not in owned)
    )


def lawless(snapshot: Snapshot) -> Iterator[tuple[str, tuple[NodeRecord, ...]]]:
    """Pools whose policy is not there (deleted, perhaps while nobody watched), with their marked nodes, if any."""
    for view in snapshot.pools:
        if any(problem.reason == Reason.POLICY_NOT_FOUND for problem in view.problems):
            nodes = _marked_nodes_of(view.name, snapshot.picture, view.groups)
            if nodes:
                yield view.name, nodes


def _marked_nodes_of(
    pool: str, picture: ClusterPicture, groups: Iterable[NodeGroup]
) -> tuple[NodeRecord, ...]:
    """By their groups' instances, or by what the removal on them says."""
    ours = {instance.provider_id for group in groups for instance in group.instances}
    return tuple(
        node
        for node in picture.nodes
        if is_marked(node)
        and (node.provider_id in ours or ((removal := removal_of(node)) is not None and removal.pool == pool))
    )
