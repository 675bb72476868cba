"""Priorities: read as Cluster Autoscaler reads its ConfigMap; what is wrong with the text is said by line."""

from __future__ import annotations

import pytest

from springtide.planning.expanders.priorities import Priorities, read_priorities

TEXT = """
10:
  - .*spot.*
50:
  - ^gpu-
  - spot-eu
-5:
  - rest
7:
"""


@pytest.mark.parametrize(
    ("group", "priority"),
    [("a-spot-b", 10), ("gpu-1", 50), ("spot-eu-1", 50), ("rest", -5), ("on-demand", None)],
)
def test_the_highest_level_with_a_match_counts(group: str, priority: int | None) -> None:
    assert read_priorities(TEXT).of(group) == priority


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("10:\n - [unclosed", "line 2: not YAML", id="broken YAML"),
        pytest.param("- a\n- b", "line 1: write priorities (integers)", id="a list"),
        pytest.param("10:\n- a\nhigh:\n- b", "line 3: 'high' is no integer", id="a word for a priority"),
        pytest.param("true:\n- a", "line 1: 'true' is no integer", id="a boolean"),
        pytest.param("10:\n  a: b", "line 2: write a list", id="a mapping for a list"),
        pytest.param("10:\n- [a]", "line 2: write a regular expression", id="a list in the list"),
        pytest.param("10:\n- a\n- '*['", "line 3: '*[' is no regular expression", id="no expression"),
        pytest.param("1: [" + "a, " * 600 + "]", "line 1: more than 512", id="too many"),
        pytest.param("{" * 3000, "not YAML", id="too deep"),
        pytest.param("a: \x00", "not YAML", id="no text at all"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, fault: str) -> None:
    read = read_priorities(text)
    assert fault in read.fault
    assert read.levels == ()
    assert read.of("anything") is None


def test_an_alias_is_not_a_way_to_make_a_small_text_large() -> None:
    laughs = "\n".join(
        ["0: &a0 [x]", *(f"{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]
    )
    assert "write a regular expression" in read_priorities(laughs).fault


def test_nothing_is_no_priorities() -> None:
    assert read_priorities("# nothing yet\n") == Priorities()
