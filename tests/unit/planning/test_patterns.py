"""Patterns mean what they mean in Go, and never take long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.planning.pattern_syntax import PatternError
from springtide.planning.patterns import Pattern


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("spot", "pool-spot-a", True),
        ("^spot", "pool-spot-a", False),
        ("^pool-.*-[ab]$", "pool-spot-a", True),
        (".*", "", True),
        ("", "anything", True),
        (r"\.large", "m5.large", True),
        (r"\.large", "m5xlarge", False),
        ("(?i)SPOT", "pool-spot-a", True),
        ("(?i:SPOT)-A", "pool-spot-a", False),
        ("a(?:b|c){2,3}d", "abcbd", True),
        ("a(?:b|c){2,3}d", "abd", False),
        ("(?P<kind>gpu|cpu)-[[:digit:]]+$", "gpu-17", True),
        ("(?<kind>gpu)", "gpu", True),
        (r"\bgpu\b", "big-gpu-node", True),
        (r"\bgpu\b", "biggpu", False),
        (r"\Bgpu", "biggpu", True),
        ("[^-]+-[^-]+$", "a-b", True),
        ("[]x]", "]", True),
        ("[a-]", "-", True),
        (r"[\d-]{3}", "1-2", True),
        (r"\Qa.b\E+$", "a.bbb", True),
        (r"\x41\x{42}", "AB", True),
        ("x{2", "x{2", True),
        ("x*?y", "y", True),
        ("(a|b|)c", "c", True),
        (r"\Aab\z", "ab", True),
        ("(?m)^b$", "a\nb\nc", True),
        ("a.c", "a\nc", False),
        ("(?s)a.c", "a\nc", True),
    ],
)
def test_what_is_found(pattern: str, text: str, found: bool) -> None:
    assert Pattern(pattern).found_in(text) is found


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("*[", "repeats nothing"),
        ("a**", "a repetition is repeated"),
        ("(a", "not closed"),
        ("a)", "unexpected )"),
        ("[a", "not closed"),
        (r"(a)\1", "not understood"),
        ("(?=a)", "not known to RE2"),
        ("(?<!a)b", "lookbehind"),
        (r"\pL", "not understood"),
        ("a{1001}", "at most 1000"),
        ("((a{100}){100}){2}", "in each other"),
        ("(" * 101 + ")" * 101, "too deeply"),
        ("[z-a]", "backwards"),
        ("[[:any:]]", "not understood"),
        ("\\", "unexpected end"),
        ("(abcdefgh){1000}", "too large"),
    ],
)
def test_what_go_would_refuse_is_refused(pattern: str, wrong: str) -> None:
    with pytest.raises(PatternError, match=re.escape(wrong)):
        Pattern(pattern)


def test_a_pattern_that_python_would_need_years_for_is_answered_at_once() -> None:
    assert not Pattern("^(a|a|a+)*(a*)*$").found_in("a" * 250 + "b")


_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "^", "$", r"\b"])


def _combined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(parts, min_size=1, max_size=3).map("".join),
        st.lists(parts, min_size=2, max_size=3).map(lambda each: f"({'|'.join(each)})"),
        st.tuples(parts, st.sampled_from(["*", "+", "?", "{1,2}"])).map(
            lambda each: f"(?:{each[0]}){each[1]}"
        ),
    )


@given(st.recursive(_ATOMS, _combined, max_leaves=6), st.text("abc-", max_size=8))
def test_where_python_and_go_agree_on_the_syntax_so_do_we(pattern: str, text: str) -> None:
    assert Pattern(pattern).found_in(text) == (re.search(pattern.replace("$", r"\Z"), text) is not None)
