"""Our last write against the cloud's listing: the newer one is believed, for a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from springtide.actuation.targets import TargetMemory
from tests.unit.actuation.world import EPOCH


class Memory(TargetMemory):
    def __init__(self) -> None:
        self.now = EPOCH
        super().__init__(lambda: self.now)

    def at(self, seconds: float) -> Memory:
        self.now = EPOCH + timedelta(seconds=seconds)
        return self

    def read(self, target: int, *, at: float | None) -> int:
        read_at: datetime | None = None if at is None else EPOCH + timedelta(seconds=at)
        return self.effective_target("general", "a", target=target, read_at=read_at)


@pytest.mark.parametrize(
    ("read_at", "now", "target"),
    [
        pytest.param(9, 11, 8, id="a read older than our write does not count"),
        pytest.param(None, 11, 8, id="nor one of unknown age"),
        pytest.param(10.5, 11, 5, id="a newer one does"),
        pytest.param(9, 71, 5, id="and any, once our write is more than a minute old"),
    ],
)
def test_the_target_after_a_purchase_of_8_at_second_10(
    read_at: float | None, now: float, target: int
) -> None:
    memory = Memory()
    memory.at(10).acknowledged("general", "a", 8)
    assert memory.at(now).read(5, at=read_at) == target


def test_terminations_lower_what_was_read_before_them() -> None:
    memory = Memory()
    memory.at(10).acknowledged("general", "a", 8)
    memory.at(20).lowered("general", "a", by=2)
    assert memory.at(21).read(5, at=9) == 6
    assert memory.read(8, at=15) == 6
    assert memory.read(6, at=20.5) == 6


def test_a_raise_under_way_counts_until_it_ends() -> None:
    memory = Memory()
    with memory.intending("general", "a", target=9):
        assert memory.read(5, at=0) == 9
    assert memory.read(5, at=0) == 5


def test_groups_do_not_mix() -> None:
    memory = Memory()
    memory.acknowledged("general", "b", 8)
    assert memory.read(5, at=None) == 5
