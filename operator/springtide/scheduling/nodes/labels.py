"""One label key over all nodes: every node's value as a small code, so that a requirement is judged once per
value.

This is what "node class" means for labels. A key gets its column when some selector first refers to it,
therefore keys that nobody asks for (and there are many, unique per node) cost nothing, and a key like
kubernetes.io/hostname costs one dictionary of its values instead of multiplying the classes of every other
key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from springtide.cluster.shape import NodeRequirement, NodeSelectorOperator
from springtide.scheduling.arrays import BoolArray, CodeArray

ABSENT = 0
"""Code of a node that does not have the label."""

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_INT64_LIMIT = 2**63


def parse_integer(text: str) -> int | None:
    """As strconv.ParseInt(text, 10, 64) does: "007" is 7; "1.5", "v7", "" and what exceeds int64 are no integers."""
    # The length bound keeps absurdly long digit strings away from int(), whose cost grows faster than the
    # length.
    if not _INTEGER.fullmatch(text) or len(text) > 64:
        return None
    number = int(text)
    return number if -_INT64_LIMIT <= number < _INT64_LIMIT else None


class LabelColumn:
    """The values of one label key: `codes[i]` of node i, and the book that says which code a value has.

    The book is shared with extended columns: it only grows, so codes keep their meaning.
    """

    __slots__ = ("_book", "codes", "width")

    def __init__(self, codes: CodeArray, book: dict[str, int]) -> None:
        self.codes = codes
        self._book = book
        self.width = len(book) + 1
        """More than the largest of `codes`. Columns that were extended from this one may have larger ones."""

    @classmethod
    def of(cls, values: Iterable[str | None]) -> LabelColumn:
        """Column from the nodes' values in index order; None = the node does not have the label."""
        book: dict[str, int] = {}
        return cls(_encode(values, book), book)

    def extended(self, values: Iterable[str | None]) -> LabelColumn:
        """The same column with further nodes at its end."""
        return LabelColumn(np.concatenate((self.codes, _encode(values, self._book))), self._book)

    def values(self) -> list[str]:
        """The values by code, from the first that is not ABSENT."""
        return list(self._book)  # codes are given in the order of entry

    def value(self, index: int) -> str:
        """The value that the node with this index has; empty where it lacks the label."""
        code = int(self.codes[index])
        return "" if code == ABSENT else next(value for value, known in self._book.items() if known == code)

    def satisfies(self, requirement: NodeRequirement) -> BoolArray:
        """Which nodes satisfy the requirement (on this column's key)."""
        by_code = np.zeros(len(self._book) + 1, dtype=np.bool_)
        operator = requirement.operator
        if operator in (NodeSelectorOperator.IN, NodeSelectorOperator.NOT_IN):
            by_code[[self._book[v] for v in requirement.values if v in self._book]] = True
        elif operator in (NodeSelectorOperator.EXISTS, NodeSelectorOperator.DOES_NOT_EXIST):
            by_code[ABSENT + 1 :] = True
        else:
            by_code[self._codes_beyond(requirement)] = True
        if operator in (NodeSelectorOperator.NOT_IN, NodeSelectorOperator.DOES_NOT_EXIST):
            by_code = ~by_code
        chosen: BoolArray = by_code[self.codes]
        return chosen

    def _codes_beyond(self, requirement: NodeRequirement) -> list[int]:
        """Codes of the values that are integers greater (Gt) or less (Lt) than the requirement's only value."""
        bound = parse_integer(requirement.values[0]) if len(requirement.values) == 1 else None
        if bound is None:
            return []
        sign = 1 if requirement.operator is NodeSelectorOperator.GT else -1
        numbers = ((code, parse_integer(value)) for value, code in self._book.items())
        return [code for code, number in numbers if number is not None and sign * number > sign * bound]


def _encode(values: Iterable[str | None], book: dict[str, int]) -> CodeArray:
    return np.fromiter(
        (ABSENT if value is None else book.setdefault(value, len(book) + 1) for value in values),
        dtype=np.int32,
    )
