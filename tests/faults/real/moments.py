"""The moments in an operator's work at which it can be caught, as predicates on what it sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devcluster.api_proxy import ApiRequest
from devcluster.cloud.protocol import Request
from devcluster.traps import Moment, Trap
from tests.e2e.world import OWN
from tests.faults.real.seat import Seat
from tests.faults.real.witness import REMOVAL, UNNEEDED_SINCE, Witness

Matches = Callable[[ApiRequest, Witness], bool]


@dataclass(frozen=True, kw_only=True)
class ApiPoint:
    """Just before or just after a request to the API server."""

    matches: Matches
    moment: Moment

    def set(self, seat: Seat, witness: Witness) -> Trap[ApiRequest]:
        """Lie in wait for whoever sits here."""
        return seat.proxy.traps.set(lambda request: self.matches(request, witness), moment=self.moment)


@dataclass(frozen=True, kw_only=True)
class CloudPoint:
    """Just before or just after a call to AWS."""

    action: str
    moment: Moment

    def set(self, seat: Seat, witness: Witness) -> Trap[Request]:
        """Lie in wait for whoever sits here; the witness has nothing to add."""
        del witness
        key = seat.access_key
        return seat.world.cloud.traps.set(
            lambda call: call.action == self.action and call.access_key == key, moment=self.moment
        )


Point = ApiPoint | CloudPoint


def purchase_noted(request: ApiRequest, _: Witness) -> bool:
    """The status of a NodePool says what is about to be bought."""
    return _is_status_write(request) and b'"purchase":{' in request.body


def soft_taint(request: ApiRequest, _: Witness) -> bool:
    """A node is said to be unneeded."""
    return bool(_node_annotations(request).get(UNNEEDED_SINCE))


def hard_taint(request: ApiRequest, _: Witness) -> bool:
    """A removal begins: taint, cordon and annotation in one patch."""
    return _removal(request).get("phase") == "Tainted" and "taints" in request.content.get("spec", {})


def draining(request: ApiRequest, _: Witness) -> bool:
    """From now on pods may have been evicted."""
    return _removal(request).get("phase") == "Draining"


def terminating(request: ApiRequest, _: Witness) -> bool:
    """From now on the cloud may have been asked."""
    return _removal(request).get("phase") == "Terminating"


def rollback(request: ApiRequest, _: Witness) -> bool:
    """All marks are taken off."""
    annotations = _node_annotations(request)
    return REMOVAL in annotations and annotations[REMOVAL] is None


def eviction(request: ApiRequest, _: Witness) -> bool:
    """A pod is asked to go."""
    return request.method == "POST" and request.path.endswith("/eviction")


def last_eviction(request: ApiRequest, witness: Witness) -> bool:
    """The last pod of its node is asked to go."""
    if not eviction(request, witness):
        return False
    name = request.path.split("/")[-2]
    pod = witness.pods.get(name)
    if pod is None:
        return False
    return all(other["metadata"]["name"] == name for other in witness.on(pod["spec"]["nodeName"]))


def finalizer_taken_off(request: ApiRequest, _: Witness) -> bool:
    """A NodePool that is being deleted may go."""
    return (
        request.method == "PATCH"
        and request.path.startswith(f"{OWN}/nodepools/")
        and b"finalizers" in request.body
    )


def _is_status_write(request: ApiRequest) -> bool:
    return (
        request.method == "PATCH"
        and request.path.startswith(f"{OWN}/nodepools/")
        and request.path.endswith("/status")
    )


def _node_annotations(request: ApiRequest) -> Mapping[str, Any]:
    """What a patch of a Node says of its annotations."""
    if request.method != "PATCH" or not request.path.startswith("/api/v1/nodes/"):
        return {}
    found: Mapping[str, Any] = request.content.get("metadata", {}).get("annotations") or {}
    return found


def _removal(request: ApiRequest) -> Mapping[str, Any]:
    """The removal's record that a patch of a Node writes."""
    text = _node_annotations(request).get(REMOVAL)
    return json.loads(text) if text else {}
