"""The renderers' pieces: escape sequences, diffs, markup, words for numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.render.ansi import coloured, plain
from sandbox_agent.render.diff import diff_of
from sandbox_agent.render.markup import Markup, escape, tag
from sandbox_agent.render.parts import duration, raw_text, short, unfenced, usage_text

from ..support.safe_html import faults, text_in


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r 50%\r100%\n", "100%\n"),
        ("dos\r\nline\r\n", "dos\nline\n"),
        ("\x1b]0;title\x07text\x1b[2K\x1b[1A", "text"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[38;5;196;1mx\x1b[m", "x"),
    ],
)
def test_escape_sequences_leave_what_is_on_the_screen(raw: str, shown: str) -> None:
    """Colours, titles, links and lines written over."""
    assert plain(raw) == shown
    assert text_in(coloured(raw)) == shown


def test_colours_become_classes() -> None:
    """The sixteen colours and bold; a reset ends them; arguments of finer colours are not taken for colours."""
    assert coloured("\x1b[1;32mok\x1b[0m.") == '<span class="sa-bold sa-green">ok</span>.'
    assert coloured("\x1b[38;5;31mx") == "x"
    assert coloured("\x1b[91mx\x1b[39my") == '<span class="sa-red">x</span>y'


@given(st.text(alphabet="\x1b[];0123m\r\n<b>&a\x07", max_size=60))
def test_output_is_escaped_in_colour_too(text: str) -> None:
    """No sequence breaks out of the text."""
    assert faults(coloured(text)) == []


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_a_diff_leads_from_old_to_new(old: list[str], new: list[str]) -> None:
    """Removed and added lines are counted, and the signs tell both sides."""
    diff = diff_of({"path": "p", "oldText": "\n".join(old), "newText": "\n".join(new)})
    added = [line for sign, line in diff.lines if sign == "+"]
    removed = [line for sign, line in diff.lines if sign == "-"]
    assert (len(added), len(removed)) == (diff.added, diff.removed)
    assert len(new) - len(old) == diff.added - diff.removed


@pytest.mark.parametrize("old", [{}, {"oldText": None}, {"oldText": ""}])
def test_a_new_file_has_only_added_lines(old: dict[str, None]) -> None:
    """Old text absent, null or empty: the same."""
    diff = diff_of({"path": "p", "newText": "a\nb\n", **old})
    assert (diff.created, diff.added, diff.removed, diff.stats) == (True, 2, 0, "+2")


def test_a_huge_diff_is_not_compared() -> None:
    """Comparing costs the product of the sides; above a size they are shown one after the other."""
    diff = diff_of({"oldText": "a\n" * 50_000, "newText": "b\n" * 50_000})
    assert (diff.added, diff.removed) == (50_000, 50_000)


def test_unchanged_lines_far_from_changes_are_left_out() -> None:
    """Three lines of context, a gap between."""
    lines = [str(n) for n in range(50)]
    changed = [*lines]
    changed[5] = changed[40] = "x"
    diff = diff_of({"oldText": "\n".join(lines), "newText": "\n".join(changed)})
    assert [sign for sign, _ in diff.lines].count("@") == 1
    assert len(diff.lines) == 17


def test_markup_is_escaped_once() -> None:
    """Text is escaped, what is markup already is not; attributes are escaped and can be left out."""
    assert tag("b", "<&>", Markup("<i>x</i>")) == "<b>&lt;&amp;&gt;<i>x</i></b>"
    assert tag("a", "x", cls='"', title=None, href="'", open=True) == '<a class="&quot;" href="&#x27;" open>x</a>'
    assert escape("a\x00b\ud800") == "ab"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("plain", "plain"),
        ({"stdout": "a", "stderr": "b", "output": "a"}, "a\nb"),
        ({"content": [{"type": "text", "text": "c"}]}, "c"),
        ({"content": "d", "detailedContent": "e"}, "d"),
        ({"exit_code": 0}, '{\n  "exit_code": 0\n}'),
        (None, ""),
    ],
)
def test_raw_output_is_read_in_the_shapes_agents_use(raw: object, text: str) -> None:
    """Text where there is text, else JSON."""
    assert raw_text(raw) == text


def test_a_text_that_is_one_fence_loses_it() -> None:
    """Claude wraps output in fences; two fences are left alone."""
    assert unfenced("```console\na\nb\n```") == ("a\nb", "console")
    assert unfenced("```\na\n```\n\n```\nb\n```")[1] is None or unfenced("text")[1] is None
    assert unfenced("text") == ("text", None)


def test_numbers_are_words() -> None:
    """Short and with units."""
    assert [duration(ms) for ms in (12, 1500, 61_000, 3_660_000)] == ["12 ms", "1.5 s", "1 min 1 s", "1 h 1 min"]
    assert [short(n) for n in (12, 2_500, 200_000, 1_000_000)] == ["12", "2.5k", "200k", "1M"]
    assert usage_text({"used": 20_903, "size": 1_000_000, "cost": {"amount": 0.336, "currency": "USD"}}) == (
        "context 20.9k of 1M · 0.34 USD"
    )
    assert usage_text({"inputTokens": 5, "outputTokens": 7}) == "5 tokens in · 7 tokens out"
    assert usage_text({"used": None, "size": "x", "cost": 3}) == ""
