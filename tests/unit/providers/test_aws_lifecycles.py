"""How far an instance is, by what its group and EC2 say of it."""

from __future__ import annotations

import pytest

from springtide.cluster.groups import Instance, InstanceState
from springtide.providers.aws.mutations import lifecycle_of
from springtide.providers.base import Lifecycle


@pytest.mark.parametrize(
    ("in_group", "machine", "lifecycle"),
    [
        pytest.param(InstanceState.RUNNING, "running", Lifecycle.ALIVE, id="in service"),
        pytest.param(InstanceState.PENDING, None, Lifecycle.ALIVE, id="so new that EC2 does not show it"),
        pytest.param(InstanceState.RUNNING, "stopped", Lifecycle.ALIVE, id="stopped, but there"),
        pytest.param(None, "running", Lifecycle.ALIVE, id="detached, it runs on"),
        pytest.param(InstanceState.DELETING, "running", Lifecycle.TERMINATING, id="held by a lifecycle hook"),
        pytest.param(InstanceState.RUNNING, "shutting-down", Lifecycle.TERMINATING, id="ended in EC2"),
        pytest.param(None, "shutting-down", Lifecycle.TERMINATING, id="on its way, out of the group"),
        pytest.param(InstanceState.DELETING, "terminated", Lifecycle.TERMINATED, id="off, still listed"),
        pytest.param(InstanceState.RUNNING, "terminated", Lifecycle.TERMINATED, id="off, not noticed yet"),
        pytest.param(None, "terminated", Lifecycle.TERMINATED, id="off"),
        pytest.param(None, None, Lifecycle.TERMINATED, id="so long off that EC2 has forgotten it"),
    ],
)
def test_what_the_group_and_the_machine_say_together(
    in_group: InstanceState | None, machine: str | None, lifecycle: Lifecycle
) -> None:
    member = Instance(id="i-1", provider_id="aws:///z/i-1", state=in_group) if in_group is not None else None
    assert lifecycle_of(member, machine=machine) is lifecycle
