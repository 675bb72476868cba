"""EC2 calls about the fleet's instances; everything else of EC2 is moto's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from xml.etree import ElementTree

from devcluster.cloud.backend import Answer, Backend
from devcluster.cloud.fleet import Fleet
from devcluster.cloud.model import Instance
from devcluster.cloud.protocol import EC2_NAMESPACE, Request, Value, ec2_answer, local_name, render
from devcluster.cloud.views import ec2_state, ec2_state_name, ec2_tags, reservation


class Ec2:
    """DescribeInstances and TerminateInstances, for instances of Auto Scaling groups."""

    def __init__(self, *, fleet: Fleet, backend: Backend) -> None:
        self._fleet = fleet
        self._backend = backend
        self.handlers = {
            "DescribeInstances": self.describe_instances,
            "TerminateInstances": self.terminate_instances,
        }

    async def describe_instances(self, request: Request) -> Answer:
        """The fleet's instances by id, or those that match the filters together with moto's own."""
        ids = request.member_list("InstanceId")
        ours = [known for known in map(self._find, ids) if known is not None]
        filters = request.filters()
        if ids and len(ours) == len(ids):
            found = [instance for instance in ours if _matches(instance, filters)]
            result: dict[str, Value] = {"reservationSet": [reservation(instance) for instance in found]}
            return Answer(200, ec2_answer(request.action, result))
        answer = await self._backend.call("ec2", request.action, request.params)
        if answer.status >= 400 or ids:
            return answer
        return _with_reservations(answer, [i for i in self._all() if _matches(i, filters)])

    async def terminate_instances(self, request: Request) -> Answer:
        """Terminate behind the group's back; it notices and replaces them, as desired is as before."""
        ids = request.member_list("InstanceId")
        ours = [known for known in map(self._fleet.instance, ids) if known is not None]
        if len(ours) < len(ids):
            return await self._backend.call("ec2", request.action, request.params)
        changes: list[Value] = []
        for instance in ours:
            before = ec2_state(instance)
            self._fleet.lose(instance.instance_id)
            changes.append(
                {
                    "instanceId": instance.instance_id,
                    "currentState": ec2_state(instance),
                    "previousState": before,
                }
            )
        return Answer(200, ec2_answer(request.action, {"instancesSet": changes}))

    def _find(self, instance_id: str) -> Instance | None:
        return self._fleet.instance(instance_id) or self._fleet.departed.get(instance_id)

    def _all(self) -> Iterable[Instance]:
        for group in self._fleet.groups.values():
            yield from group.instances.values()
        yield from self._fleet.departed.values()


def _with_reservations(answer: Answer, instances: Sequence[Instance]) -> Answer:
    ElementTree.register_namespace("", EC2_NAMESPACE)
    root = ElementTree.fromstring(answer.body)
    reservations: list[Value] = [reservation(instance) for instance in instances]
    listed = ElementTree.fromstring(f'<set xmlns="{EC2_NAMESPACE}">{render(reservations, item="item")}</set>')
    for child in root:
        if local_name(child) == "reservationSet":
            child.extend(listed)
    return Answer(answer.status, ElementTree.tostring(root), answer.content_type)


def _matches(instance: Instance, filters: dict[str, list[str]]) -> bool:
    """Whether an instance passes all filters; one that is not known here lets nothing pass."""
    tags = ec2_tags(instance)
    facts: dict[str, list[str]] = {
        "instance-id": [instance.instance_id],
        "instance-state-name": [ec2_state_name(instance)],
        "instance-type": [instance.instance_type],
        "availability-zone": [instance.zone],
        "private-dns-name": [instance.private_dns_name],
        "subnet-id": [instance.subnet_id],
        "tag-key": list(tags),
        **{f"tag:{key}": [value] for key, value in tags.items()},
    }
    return all(
        any(fnmatchcase(fact, value) for fact in facts.get(name, []) for value in values)
        for name, values in filters.items()
    )
