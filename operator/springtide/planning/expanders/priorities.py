"""Priorities of node groups as a policy writes them: the text of Cluster Autoscaler's priority-expander ConfigMap.

YAML: an integer, and under it a list of regular expressions that are looked for in the id of a node group. Read as
Cluster Autoscaler reads it; where its text is broken it rules nothing out, and neither do we, but the policy says which
line is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

import re2
import yaml

MAX_PATTERNS: Final = 512
_MAX_MEMORY: Final = 1 << 20
"""Bytes that one compiled expression may take; larger ones are refused."""


class Pattern(Protocol):
    """A compiled regular expression of RE2: matched in linear time, so no text that a user writes can hold up a pass."""

    def search(self, text: str) -> object | None: ...


@dataclass(frozen=True)
class Priorities:
    """What a text says; equal texts give the same object, which remembers what it was asked."""

    levels: tuple[tuple[int, tuple[Pattern, ...]], ...] = ()
    """Highest first."""
    fault: str = ""
    """What is wrong with the text, and where; then there are no levels."""
    _known: dict[str, int | None] = field(default_factory=dict, repr=False, compare=False)

    def of(self, group: str) -> int | None:
        """The highest priority with a pattern that the group's id matches; None: there is none."""
        if group not in self._known:
            self._known[group] = next(
                (lvl for lvl, patterns in self.levels if any(p.search(group) is not None for p in patterns)),
                None,
            )
        return self._known[group]


class _Fault(Exception):
    """Something is wrong with the text."""


@lru_cache(maxsize=64)
def read_priorities(text: str) -> Priorities:
    """Read a policy's text. Never raises: what is wrong is in the answer's `fault`."""
    try:
        levels = dict(_levels(_document(text)))
    except _Fault as fault:
        return Priorities(fault=str(fault))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Priorities(fault=f"line {mark.line + 1 if mark else 1}: not YAML: {error.problem}")
    except (yaml.YAMLError, RecursionError) as error:
        return Priorities(fault=f"not YAML: {type(error).__name__}")
    return Priorities(levels=tuple(sorted(levels.items(), reverse=True)))


def _document(text: str) -> yaml.MappingNode | None:
    # Composed, not constructed: so each part knows its line, and no alias is ever expanded.
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return None
    if not isinstance(node, yaml.MappingNode):
        raise _at(node, "write priorities (integers), each with a list of regular expressions")
    return node


def _levels(document: yaml.MappingNode | None) -> Iterator[tuple[int, tuple[Pattern, ...]]]:
    budget = MAX_PATTERNS
    for key, value in document.value if document is not None else ():
        patterns = _patterns(value)
        budget -= len(patterns)
        if budget < 0:
            raise _at(value, f"more than {MAX_PATTERNS} regular expressions")
        yield _integer(key), patterns


def _integer(node: yaml.Node) -> int:
    number = _constructed(node)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        raise _at(node, f"{_shown(node)} is no integer")
    return number


def _patterns(node: yaml.Node) -> tuple[Pattern, ...]:
    if node.tag == "tag:yaml.org,2002:null":
        return ()
    if not isinstance(node, yaml.SequenceNode):
        raise _at(node, "write a list of regular expressions")
    return tuple(_pattern(item) for item in node.value)


def _pattern(node: yaml.Node) -> Pattern:
    if not isinstance(node, yaml.ScalarNode):
        raise _at(node, "write a regular expression")
    text = "" if node.tag == "tag:yaml.org,2002:null" else str(node.value)
    try:
        pattern: Pattern = re2.compile(text, _OPTIONS)
    except re2.error as error:
        # The library gives RE2's own words as bytes.
        why = error.args[0].decode(errors="replace")
        raise _at(node, f"{text!r} is no regular expression: {why}") from error
    return pattern


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    return options


_OPTIONS: Final = _options()


def _constructed(node: yaml.Node) -> object:
    if not isinstance(node, yaml.ScalarNode):
        return None
    loader = yaml.SafeLoader("")
    try:
        constructed: object = loader.construct_object(node)
    except (ValueError, yaml.YAMLError):
        return None
    finally:
        loader.dispose()
    return constructed


def _at(node: yaml.Node, what: str) -> _Fault:
    return _Fault(f"line {node.start_mark.line + 1}: {what}")


def _shown(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "this"
