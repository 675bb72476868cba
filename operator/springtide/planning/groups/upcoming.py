"""Upcoming nodes: asked for, not yet usable; pods are promised to them so that nothing is bought twice.

Only capacity that is really on its way counts. An instance that runs without a Node may as well be one whose Node
somebody deleted: it counts only while a purchase of ours explains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from springtide.cluster.groups import Instance, InstanceState
from springtide.cluster.snapshot import OutstandingPurchase
from springtide.planning.groups.backoff import in_force
from springtide.planning.groups.readiness import GroupState, NodeState


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What a group still waits for."""

    imagined: int
    """Nodes that do not exist yet but will: planned for as copies of the template."""
    starting: int
    """Nodes that exist but are not started."""
    outstanding: OutstandingPurchase | None
    """The purchase to remember; None: there is none, or it is fulfilled."""
    overdue: bool = False
    """maxNodeProvisionTime has passed since the purchase, and it is not fulfilled."""
    fulfilled: bool = False
    """Every node of the remembered purchase has come."""
    missing: int = 0
    """Nodes that `outstanding` still waits for."""

    @property
    def total(self) -> int:
        return self.imagined + self.starting


def target_of(state: GroupState) -> int:
    """The group's target; a read older than our last acknowledged purchase does not know of it yet. What the cloud is
    being asked for counts as if it had been granted, or it were bought twice."""
    purchase, group = state.memory.purchase, state.group
    if state.memory.request is not None:
        return max(group.target, state.memory.request.purchase.to_target)
    if purchase is not None and group.read_at is not None and group.read_at < purchase.since:
        return max(group.target, purchase.to_target)
    return group.target


def unfulfilled(state: GroupState) -> int:
    """Nodes asked for that no instance stands for yet."""
    alive = sum(instance.state is not InstanceState.DELETING for instance in state.group.instances)
    return max(0, target_of(state) - alive)


def upcoming(state: GroupState, *, now: datetime) -> Upcoming:
    """What the group still waits for at `now`."""
    starting = len(state.in_state(NodeState.NOT_STARTED))
    request = state.memory.request
    purchase = request.purchase if request is not None else state.memory.purchase or _adopted(state, now=now)
    if purchase is None:
        return Upcoming(imagined=0, starting=starting, outstanding=None)
    lacking = missing(state, purchase)
    to_register = _to_register(state)
    waiting = min(lacking, unfulfilled(state) + len(to_register))
    if waiting + starting == 0:
        # What is lacking without being waited for was cancelled, or terminated as unregistered.
        return Upcoming(imagined=0, starting=0, outstanding=None, fulfilled=lacking == 0)
    if purchase.since + state.pool.settings.scale_up.max_node_provision_time <= now:
        # What was not ours is not waited for any longer: a purchase made on top of it stands by itself.
        still = waiting if purchase.plan_id else 0
        return Upcoming(
            imagined=0, starting=starting, outstanding=purchase, overdue=waiting > 0, missing=still
        )
    imagined = waiting
    if in_force(state.memory.backoff, now=now):
        # The cloud has just said that it cannot deliver: believe only in what is being built.
        imagined = min(waiting, len(to_register))
    return Upcoming(imagined=imagined, starting=starting, outstanding=purchase, missing=waiting)


def _to_register(state: GroupState) -> Sequence[Instance]:
    """Instances that may be Nodes soon."""
    return [instance for instance in state.unregistered if not instance.lost_node]


def missing(state: GroupState, purchase: OutstandingPurchase) -> int:
    """Nodes of the purchase that are not registered yet.

    Judged by how many Nodes the group has more than when it was made (not by the Nodes' ages: clocks differ, and a
    Node that came just before must not pass for one of these). So an instance that lost its Node long ago is not
    taken for one that is still to come. Never more than the target lacks, for a purchase made on top of another.
    """
    arrived = max(0, state.registered - purchase.registered)
    awaited = purchase.to_target - purchase.from_target - arrived
    return max(0, min(awaited, purchase.to_target - state.staying))


def remembered(
    *,
    since: datetime,
    before: int,
    to: int,
    plan_id: str,
    missing_before: int,
    registered: int,
    earlier: OutstandingPurchase | None = None,
    wanted_for: tuple[str, ...] = (),
) -> OutstandingPurchase:
    """What is outstanding once the cloud has raised the target from `before` to `to`.

    What an `earlier` purchase still waits for goes on being waited for: `missing_before` (GroupPlan.missing) moves
    the new one's starting point down by so much. If that was not ours, nobody can tell any more which instance is: none of
    them will be terminated as unregistered. `registered`: Nodes the group has now (GroupPlan.counts).
    """
    mixed = missing_before > 0 and earlier is not None and not earlier.plan_id
    return OutstandingPurchase(
        since=since,
        from_target=before - missing_before,
        to_target=to,
        plan_id="" if mixed else plan_id,
        registered=registered,
        wanted_for=wanted_for,
    )


def _adopted(state: GroupState, *, now: datetime) -> OutstandingPurchase | None:
    """Growth that nobody remembers (status was lost, a human raised the target): waited for from now on.

    Its plan id is empty, so that none of its instances is ever terminated as unregistered: they are not ours.
    """
    building = sum(instance.state is InstanceState.PENDING for instance in _to_register(state))
    coming = unfulfilled(state) + building
    if coming == 0:
        return None
    target = target_of(state)
    return OutstandingPurchase(
        since=now, from_target=target - coming, to_target=target, plan_id="", registered=state.registered
    )
