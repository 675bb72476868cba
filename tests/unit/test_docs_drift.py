"""What is generated and checked in is what the code says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import render
from springtide.api import crd

REPOSITORY = Path(__file__).parents[2]
GENERATED = render() | {f"crds/{name}": text for name, text in crd.render().items()}


@pytest.mark.parametrize("path", GENERATED)
def test_the_checked_in_file_is_the_generated_one(path: str) -> None:
    assert (REPOSITORY / path).read_text(encoding="utf-8") == GENERATED[path], (
        "run `make crds` and commit the result"
    )
