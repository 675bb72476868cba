"""Regular expressions as Go writes them (RE2): text into a tree. What Go refuses (backreferences, lookaround, a repeated
repetition) is refused here; of RE2's own syntax only Unicode classes (\\p{…}) are not understood."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

MAX_REPEAT: Final = 1000
"""RE2's own bound on {n,m}."""
MAX_DEPTH: Final = 100
"""Groups in groups; so that reading a text cannot exhaust the stack (Go: 1000)."""


class PatternError(ValueError):
    """Why a text is no regular expression."""


class Position(Enum):
    """What is asserted of a place between characters."""

    TEXT_START = "^"
    TEXT_END = "$"
    LINE_START = "(?m)^"
    LINE_END = "(?m)$"
    WORD_EDGE = r"\b"
    WORD_INSIDE = r"\B"


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of these ranges of code points (both ends included), or out of all others."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False
    folded: bool = False
    """Upper and lower case are the same."""

    def admits(self, character: str) -> bool:
        return self._inside(character) != self.negated

    def _inside(self, character: str) -> bool:
        variants = {character, character.lower(), character.upper()} if self.folded else {character}
        points = [ord(each) for each in variants if len(each) == 1]
        return any(low <= point <= high for point in points for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Node
    least: int
    most: int | None
    """None: without end."""


Node: TypeAlias = Characters | Position | Sequence | Choice | Repeat


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    dot_all: bool = False
    lines: bool = False


_DIGITS: Final = ((48, 57),)
_SPACES: Final = ((9, 10), (12, 13), (32, 32))
_WORD: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_CLASSES: Final = {"d": _DIGITS, "s": _SPACES, "w": _WORD}
_POSIX: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "digit": _DIGITS,
    "lower": ((97, 122),),
    "upper": ((65, 90),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROLS: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_LAST_POINT: Final = 0x10FFFF


def parse_pattern(text: str) -> Node:
    """The tree of a pattern; PatternError if Go would refuse it (or it uses \\p)."""
    reader = _Reader(text)
    node = reader.choice(_Flags())
    if not reader.at_end:
        raise PatternError("unexpected )")
    return node


def _negated(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    outside, start = [], 0
    for low, high in sorted(ranges):
        if start < low:
            outside.append((start, low - 1))
        start = max(start, high + 1)
    return (*outside, (start, _LAST_POINT))


class _Reader:
    """Recursive descent over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def _next_is(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _take(self, token: str) -> bool:
        if self._next_is(token):
            self._at += len(token)
            return True
        return False

    def _char(self) -> str:
        if self.at_end:
            raise PatternError("unexpected end")
        self._at += 1
        return self._text[self._at - 1]

    def _until(self, end: str, what: str) -> str:
        stop = self._text.find(end, self._at)
        if stop < 0:
            raise PatternError(f"{what} is not closed")
        taken = self._text[self._at : stop]
        self._at = stop + len(end)
        return taken

    # --- structure ---------------------------------------------------------------------------------------------

    def choice(self, flags: _Flags) -> Node:
        """Branches up to the end or a closing parenthesis. Flags set inside hold for the branches after it, too."""
        branches: list[Node] = []
        parts: list[Node] = []
        while not self.at_end and not self._next_is(")"):
            if self._take("|"):
                branches.append(Sequence(tuple(parts)))
                parts = []
            elif self._take(r"\Q"):
                parts += self._quoted(flags)
            elif self._take("("):
                group = self._group(flags)
                if isinstance(group, _Flags):
                    flags = group
                else:
                    parts.append(self._repeated(group))
            else:
                parts.append(self._repeated(self._single(flags)))
        branches.append(Sequence(tuple(parts)))
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _group(self, flags: _Flags) -> Node | _Flags:
        if self._take("?P<") or self._take_name():
            self._until(">", "a group's name")
        elif self._take("?"):
            flags, scoped = self._flags(flags)
            if not scoped:
                return flags
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternError("groups are nested too deeply")
        inside = self.choice(flags)
        self._depth -= 1
        if not self._take(")"):
            raise PatternError("a group is not closed")
        return inside

    def _take_name(self) -> bool:
        """The start of (?<name>; not of lookbehind, which RE2 does not have."""
        if self._next_is("?<=") or self._next_is("?<!"):
            raise PatternError("lookbehind is not known to RE2")
        return self._take("?<")

    def _flags(self, flags: _Flags) -> tuple[_Flags, bool]:
        """(flags, whether they hold for the group that follows them only)."""
        fold, dot_all, lines, value = flags.fold, flags.dot_all, flags.lines, True
        while True:
            match self._char():
                case "i":
                    fold = value
                case "s":
                    dot_all = value
                case "m":
                    lines = value
                case "U":
                    pass  # Greedy or not makes no difference to whether something matches.
                case "-" if value:
                    value = False
                case (":" | ")") as end:
                    return _Flags(fold, dot_all, lines), end == ":"
                case other:
                    raise PatternError(f"(?{other} is not known to RE2")

    def _quoted(self, flags: _Flags) -> list[Node]:
        stop = self._text.find(r"\E", self._at)
        stop = len(self._text) if stop < 0 else stop
        literal = self._text[self._at : stop]
        self._at = min(len(self._text), stop + 2)
        parts = [_literal(character, flags) for character in literal]
        return [*parts[:-1], self._repeated(parts[-1])] if parts else []

    def _repeated(self, part: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return part
        self._take("?")
        after = self._at
        if self._bounds() is not None:
            raise PatternError(f"a repetition is repeated at {self._text[after - 1 : self._at]!r}")
        repeat = Repeat(part, *bounds)
        if not _is_bounded(repeat, MAX_REPEAT):
            raise PatternError(f"repetitions in each other make more than {MAX_REPEAT}")
        return repeat

    def _bounds(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        return self._counted() if self._next_is("{") else None

    def _counted(self) -> tuple[int, int | None] | None:
        """{n}, {n,} or {n,m}; a brace that opens none of these stands for itself."""
        stop = self._text.find("}", self._at)
        least, comma, most = self._text[self._at + 1 : max(stop, 0)].partition(",")
        if stop < 0 or not _is_number(least) or not (_is_number(most) or not most):
            return None
        self._at = stop + 1
        low = int(least)
        high = None if comma and not most else int(most or least)
        if max(low, high or 0) > MAX_REPEAT or (high is not None and high < low):
            raise PatternError(f"{{{least}{comma}{most}}} is no repetition of at most {MAX_REPEAT}")
        return low, high

    # --- single characters -------------------------------------------------------------------------------------

    def _single(self, flags: _Flags) -> Node:
        character = self._char()
        match character:
            case "^":
                return Position.LINE_START if flags.lines else Position.TEXT_START
            case "$":
                return Position.LINE_END if flags.lines else Position.TEXT_END
            case ".":
                return Characters(() if flags.dot_all else ((10, 10),), negated=True)
            case "[":
                return self._class(flags)
            case "\\":
                return self._escape(flags)
            case "*" | "+" | "?":
                raise PatternError(f"{character} repeats nothing")
            case _:
                return _literal(character, flags)

    def _escape(self, flags: _Flags) -> Node:
        positions = {
            "A": Position.TEXT_START,
            "z": Position.TEXT_END,
            "b": Position.WORD_EDGE,
            "B": Position.WORD_INSIDE,
        }
        if not self.at_end and self._text[self._at] in positions:
            return positions[self._char()]
        return Characters(self._escaped_ranges(), folded=flags.fold)

    def _escaped_ranges(self) -> tuple[tuple[int, int], ...]:
        """What an escape stands for, inside a class or outside."""
        character = self._char()
        if character.lower() in _CLASSES:
            ranges = _CLASSES[character.lower()]
            return _negated(ranges) if character.isupper() else ranges
        if character == "x":
            return _point(self._hexadecimal())
        if character in _CONTROLS:
            return _point(_CONTROLS[character])
        if character == "0":
            return _point(int(self._octal() or "0", 8))
        if character.isalnum():
            raise PatternError(f"\\{character} is not understood")
        return _point(ord(character))

    def _hexadecimal(self) -> int:
        digits = self._until("}", r"\x{") if self._take("{") else self._char() + self._char()
        try:
            point = int(digits, 16)
        except ValueError:
            raise PatternError(rf"\x{digits} is no character") from None
        if point > _LAST_POINT:
            raise PatternError(rf"\x{digits} is no character")
        return point

    def _octal(self) -> str:
        start = self._at
        while self._at < len(self._text) and self._at - start < 2 and self._text[self._at] in "01234567":
            self._at += 1
        return self._text[start : self._at]

    def _class(self, flags: _Flags) -> Node:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._next_is("]"):
            ranges += self._class_part()
            first = False
        self._at += 1
        return Characters(tuple(ranges), negated=negated, folded=flags.fold)

    def _class_part(self) -> tuple[tuple[int, int], ...]:
        if self._take("[:"):
            return self._posix()
        low = self._class_point()
        if len(low) != 1 or low[0][0] != low[0][1]:
            return low
        if self._next_is("-") and not self._next_is("-]"):
            self._at += 1
            high = self._class_point()
            if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                raise PatternError("a range of characters runs backwards, or to a class")
            return ((low[0][0], high[0][0]),)
        return low

    def _posix(self) -> tuple[tuple[int, int], ...]:
        name = self._until(":]", "a class of characters")
        known = _POSIX.get(name.removeprefix("^"))
        if known is None:
            raise PatternError(f"[:{name}:] is not understood")
        return _negated(known) if name.startswith("^") else known

    def _class_point(self) -> tuple[tuple[int, int], ...]:
        if self.at_end:
            raise PatternError("a class of characters is not closed")
        character = self._char()
        return self._escaped_ranges() if character == "\\" else _point(ord(character))


def _is_bounded(node: Node, times: int) -> bool:
    """Whether counted repetitions, multiplied where they stand in each other, stay within `times` (as in Go)."""
    match node:
        case Repeat(part, least, most):
            count = least if most is None else most
            return count <= times and _is_bounded(part, times // max(1, count))
        case Sequence(parts) | Choice(parts):
            return all(_is_bounded(part, times) for part in parts)
        case _:
            return True


def _literal(character: str, flags: _Flags) -> Characters:
    return Characters(_point(ord(character)), folded=flags.fold)


def _point(code: int) -> tuple[tuple[int, int], ...]:
    return ((code, code),)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
