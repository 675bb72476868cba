"""Edits of Nodes in the background: who hears what, and that edits of one Node never meet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from springtide.actuation.edit_tasks import EditTasks
from springtide.actuation.node_edits import NodeEditor
from springtide.actuation.ports import Fence, NodeObject
from springtide.actuation.settings import ActuationSettings
from springtide.leadership.gate import MutationGate
from tests.unit.actuation.world import FakeNodes, Pauses

pytestmark = pytest.mark.looptime


def cordon(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if node["spec"].get("unschedulable"):
        return None
    guard = {"resourceVersion": node["metadata"]["resourceVersion"]}
    return {"metadata": guard, "spec": {"unschedulable": True}}


class Hearer:
    """Asks for cordons, and hears what becomes of them."""

    def __init__(self, *, leads: bool = True, at_a_time: int = 10) -> None:
        self.nodes = FakeNodes(Pauses())
        gate = MutationGate.always_open() if leads else MutationGate()
        editor = NodeEditor(self.nodes, fence=Fence(gate), settings=ActuationSettings())
        self.edits = EditTasks(editor, at_a_time=at_a_time)
        self.heard: list[str] = []

    def have(self, *names: str, cordoned: bool = False) -> None:
        for name in names:
            metadata = {"name": name, "resourceVersion": "0"}
            self.nodes.objects[name] = {
                "metadata": metadata,
                "spec": {"unschedulable": True} if cordoned else {},
            }

    async def cordon(self, *names: str) -> list[str]:
        for name in names:
            self.edits.start(name, cordon, what="cordon", done=self._done, failed=self.heard.append)
        await asyncio.sleep(30)
        return self.heard

    def _done(self, node: NodeObject) -> None:
        self.heard.append(f"{node['metadata']['name']} cordoned")


async def test_a_change_is_told_with_the_node_as_it_is_then() -> None:
    world = Hearer()
    world.have("a")
    assert await world.cordon("a") == ["a cordoned"]


async def test_a_change_whose_answer_was_lost_is_told_as_made() -> None:
    world = Hearer()
    world.have("a")
    world.nodes.lose("patch")
    assert await world.cordon("a") == ["a cordoned"]
    assert len(world.nodes.patches) == 1


async def test_a_failure_is_told_with_its_reason() -> None:
    world = Hearer()
    world.have("a")
    world.nodes.fail("patch", times=1000)
    (reason,) = await world.cordon("a")
    assert "etcd is unwell" in reason


@pytest.mark.parametrize(
    ("leads", "there", "cordoned"),
    [
        pytest.param(True, True, True, id="it is as wanted already"),
        pytest.param(True, False, False, id="the Node is gone"),
        pytest.param(False, True, False, id="somebody else leads, and plans it again"),
    ],
)
async def test_nothing_is_told_when(leads: bool, there: bool, cordoned: bool) -> None:
    world = Hearer(leads=leads)
    if there:
        world.have("a", cordoned=cordoned)
    assert await world.cordon("a") == []
    assert world.nodes.patches == []


async def test_one_node_is_edited_once_at_a_time() -> None:
    world = Hearer()
    world.have("a")
    assert await world.cordon("a", "a", "a") == ["a cordoned"]
    assert world.nodes.calls == ["read", "patch"]


async def test_no_more_edits_than_allowed_are_on_their_way() -> None:
    world = Hearer(at_a_time=1)
    world.have("a", "b", "c")
    await world.cordon("a", "b", "c")
    assert world.nodes.calls == ["read", "patch"] * 3


async def test_an_undoing_says_whether_there_was_anything_to_undo() -> None:
    world = Hearer()
    world.have("a")
    told = [await world.edits.undo(name, cordon) for name in ("a", "a", "absent")]
    assert told == [True, False, False]
