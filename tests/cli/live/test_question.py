"""A permission's question and what counts as its answer."""

from __future__ import annotations

import pytest

from sandbox_agent.cli.live import question
from sandbox_agent.wire.sessions import PermissionOption
from sandbox_agent.wire.transcript import PermissionItem

OPTIONS = (
    PermissionOption(option_id="yes-1", name="Yes", kind="allow_once"),
    PermissionOption(option_id="yes-2", name="Yes, always", kind="allow_always"),
    PermissionOption(option_id="no-1", name="No", kind="reject_once"),
)
ITEM = PermissionItem(
    id="p",
    created=1,
    updated=1,
    created_at_ms=0,
    request_id="r",
    tool_call_id=None,
    title="Run \x1b[2Jrm",
    options=OPTIONS,
    state="pending",
)


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("1", "yes-1"),
        ("3", "no-1"),
        ("y", "yes-1"),
        ("once", "yes-1"),
        ("A", "yes-2"),
        ("n", "no-1"),
        ("No", "no-1"),
        ("yes-2", "yes-2"),
        ("0", None),
        ("4", None),
        ("maybe", None),
        ("²", None),
    ],
)
def test_an_option_is_chosen_by_number_kind_or_name_and_nothing_else(typed: str, option: str | None) -> None:
    assert question.chosen(ITEM, typed) == option


def test_a_reply_of_a_kind_that_is_not_offered_is_no_answer() -> None:
    """`a` is not taken for `once` where nothing allows always."""
    import msgspec  # noqa: PLC0415 - only here

    assert question.chosen(msgspec.structs.replace(ITEM, options=OPTIONS[:1]), "a") is None


def test_the_question_numbers_its_options_and_holds_no_escape_sequence() -> None:
    shown = question.text(ITEM)
    assert shown.splitlines() == ["? Run rm", "  1) Yes", "  2) Yes, always", "  3) No"]
    assert "1-3" in question.ask(ITEM)
