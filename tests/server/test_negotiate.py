"""Request headers that choose the answer, as tables."""

from __future__ import annotations

import pytest

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.server.negotiate import accepts, cursor, media_type, names, preferred_wait


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, True),
        ("", True),
        ("*/*", True),
        ("application/*", True),
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("text/html, application/json;q=0.1", True),
        ("text/html", False),
        ("application/json;q=0", False),
        ("application/json;q=0, */*", False),
        ("*/*;q=0", False),
        ("application/json;q=oops", True),
    ],
)
def test_the_most_specific_range_of_accept_decides(accept: str | None, expected: bool) -> None:
    assert accepts(accept, "application/json") is expected


def test_a_stream_is_asked_for_by_its_name_not_by_a_wildcard() -> None:
    assert names("text/event-stream", "text/event-stream")
    assert names("application/json;q=0.5, text/event-stream", "text/event-stream")
    assert not names("*/*", "text/event-stream")
    assert not names("text/*", "text/event-stream")
    assert not names("text/event-stream;q=0", "text/event-stream")
    assert not names(None, "text/event-stream")


def test_a_media_type_is_read_without_its_parameters() -> None:
    assert media_type("Application/JSON; charset=utf-8") == "application/json"
    assert media_type(None) == ""


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        (None, 25.0),
        ("", 25.0),
        ("wait=60", 60.0),
        ("respond-async, wait=10", 10.0),
        ('wait = "7"', 7.0),
        ("wait=0", 0.0),
        ("respond-async", 0.0),
        ("wait=999999", 3600.0),
        ("wait=-1", 25.0),
        ("wait=soon", 25.0),
        ("handling=lenient", 25.0),
    ],
)
def test_prefer_says_how_long_an_answer_may_be_held(prefer: str | None, expected: float) -> None:
    assert preferred_wait(prefer, 25.0) == expected


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("", None), ("0", 0), (" 17 ", 17), ("9" * 18, int("9" * 18))]
)
def test_a_cursor_is_a_number(header: str | None, expected: int | None) -> None:
    assert cursor(header) == expected


@pytest.mark.parametrize("header", ["-1", "1.5", "abc", "1e3", "0x10", "٣", "9" * 19, "1 2", "NaN"])
def test_a_cursor_that_is_no_number_is_refused(header: str | None) -> None:
    with pytest.raises(InvalidRequest, match="Last-Event-ID"):
        cursor(header)
