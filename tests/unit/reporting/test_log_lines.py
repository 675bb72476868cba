"""Log lines: whatever a record is made of, one line comes out, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.reporting import logs
from tests.hostile import SECRETS, hostile_text

Write = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def same_logging_after() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(text: str, *args: Any, json_format: bool, level: str = "info", **more: Any) -> list[str]:
    """The lines of one record."""
    stream = io.StringIO()
    logs.set_up(json=json_format, level=level, stream=stream)
    logging.getLogger("springtide.test").warning(text, *args, **more)
    # What ends a line for a terminal or a log collector, not only for Python.
    return stream.getvalue().split("\n")[:-1]


@pytest.mark.parametrize("json_format", [False, True], ids=["for people", "as JSON"])
@settings(deadline=None)
@given(text=hostile_text())
def test_no_text_can_forge_a_line_or_drive_a_terminal(json_format: bool, text: str) -> None:
    [line] = written("%s", text, json_format=json_format, extra={"group": text, "plan": text})
    assert line.isprintable()
    assert len(line) < 16 * logs.MAX_LINE


@pytest.mark.parametrize("json_format", [False, True], ids=["for people", "as JSON"])
@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_no_secret_is_logged(json_format: bool, text: str, secret: str) -> None:
    extra = {"message_of_cloud": text, "plan": text, "deep": [{"er": (text,)}]}
    try:
        raise RuntimeError(text)
    except RuntimeError:
        lines = written(
            "failed: %s", text, json_format=json_format, level="debug", extra=extra, exc_info=True
        )
    assert lines
    assert secret not in "\n".join(lines)


def test_an_error_is_told_in_one_line_unless_one_debugs() -> None:
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        assert len(written("failed", json_format=False, exc_info=True)) == 1
        assert len(written("failed", json_format=False, level="debug", exc_info=True)) > 2


@settings(deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), hostile_text()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_fields_of_json_keep_their_shape(value: Any) -> None:
    [line] = written("text", json_format=True, extra={"value": value, "kind": object})
    read = json.loads(line)
    assert type(read["value"]) is type(value)
    assert read["message"] == "text"
