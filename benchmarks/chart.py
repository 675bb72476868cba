"""A plain chart: lines over two logarithmic axes, as SVG that reads well on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import Final

WIDTH: Final = 880
HEIGHT: Final = 400
LEFT: Final = 80
RIGHT: Final = 700
"""Where the plot ends and the legend begins."""
TOP: Final = 50
BOTTOM: Final = 340

_COLOURS: Final = ("#0969da", "#1a7f37", "#9a6700", "#8250df", "#cf222e", "#57606a")
_STYLE: Final = """\
  <style>
    text { fill: #57606a; font-size: 13px }
    .title { fill: #1f2328; font-size: 16px; font-weight: 600 }
    .grid { stroke: #d0d7de; stroke-width: 1 }
    .line { fill: none; stroke-width: 2 }
    @media (prefers-color-scheme: dark) {
      text { fill: #9198a1 }
      .title { fill: #e6edf3 }
      .grid { stroke: #30363d }
    }
  </style>"""


@dataclass(frozen=True, slots=True)
class Line:
    """One series; all coordinates are positive."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic scale between whole powers of ten."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], *, start: float, end: float) -> _Axis:
        low = floor(log10(min(values)))
        high = max(low + 1, -floor(-log10(max(values))))
        return cls(low=low, high=high, start=start, end=end)

    def at(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def log_log(*, title: str, x: str, y: str, lines: Sequence[Line]) -> str:
    """The chart of these lines; `x` and `y` name the axes."""
    across = _Axis.over([p[0] for line in lines for p in line.points], start=LEFT, end=RIGHT)
    up = _Axis.over([p[1] for line in lines for p in line.points], start=BOTTOM, end=TOP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(title)}" '
            "font-family=\"-apple-system, BlinkMacSystemFont, 'Segoe UI', Helvetica, Arial, sans-serif\">",
            _STYLE,
            f'  <text class="title" x="{LEFT}" y="26">{escape(title)}</text>',
            *_grid(across, up),
            f'  <text x="{(LEFT + RIGHT) / 2:.0f}" y="{BOTTOM + 45}" text-anchor="middle">{escape(x)}</text>',
            f'  <text x="18" y="{(TOP + BOTTOM) / 2:.0f}" text-anchor="middle" '
            f'transform="rotate(-90 18 {(TOP + BOTTOM) / 2:.0f})">{escape(y)}</text>',
            *(part for number, line in enumerate(lines) for part in _drawn(line, number, across, up)),
            "</svg>\n",
        ]
    )


def _grid(across: _Axis, up: _Axis) -> Iterator[str]:
    for tick in across.ticks:
        at = across.at(tick)
        yield f'  <line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'
        yield f'  <text x="{at:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{tick:,.0f}</text>'
    for tick in up.ticks:
        at = up.at(tick)
        yield f'  <line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'  <text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>'


def _drawn(line: Line, number: int, across: _Axis, up: _Axis) -> Iterator[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    places = [(across.at(x), up.at(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'  <polyline class="line" stroke="{colour}" points="{path}"/>'
    for x, y in places:
        yield f'  <circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    row = TOP + 10 + 22 * number
    yield f'  <circle cx="{RIGHT + 20}" cy="{row}" r="5" fill="{colour}"/>'
    yield f'  <text x="{RIGHT + 32}" y="{row + 4}">{escape(line.name)}</text>'
