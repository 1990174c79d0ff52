"""Paths as clients write them, and names and times as they are told."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.files.paths import absolute, encoded, rfc3339
from sandbox_agent.problems import InvalidRequest

HOME = "/home/me"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a/b", "/a/b"),
        ("//a///b/./c/", "/a/b/c"),
        ("/", "/"),
        ("/a/../b", "/a/../b"),
        (".", HOME),
        ("a", f"{HOME}/a"),
        ("./a/b", f"{HOME}/a/b"),
        ("~", f"{HOME}/~"),
        ("a..b", f"{HOME}/a..b"),
        ("ä ö", f"{HOME}/ä ö"),
        ("\udcff", f"{HOME}/\udcff"),
    ],
)
def test_a_path_is_as_it_is_or_from_home(text: str, path: str) -> None:
    assert absolute(text, HOME) == path


@pytest.mark.parametrize("text", ["", "..", "../x", "a/../../b", "a/..", "x\0y", "/x\0", "\ud800", "/\udfff"])
def test_what_can_be_no_path_or_leaves_home_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        absolute(text, HOME)
    assert caught.value.extensions["code"] == "invalid_path"
    assert caught.value.encode()


@given(
    name=st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & set(name) and name not in {b".", b".."})
)
def test_any_name_a_file_can_have_comes_back_as_it_was(name: bytes) -> None:
    """Bytes to a path, to a query by its encoded form, and to the same bytes again."""
    text = name.decode(errors="surrogateescape")
    path = absolute(f"/x/{text}", HOME)
    assert path.encode(errors="surrogateescape") == b"/x/" + name
    shown = encoded(path)
    if shown is None:
        assert path.encode() == b"/x/" + name
    else:
        assert unquote_to_bytes(shown) == b"/x/" + name


@given(text=st.text(max_size=60) | st.lists(st.sampled_from(["a", "..", ".", "", "~"]), max_size=8).map("/".join))
def test_no_relative_path_leads_above_home(text: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        try:
            path = absolute(text, home)
        except InvalidRequest:
            return
        assert path.startswith("/")
        assert "//" not in path
        if not text.startswith("/"):
            assert os.path.normpath(path) == path
            assert Path(path).is_relative_to(home)


@given(st.integers(min_value=-(10**20), max_value=10**21))
def test_a_time_keeps_its_nanoseconds(time_ns: int) -> None:
    told = rfc3339(time_ns)
    if told is None:
        assert not -62135596800 <= time_ns // 10**9 < 253402300800
        return
    whole, fraction = told.removesuffix("+00:00").split(".")
    assert int(fraction) == time_ns % 10**9
    since = datetime.fromisoformat(whole + "+00:00") - datetime(1970, 1, 1, tzinfo=UTC)
    assert since.days * 86400 + since.seconds == time_ns // 10**9


def test_a_time_is_told_as_the_public_api_tells_it() -> None:
    assert rfc3339(1795459232_456467016) == "2026-11-23T18:40:32.456467016+00:00"
