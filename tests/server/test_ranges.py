"""Conditional and range requests, as RFC 9110 has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from sandbox_agent.problems import PreconditionFailed, RangeNotSatisfiable
from sandbox_agent.server.ranges import Slice, choose, http_date, matches

TAG = '"abc"'
MODIFIED = 1_700_000_000_500_000_000
DATE, BEFORE, AFTER = (http_date(MODIFIED + seconds * 10**9) for seconds in (0, -10, 10))


def asked(size: int = 100, **headers: str) -> Slice:
    given = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return choose(given, size=size, etag=TAG, modified_ns=MODIFIED)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", Slice(206, 0, 10)),
        ("bytes=90-", Slice(206, 90, 10)),
        ("bytes=-10", Slice(206, 90, 10)),
        ("bytes=-1000", Slice(206, 0, 100)),
        ("bytes=50-1000", Slice(206, 50, 50)),
        ("bytes=0-0", Slice(206, 0, 1)),
        ("Bytes = 1 - 2", Slice(206, 1, 2)),
        ("bytes=0-1,5-6", Slice(200, 0, 100)),
        ("bytes=9-1", Slice(200, 0, 100)),
        ("bytes=-", Slice(200, 0, 100)),
        ("bytes=a-b", Slice(200, 0, 100)),
        ("bytes=" + "9" * 30 + "-", Slice(200, 0, 100)),
        ("lines=1-2", Slice(200, 0, 100)),
        ("", Slice(200, 0, 100)),
    ],
)
def test_one_range_is_served_and_any_other_answered_by_the_whole(header: str, part: Slice) -> None:
    assert asked(Range=header) == part


@pytest.mark.parametrize(("size", "header"), [(100, "bytes=100-"), (100, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-5")])
def test_a_range_beyond_the_end_is_refused_with_the_size(size: int, header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        asked(size, Range=header)
    assert caught.value.headers == (("Content-Range", f"bytes */{size}"),)
    assert caught.value.document()["size"] == size


@given(size=st.integers(0, 50), header=st.text(alphabet="bytes=-0123456789, ", max_size=20))
def test_whatever_is_asked_for_lies_within_the_file(size: int, header: str) -> None:
    try:
        part = asked(size, Range=header)
    except RangeNotSatisfiable:
        return
    assert 0 <= part.start <= part.start + part.count <= size
    assert part.status == 206 or (part.start, part.count) == (0, size)


@pytest.mark.parametrize("if_range", [TAG, DATE])
def test_a_range_holds_for_the_same_file_only(if_range: str) -> None:
    assert asked(Range="bytes=0-1", If_Range=if_range) == Slice(206, 0, 2)
    for other in ('"other"', f"W/{TAG}", AFTER, BEFORE, "nonsense"):
        assert asked(Range="bytes=0-1", If_Range=other) == Slice(200, 0, 100)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_None_Match": TAG}, 304),
        ({"If_None_Match": f'"x", W/{TAG}'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_None_Match": '"x"', "If_Modified_Since": DATE}, 200),
        ({"If_None_Match": TAG, "Range": "bytes=0-1"}, 304),
        ({"If_Modified_Since": DATE}, 304),
        ({"If_Modified_Since": AFTER}, 304),
        ({"If_Modified_Since": BEFORE}, 200),
        ({"If_Modified_Since": "nonsense"}, 200),
        ({"If_Match": TAG}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Unmodified_Since": DATE}, 200),
        ({"If_Unmodified_Since": "nonsense"}, 200),
        ({"If_Match": TAG, "If_Unmodified_Since": BEFORE}, 200),
    ],
)
def test_what_a_client_knows_already_is_not_sent_again(headers: dict[str, str], status: int) -> None:
    assert asked(**headers).status == status


@pytest.mark.parametrize(
    "headers", [{"If_Match": '"x"'}, {"If_Match": f"W/{TAG}"}, {"If_Match": ""}, {"If_Unmodified_Since": BEFORE}]
)
def test_a_condition_that_does_not_hold_is_told_with_the_tag_there_is(headers: dict[str, str]) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        asked(**headers)
    assert caught.value.extensions["etag"] == TAG


def test_nothing_matches_what_is_not_there() -> None:
    assert not matches("*", None, weak=False)
    assert not matches('W/"a"', 'W/"a"', weak=False)
    assert matches('W/"a"', '"a"', weak=True)
