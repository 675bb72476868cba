"""docs/performance.md and its charts are what the recorded results say."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.chart import Line, log_log
from benchmarks.page import rendered
from benchmarks.result import load

FILES = rendered(load())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_checked_in_file_follows_from_the_results(path: Path) -> None:
    """If not: python -m benchmarks page."""
    assert path.read_text(encoding="utf-8") == FILES[path]


def test_a_chart_is_well_formed_and_draws_every_point() -> None:
    lines = [Line("few <nodes>", ((10, 0.01), (1000, 0.1))), Line("many", ((100, 0.5),))]
    chart = ElementTree.fromstring(log_log(title="a & b", x="pods", y="seconds", lines=lines))
    names = [element.tag.rpartition("}")[2] for element in chart]
    assert names.count("polyline") == 2
    assert names.count("circle") == 3 + 2  # every point, and one for each line in the legend
    texts = [element.text for element in chart if element.tag.endswith("text")]
    assert "few <nodes>" in texts


def test_equal_steps_are_equal_factors() -> None:
    line = Line("line", ((1, 1), (10, 10), (100, 100)))
    chart = ElementTree.fromstring(log_log(title="t", x="x", y="y", lines=[line]))
    (points,) = [each.attrib["points"] for each in chart if each.tag.endswith("polyline")]
    (x0, y0), (x1, y1), (x2, y2) = [tuple(map(float, point.split(","))) for point in points.split()]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
