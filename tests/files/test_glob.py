"""Name patterns."""

from __future__ import annotations

import contextlib
import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.files.glob import MAX_LENGTH, matcher, regular_expression
from sandbox_agent.problems import InvalidRequest


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.py", "a.py", True),
        ("*.py", "deep/down/a.py", True),
        ("*.py", "a.pyc", False),
        ("a?c", "abc", True),
        ("a?c", "x/a/c", False),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/x/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/x/y/a.py", True),
        ("**/test_*", "test_a", True),
        ("**/test_*", "x/test_a", True),
        ("**/test_*", "xtest_a", False),
        ("src/**", "src/x/y", True),
        ("src/**", "srcx", False),
        ("a/**/b/**/c", "a/x/b/y/z/b/c", True),
        ("a/**/b/**/c", "a/c", False),
        ("/a", "a", True),
        ("[z-a]", "a", False),
        ("./a/*", "a/b", True),
        ("[ab].txt", "a.txt", True),
        ("[!ab].txt", "a.txt", False),
        ("[!ab].txt", "c.txt", True),
        ("[]].txt", "].txt", True),
        ("[^a]", "^", True),
        ("[a-c]x", "bx", True),
        ("[[]x", "[x", True),
        ("[a", "[a", True),
        ("a.c", "abc", False),
        ("(a|b)+", "(a|b)+", True),
        ("*", "line\nbreak", True),
        ("*", "\udcff", True),
        ("***", "abc", True),
    ],
)
def test_a_pattern_matches_what_a_shell_would(pattern: str, path: str, matches: bool) -> None:
    assert matcher(pattern)(path) is matches
    whole = path if "/" in pattern else path.rpartition("/")[2]
    assert (re.fullmatch(regular_expression(pattern), whole) is not None) is matches


@given(
    pattern=st.text(alphabet="ab*?/[]!-", min_size=1, max_size=10),
    path=st.lists(st.text(alphabet="ab", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join),
)
def test_a_pattern_as_a_regular_expression_means_the_same(pattern: str, path: str) -> None:
    whole = path if "/" in pattern else path.rpartition("/")[2]
    assert matcher(pattern)(path) is (re.fullmatch(regular_expression(pattern), whole) is not None)


@pytest.mark.parametrize("pattern", ["", "x" * (MAX_LENGTH + 1)])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        matcher(pattern)
    assert caught.value.extensions["code"] == "invalid_glob"


@given(pattern=st.text(alphabet="ab*?.", min_size=1, max_size=8), name=st.text(alphabet="ab.", min_size=1, max_size=8))
def test_without_folders_it_is_what_the_standard_library_means(pattern: str, name: str) -> None:
    assert matcher(pattern)(name) is fnmatch.fnmatchcase(name, pattern)


@given(st.text(min_size=1, max_size=30))
def test_no_pattern_is_more_than_refused(pattern: str) -> None:
    with contextlib.suppress(InvalidRequest):
        matcher(pattern)("some/name")


def test_many_stars_take_no_time() -> None:
    """A pattern that a backtracking matcher would try for years."""
    assert not matcher("a*" * 20 + "b")("a" * 30)
    assert not matcher("**/" * 20 + "b/c")("a/" * 40)
