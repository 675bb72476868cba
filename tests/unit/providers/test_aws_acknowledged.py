"""Our last acknowledged word overrides reads that lag behind it, for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from springtide.providers.aws.acknowledged import Acknowledged

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def test_a_read_of_the_value_before_our_change_is_overridden() -> None:
    acknowledged = Acknowledged(clock=Clock())
    acknowledged.changed("asg", before=3, after=5)
    assert acknowledged.desired("asg", 3) == 5


def test_reads_of_any_value_we_replaced_are_overridden() -> None:
    acknowledged = Acknowledged(clock=Clock())
    for before in (5, 4, 3):
        acknowledged.changed("asg", before=before, after=before - 1)
    assert [acknowledged.desired("asg", read) for read in (5, 4, 3, 2)] == [2, 2, 2, 2]


def test_a_value_that_is_neither_ours_nor_replaced_by_us_is_someone_elses_word() -> None:
    acknowledged = Acknowledged(clock=Clock())
    acknowledged.changed("asg", before=3, after=5)
    assert acknowledged.desired("asg", 7) == 7


def test_returning_to_a_value_makes_it_ours_again() -> None:
    acknowledged = Acknowledged(clock=Clock())
    acknowledged.changed("asg", before=3, after=5)
    acknowledged.changed("asg", before=5, after=3)
    assert [acknowledged.desired("asg", read) for read in (3, 5)] == [3, 3]


def test_after_a_minute_aws_is_believed() -> None:
    clock = Clock()
    acknowledged = Acknowledged(clock=clock)
    acknowledged.changed("asg", before=3, after=5)
    clock.now += timedelta(seconds=60)
    assert acknowledged.desired("asg", 3) == 5
    clock.now += timedelta(seconds=1)
    assert acknowledged.desired("asg", 3) == 3


def test_values_replaced_long_ago_are_not_suspected_because_of_a_new_change() -> None:
    clock = Clock()
    acknowledged = Acknowledged(clock=clock)
    acknowledged.changed("asg", before=9, after=5)
    clock.now += timedelta(minutes=5)
    acknowledged.changed("asg", before=5, after=6)
    assert acknowledged.desired("asg", 9) == 9


def test_after_a_lost_answer_both_outcomes_are_believed_but_nothing_older() -> None:
    acknowledged = Acknowledged(clock=Clock())
    acknowledged.changed("asg", before=1, after=3)
    acknowledged.changed("asg", before=3, after=5)
    acknowledged.perhaps("asg", after=3)
    assert [acknowledged.desired("asg", read) for read in (1, 3, 5)] == [5, 3, 5]


def test_groups_do_not_mix() -> None:
    acknowledged = Acknowledged(clock=Clock())
    acknowledged.changed("asg-a", before=3, after=5)
    assert acknowledged.desired("asg-b", 3) == 3
    assert acknowledged.raised_at("asg-a") is None
