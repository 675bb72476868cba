"""Regular expressions matched in linear time, as Go's do: no pattern that a user writes can hold up a pass.

A set of states is carried along the text (Thompson's construction), so the work is at most the length of the text times
the size of the pattern. Python's own `re` goes back and tries again, which one pattern can make last for years.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from springtide.planning.pattern_syntax import (
    Characters,
    Choice,
    Node,
    PatternError,
    Position,
    Repeat,
    Sequence,
    parse_pattern,
)

MAX_STATES: Final = 4096
"""Of one pattern, with its repetitions written out."""
_WORD: Final = Characters(((48, 57), (65, 90), (95, 95), (97, 122)))


@dataclass(slots=True)
class _State:
    """Consumes a character if it has any; then, or at once, goes on to `after`."""

    step: Characters | Position | None = None
    after: list[int] = field(default_factory=list)


class Pattern:
    """One compiled pattern. Raises PatternError, with the reason, on what is none."""

    def __init__(self, text: str) -> None:
        self._states = [_State()]
        self._final = self._add(parse_pattern(text), 0)

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text."""
        alive: set[int] = set()
        for place in range(len(text) + 1):
            reached = self._closed(alive | {0}, text, place)
            if self._final in reached:
                return True
            if place < len(text):
                alive = self._stepped(reached, text[place])
        return False

    def _stepped(self, states: set[int], character: str) -> set[int]:
        following: set[int] = set()
        for number in states:
            state = self._states[number]
            if isinstance(state.step, Characters) and state.step.admits(character):
                following.update(state.after)
        return following

    def _closed(self, states: set[int], text: str, place: int) -> set[int]:
        """All states that can be reached without consuming anything."""
        reached = set(states)
        open_states = list(states)
        while open_states:
            state = self._states[open_states.pop()]
            if isinstance(state.step, Characters):
                continue
            if state.step is not None and not _holds(state.step, text, place):
                continue
            fresh = [number for number in state.after if number not in reached]
            reached.update(fresh)
            open_states += fresh
        return reached

    # --- construction ------------------------------------------------------------------------------------------

    def _new(self, step: Characters | Position | None = None) -> int:
        if len(self._states) >= MAX_STATES:
            raise PatternError("it is too large, with its repetitions written out")
        self._states.append(_State(step))
        return len(self._states) - 1

    def _link(self, start: int, end: int) -> None:
        self._states[start].after.append(end)

    def _add(self, node: Node, start: int) -> int:
        """Append what matches the node behind a state that consumes nothing; the state where it ends."""
        match node:
            case Characters() | Position():
                step, end = self._new(node), self._new()
                self._link(start, step)
                self._link(step, end)
                return end
            case Sequence(parts):
                for part in parts:
                    start = self._add(part, start)
                return start
            case Choice(branches):
                ends = [self._add(branch, self._branch(start)) for branch in branches]
                end = self._new()
                for each in ends:
                    self._link(each, end)
                return end
            case Repeat(part, least, most):
                return self._repeat(part, least, most, start)

    def _branch(self, start: int) -> int:
        begin = self._new()
        self._link(start, begin)
        return begin

    def _repeat(self, part: Node, least: int, most: int | None, start: int) -> int:
        for _ in range(least):
            start = self._add(part, start)
        if most is None:
            # A state of its own to come back to, or a loop could enter what stands before it.
            start = self._branch(start)
            self._link(self._add(part, start), start)
            return self._branch(start)
        end = self._new()
        for _ in range(most - least):
            self._link(start, end)
            start = self._add(part, self._branch(start))
        self._link(start, end)
        return end


def _holds(position: Position, text: str, place: int) -> bool:
    before = place > 0 and _WORD.admits(text[place - 1])
    behind = place < len(text) and _WORD.admits(text[place])
    match position:
        case Position.TEXT_START:
            return place == 0
        case Position.TEXT_END:
            return place == len(text)
        case Position.LINE_START:
            return place == 0 or text[place - 1] == "\n"
        case Position.LINE_END:
            return place == len(text) or text[place] == "\n"
        case Position.WORD_EDGE:
            return before != behind
        case Position.WORD_INSIDE:
            return before == behind


@lru_cache(maxsize=1024)
def compiled(text: str) -> Pattern:
    """The pattern; the last ones are kept, for policies are read in every pass."""
    return Pattern(text)
