"""The live view, drawn to text."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from rich.console import Console

from springtide.cli.demo.live import LiveTeller, on_screen
from springtide.cli.demo.picture import HARD_TAINT, SOFT_TAINT, Picture
from springtide.cli.demo.plain import PlainTeller
from springtide.cli.demo.scene import NodeState, scene_of
from springtide.cli.demo.story import Chapter
from springtide.cli.demo.view import SceneView, bar
from tests.hostile import hostile_text
from tests.unit.cli.demo_objects import event, node, node_pool, picture, pod

CHAPTER = Chapter(1, "The burst", "120 pods arrive")


def drawn(seen: Picture, *, width: int = 120, height: int = 50, result: str = "") -> str:
    scene = scene_of(seen, chapter=CHAPTER, result=result, kubectl="kubectl get nodepools")
    output = io.StringIO()
    Console(file=output, width=width, height=height, color_system=None, legacy_windows=False).print(
        SceneView(scene)
    )
    return output.getvalue()


def busy() -> Picture:
    seen, clock = picture()
    seen.pool("ADDED", node_pool("general", ready=2, target=3))
    seen.node("ADDED", node("ip-10-0-1-7.ec2.internal", zone="us-east-1b"))
    seen.node("ADDED", node("ip-10-0-1-8.ec2.internal", taints=(SOFT_TAINT,)))
    seen.pod("ADDED", pod("a", cpu="2", memory="8Gi", node="ip-10-0-1-7.ec2.internal", phase="Running"))
    seen.pod("ADDED", pod("old"))
    seen.event("ADDED", event("scale-up: general/demo-general-a 0->3 (max 30) for 31 pods"))
    clock.now = 63.0
    seen.pod("ADDED", pod("young"))
    return seen


def test_it_tells_the_chapter_and_the_time() -> None:
    text = drawn(busy(), result="all 120 pods run")
    assert "1:03" in text
    assert "1/4 The burst: 120 pods arrive" in text
    assert "all 120 pods run" in text


def test_it_shows_pools_nodes_pods_decisions_and_money() -> None:
    text = drawn(busy())
    assert re.search(r"general\s+2\s+3\s+0\s+90\s+InProgress\s+NoCandidates\s+0\s+9\.22", text)
    assert re.search(r"general b 10\.0\.1\.7\s+c████░░░░ m████████", text)
    assert "pods: 1 run, 2 wait (1 under 2 s, 1 over 15 s)" in text
    assert "scale-up: general/demo-general-a 0->3 (max 30) for 31 pods" in text
    assert "$9.22 an hour, $0.16 so far" in text
    assert "2 nodes, 1 on their way" in text
    assert "kubectl get nodepools" in text


def test_before_anything_is_there_it_says_so() -> None:
    seen, _ = picture()
    text = drawn(seen)
    assert "no node yet" in text
    assert "nothing yet" in text


def test_nodes_without_room_on_the_screen_are_counted() -> None:
    seen, _ = picture()
    for number in range(100):
        seen.node("ADDED", node(f"ip-10-0-1-{number}.ec2.internal"))
    text = drawn(seen, width=120, height=40)
    shown = len(re.findall(r"general a ", text))
    assert f"100 nodes ({100 - shown} not shown)" in text
    assert 0 < shown < 100
    assert len(text.splitlines()) <= 40


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"ready": False}, NodeState.STARTING),
        ({}, NodeState.READY),
        ({"taints": (SOFT_TAINT,)}, NodeState.CANDIDATE),
        ({"taints": (SOFT_TAINT, HARD_TAINT), "ready": False}, NodeState.REMOVING),
    ],
)
def test_a_node_is_shown_by_what_it_is_about_to_do(fields: dict[str, object], state: NodeState) -> None:
    seen, _ = picture()
    seen.node("ADDED", node("n1", **fields))  # type: ignore[arg-type]
    assert scene_of(seen, chapter=None, result="", kubectl="").nodes[0].state is state


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "░░░░"), (0.5, "██░░"), (0.53, "██▏░"), (1.0, "████"), (1.7, "████"), (-1.0, "░░░░")],
)
def test_a_bar_keeps_its_width(share: float, text: str) -> None:
    assert bar(share, cells=4) == text


async def test_what_the_chapters_came_to_stays_on_the_terminal() -> None:
    seen, _ = picture()
    teller = LiveTeller(seen, kubectl="kubectl get nodepools")
    output = io.StringIO()
    async with on_screen(teller, Console(file=output, force_terminal=True, width=100, height=30)):
        teller.chapter(CHAPTER)
        teller.result("all 120 pods run on 22 nodes")
    assert output.getvalue().rstrip().endswith("The burst: all 120 pods run on 22 nodes")


def test_markup_in_a_message_is_text() -> None:
    seen, _ = picture()
    seen.event("ADDED", event("[red]a[/red] [link=http://x]b[/link] [/]"))
    assert "[red]a[/red] [link=http://x]b[/link] [/]" in drawn(seen)


@settings(deadline=None)
@given(hostile_text())
def test_no_message_drives_the_terminal(message: str) -> None:
    seen, _ = picture()
    told: list[str] = []
    PlainTeller(seen, told.append)
    seen.event("ADDED", event(message))
    assert all(line.isprintable() for line in drawn(seen).split("\n"))
    assert all(line.isprintable() for line in told)
    assert len(told) == 1
