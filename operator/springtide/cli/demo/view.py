"""The live view: a scene drawn with rich. Drawing reads nothing but the scene."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from springtide.cli.demo.scene import AGES, NodeRow, NodeState, PoolRow, Scene
from springtide.cli.demo.story import CHAPTERS

BAR_CELLS: Final = 8
BLOCKS: Final = " ▏▎▍▌▋▊▉█"
"""Eighths of a cell."""

CELL_WIDTH: Final = 53
"""Columns of the terminal that one node needs."""

LINES_AROUND_NODES: Final = 23
"""Lines of the screen that are not nodes: title, pools, pods, decisions."""

MOST_LINES_OF_NODES: Final = 30

ZONE_LETTER: Final = -1

STYLES: Final = {
    NodeState.STARTING: "dim",
    NodeState.READY: "",
    NodeState.CANDIDATE: "yellow",
    NodeState.REMOVING: "red",
}

NAMES: Final = {"cpu": "cpu", "memory": "mem", "nvidia.com/gpu": "gpu"}


class SceneView:
    """A scene as something rich can draw, fitted to the size it is given."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or options.max_height
        lines = min(MOST_LINES_OF_NODES, max(3, height - LINES_AROUND_NODES))
        yield Group(
            title(self._scene),
            pools_table(self._scene.pools),
            nodes_panel(self._scene, columns=max(1, (options.max_width - 4) // CELL_WIDTH), lines=lines),
            pods_line(self._scene),
            decisions_panel(self._scene),
            Text(f"try it in another terminal: {self._scene.kubectl}", style="dim", overflow="fold"),
        )


def title(scene: Scene) -> RenderableType:
    """Which part of the story this is."""
    minutes, seconds = divmod(int(scene.elapsed), 60)
    text = Text.assemble(("Springtide", "bold cyan"), f"  {minutes}:{seconds:02}  ")
    if scene.chapter is not None:
        text.append(f"{scene.chapter.number}/{CHAPTERS} {scene.chapter.title}", style="bold")
        text.append(f": {scene.chapter.text}")
    said = Text(f"✔ {scene.result}" if scene.result else "…", style="green" if scene.result else "dim")
    return Panel(Group(text, said), border_style="cyan")


def pools_table(pools: tuple[PoolRow, ...]) -> RenderableType:
    """The NodePools."""
    table = Table(expand=True, title="NodePools", title_justify="left", title_style="bold", box=None)
    table.add_column("pool", no_wrap=True)
    for name in ("ready", "target", "min", "max"):
        table.add_column(name, justify="right")
    for name in ("scale-up", "scale-down"):
        table.add_column(name)
    table.add_column("unneeded", justify="right")
    table.add_column("$/hour", justify="right")
    for pool in pools:
        busy = pool.ready != pool.target
        table.add_row(
            Text(pool.name, style="" if pool.accepted else "red"),
            str(pool.ready),
            Text(str(pool.target), style="bold green" if busy else ""),
            str(pool.min),
            str(pool.max),
            _state_text(pool.scale_up),
            _state_text(pool.scale_down),
            str(pool.candidates),
            f"{pool.hourly_cost:,.2f}",
        )
    return table


def _state_text(state: str) -> Text:
    quiet = state in ("", "NoActivity", "NoCandidates")
    return Text(state or "-", style="dim" if quiet else "bold yellow")


def nodes_panel(scene: Scene, *, columns: int, lines: int) -> RenderableType:
    """The nodes with their fill, in as many columns as there is room for; what has no room is counted."""
    grid = Table.grid(padding=(0, 2))
    shown = scene.nodes[: columns * lines]
    rows = -(-len(shown) // columns)
    for row in range(rows):
        grid.add_row(*(node_cell(node) for node in shown[row::rows]))
    hidden = len(scene.nodes) - len(shown)
    coming = sum(pool.target for pool in scene.pools) - len(scene.nodes)
    legend = Text.assemble(
        ("starting ", "dim"), "ready ", ("unneeded ", "yellow"), ("being removed", "red"), style=""
    )
    return Panel(
        grid if scene.nodes else Text("no node yet", style="dim"),
        title=f"{len(scene.nodes)} nodes"
        + (f", {coming} on their way" if coming > 0 else "")
        + (f" ({hidden} not shown)" if hidden else ""),
        title_align="left",
        subtitle=legend,
        subtitle_align="right",
    )


def node_cell(node: NodeRow) -> Text:
    """One node: pool and zone, short name, a bar for each resource."""
    style = STYLES[node.state]
    short = node.name.partition(".")[0].removeprefix("ip-").replace("-", ".")
    cell = Text(no_wrap=True)
    cell.append(f"{node.pool[:7]:<7} {node.zone[ZONE_LETTER:] or '-'} {short[-10:]:<10} ", style=style)
    for resource, name in NAMES.items():
        if resource in node.fill:
            share = node.fill[resource]
            cell.append(name[0], style="dim")
            cell.append(bar(share), style=fill_style(share, node.state))
            cell.append(" ")
    return cell


def bar(share: float, cells: int = BAR_CELLS) -> str:
    """A bar of fixed width, to an eighth of a cell: 0 to 1, what is more counts as 1."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (BLOCKS[rest] if rest else "")
    return text + "░" * (cells - len(text))


def fill_style(share: float, state: NodeState) -> str:
    """Colour of a bar: that of the node's state when it is going, else by how full it is."""
    if state is not NodeState.READY:
        return STYLES[state]
    if share >= 0.8:
        return "green"
    return "cyan" if share >= 0.5 else "blue"


def pods_line(scene: Scene) -> RenderableType:
    """Pods that run and pods that wait, by how long; and the money."""
    text = Text.assemble("pods: ", (f"{scene.running}", "bold green"), " run, ")
    waiting = sum(scene.waiting_by_age)
    text.append(str(waiting), style="bold yellow" if waiting else "bold")
    text.append(" wait")
    if waiting:
        labels = [
            f"under {AGES[0]:.0f} s",
            *(f"{a:.0f} to {b:.0f} s" for a, b in pairwise(AGES)),
            f"over {AGES[-1]:.0f} s",
        ]
        parts = [
            f"{count} {label}" for count, label in zip(scene.waiting_by_age, labels, strict=True) if count
        ]
        text.append(f" ({', '.join(parts)})")
    text.append("      ")
    text.append(f"${scene.hourly_cost:,.2f} an hour", style="bold")
    text.append(f", ${scene.spent:,.2f} so far")
    return text


def decisions_panel(scene: Scene) -> RenderableType:
    """What Springtide said last; the same words are in `kubectl describe nodepool`."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", no_wrap=True, style="dim")
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for decision in scene.decisions:
        grid.add_row(f"{decision.at:.1f}s", Text(decision.message, style="red" if decision.warning else ""))
    return Panel(
        grid if scene.decisions else Text("nothing yet", style="dim"),
        title="What Springtide did last",
        title_align="left",
    )
