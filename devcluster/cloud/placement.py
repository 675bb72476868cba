"""Which zone a new instance goes to, and which instances go first: the choices of Auto Scaling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from devcluster.cloud.activities import LaunchError, insufficient_capacity, vcpu_limit_exceeded
from devcluster.cloud.failures import Failures, NoCapacity, QuotaReached
from devcluster.cloud.model import Definition, Group, Instance, Subnet


@dataclass(frozen=True)
class Place:
    """Where one instance can be launched, and as what."""

    subnet: Subnet
    instance_type: str


@dataclass
class Attempt:
    """One round of launches of a group; it collects the refusals, one per zone and instance type."""

    group: Group
    failures: Failures
    refused: dict[Place, LaunchError] = field(default_factory=dict)

    def next_place(self) -> Place | None:
        """The place for one more instance, in the zone that has fewest; None when no zone has capacity.

        Takes the instance off the allowance of the failure rules that cover it.
        """
        for subnet in _emptiest_first(self.group):
            for instance_type in self.group.definition.instance_types:
                place = Place(subnet, instance_type)
                if place not in self.refused and self._granted(place):
                    return place
        return None

    def _granted(self, place: Place) -> bool:
        scope = {
            "group": self.group.name,
            "zone": place.subnet.zone,
            "instance_type": place.instance_type,
        }
        shortages = self.failures.covering(NoCapacity, **scope)
        quotas = self.failures.covering(QuotaReached, **scope)
        for quota in quotas:
            if quota.available <= 0:
                self.refused[place] = vcpu_limit_exceeded(limit=quota.vcpu_limit)
                return False
        if any(shortage.available <= 0 for shortage in shortages):
            self.refused[place] = insufficient_capacity(
                instance_type=place.instance_type,
                zone=place.subnet.zone,
                other_zones=_other_zones(self.group.definition, place.subnet.zone),
            )
            return False
        for shortage in shortages:
            shortage.available -= 1
        for quota in quotas:
            quota.available -= 1
        return True


def victims(group: Group, count: int) -> list[Instance]:
    """The instances that the default termination policy takes: from the fullest zone, oldest first.

    Instances protected from scale-in are spared, so there may be fewer than `count`.
    """
    live = group.live()
    per_zone = Counter(instance.zone for instance in live)
    candidates = [instance for instance in live if not instance.protected]
    chosen: list[Instance] = []
    while candidates and len(chosen) < count:
        # `min` takes the first, and instances are kept in order of launch.
        victim = min(candidates, key=lambda instance: -per_zone[instance.zone])
        per_zone[victim.zone] -= 1
        candidates.remove(victim)
        chosen.append(victim)
    return chosen


def _emptiest_first(group: Group) -> list[Subnet]:
    per_zone = Counter(instance.zone for instance in group.live())
    return sorted(_one_per_zone(group.definition.subnets), key=lambda subnet: per_zone[subnet.zone])


def _one_per_zone(subnets: Iterable[Subnet]) -> Iterable[Subnet]:
    first: dict[str, Subnet] = {}
    for subnet in subnets:
        first.setdefault(subnet.zone, subnet)
    return first.values()


def _other_zones(definition: Definition, zone: str) -> tuple[str, ...]:
    return tuple(sorted({subnet.zone for subnet in definition.subnets} - {zone}))
