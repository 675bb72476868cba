"""Guarded edits of a Node: conflicts, lost answers, patience."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from springtide.actuation.node_edits import NodeEditor, NodeGone
from springtide.actuation.ports import Fence
from springtide.actuation.settings import ActuationSettings
from springtide.cluster.api_errors import ApiError, ApiUnreachable
from springtide.leadership.gate import MutationGate
from tests.unit.actuation.world import FakeNodes, Pauses

pytestmark = pytest.mark.looptime


def cordon(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if node["spec"].get("unschedulable"):
        return None
    guard = {"resourceVersion": node["metadata"]["resourceVersion"]}
    return {"metadata": guard, "spec": {"unschedulable": True}}


@pytest.fixture
def nodes() -> FakeNodes:
    fake = FakeNodes(Pauses())
    fake.objects["n"] = {"metadata": {"name": "n", "resourceVersion": "0"}, "spec": {}}
    return fake


@pytest.fixture
def editor(nodes: FakeNodes) -> NodeEditor:
    return NodeEditor(nodes, fence=Fence(MutationGate.always_open()), settings=ActuationSettings())


async def test_a_conflict_is_resolved_by_a_fresh_read(nodes: FakeNodes, editor: NodeEditor) -> None:
    nodes.before["patch"] = lambda: nodes.touch("n")
    node = await editor.apply("n", cordon)
    assert node["spec"]["unschedulable"] is True
    assert "touched" in node["metadata"]["labels"]
    assert nodes.calls == ["read", "patch", "read", "patch"]


async def test_a_lost_answer_is_found_out_by_reading(nodes: FakeNodes, editor: NodeEditor) -> None:
    nodes.lose("patch")
    await editor.apply("n", cordon)
    assert len(nodes.patches) == 1
    assert nodes.calls == ["read", "patch", "read"]


@pytest.mark.parametrize(
    ("way", "seconds"),
    [pytest.param("apply", 5, id="5 s for a change"), pytest.param("undo", 60, id="60 s for its undoing")],
)
async def test_it_is_given_up_after(way: str, seconds: float, nodes: FakeNodes, editor: NodeEditor) -> None:
    nodes.fail("patch", ApiUnreachable("connection refused"), times=1000)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(ApiUnreachable):
        await getattr(editor, way)("n", cordon)
    assert seconds - 1 < asyncio.get_running_loop().time() - begun <= seconds + 1


async def test_what_never_passes_is_raised_at_once(nodes: FakeNodes, editor: NodeEditor) -> None:
    nodes.fail("patch", ApiError(status=403, reason="Forbidden", message="no"))
    with pytest.raises(ApiError, match="no"):
        await editor.apply("n", cordon)
    assert nodes.calls == ["read", "patch"]


async def test_a_node_that_is_gone_is_told_so(nodes: FakeNodes, editor: NodeEditor) -> None:
    nodes.before["patch"] = nodes.objects.clear
    with pytest.raises(NodeGone):
        await editor.apply("n", cordon)
