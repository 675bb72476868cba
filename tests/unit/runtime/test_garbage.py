"""The garbage collector: seldom called, never over what the informers hold."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from springtide.runtime.garbage import look_seldom, spare_what_is_here


class Held:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_a_page_of_new_objects_starts_no_collection() -> None:
    look_seldom()
    gc.collect()
    before = gc.get_stats()[0]["collections"]
    page = [[number] for number in range(20_000)]
    assert gc.get_stats()[0]["collections"] == before
    assert len(page) == 20_000


def test_what_is_held_is_not_looked_at_again() -> None:
    held = Held()
    spare_what_is_here()
    assert gc.get_freeze_count() > 0
    assert not any(known is held for known in gc.get_objects())


def test_garbage_is_not_spared() -> None:
    garbage = weakref.ref(Held())
    spare_what_is_here()
    assert garbage() is None


def test_what_was_spared_is_freed_when_nothing_refers_to_it() -> None:
    held = Held()
    spare_what_is_here()
    gone = weakref.ref(held)
    del held.itself, held
    assert gone() is None
