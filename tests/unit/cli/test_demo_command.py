"""The options of `springtide demo`."""

from __future__ import annotations

import pytest

from springtide.cli.demo.command import parser


def test_by_default_the_whole_story_is_told_live_and_then_all_is_gone() -> None:
    options = parser().parse_args([])
    assert vars(options) == {"pods": 160, "plain": False, "no_shrink": False, "keep": False}


@pytest.mark.parametrize("pods", ["0", "9", "601", "-5", "many", "1e2"])
def test_a_wrong_number_of_pods_is_refused_with_the_range(
    pods: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([f"--pods={pods}"])
    assert ended.value.code == 2
    assert "is not a number from 10 to 600" in capsys.readouterr().err


def test_help_says_what_happens_and_how_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "Ctrl-C ends it at any time and leaves nothing behind" in said
    assert "exit codes: 0 the story happened" in said
