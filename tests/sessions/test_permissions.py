"""A permission request: what it can be answered, and that only the first answer counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.problems import Conflict, InvalidRequest
from sandbox_agent.sessions.permissions import asked, chosen, outcome, resolved
from sandbox_agent.wire.sessions import PermissionAnswer

if TYPE_CHECKING:
    from sandbox_agent.wire.sessions import PermissionInfo

OPTIONS = [
    {"optionId": "y", "name": "Yes", "kind": "allow_once"},
    {"optionId": "n", "name": "No", "kind": "reject_once"},
]


def request(options: Any = OPTIONS) -> PermissionInfo:
    return asked("perm_1", "s", options=options, tool_call={"toolCallId": "t"}, prompt_id="p", now_ms=1)


def test_a_reply_chooses_by_kind_and_an_option_id_chooses_itself() -> None:
    for answer, option_id in [
        (PermissionAnswer(reply="once"), "y"),
        (PermissionAnswer(reply="reject"), "n"),
        (PermissionAnswer(option_id="n"), "n"),
    ]:
        option = chosen(request(), answer)
        assert option is not None
        assert option.option_id == option_id


@pytest.mark.parametrize(
    "answer",
    [
        PermissionAnswer(),
        PermissionAnswer(reply="once", option_id="y"),
        PermissionAnswer(reply="always"),
        PermissionAnswer(option_id="z"),
    ],
)
def test_an_answer_that_cannot_be_given_is_refused_with_those_that_can(answer: PermissionAnswer) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chosen(request(), answer)
    assert refused.value.extensions == {"availableReplies": ["once", "reject"], "availableOptions": ["y", "n"]}


def test_the_second_answer_is_a_conflict_that_carries_the_first() -> None:
    info = request()
    first = resolved(info, chosen(info, PermissionAnswer(reply="once")), by="client", now_ms=5, name="ann")
    with pytest.raises(Conflict, match="resolved already, by ann") as conflict:
        chosen(first, PermissionAnswer(reply="reject"))
    assert conflict.value.extensions["permission"]["optionId"] == "y"
    assert conflict.value.extensions["permission"]["resolvedByName"] == "ann"


def test_the_agent_is_answered_with_the_chosen_option_or_cancelled() -> None:
    info = request()
    selected = resolved(info, info.options[0], by="policy", now_ms=5, rule="rule 0")
    cancelled = resolved(info, None, by="cancel", now_ms=5)
    assert outcome(selected) == {"outcome": {"outcome": "selected", "optionId": "y"}}
    assert outcome(cancelled) == {"outcome": {"outcome": "cancelled"}}
    assert (selected.reply, selected.rule, cancelled.reply, cancelled.state) == ("once", "rule 0", None, "cancelled")


def test_rejecting_a_request_without_such_an_option_cancels_it_and_says_it_was_rejected() -> None:
    info = request(options=OPTIONS[:1])
    rejected = resolved(info, chosen(info, PermissionAnswer(reply="reject")), by="client", now_ms=5)
    assert (rejected.state, rejected.reply, rejected.resolved_by) == ("cancelled", "reject", "client")


@pytest.mark.parametrize("options", [None, "x", [1, {"optionId": 3}, {"name": "no id"}]])
def test_malformed_options_leave_only_a_rejection(options: Any) -> None:
    assert request(options).available_replies == ("reject",)


def test_an_option_of_a_kind_of_the_future_can_be_chosen_by_its_id() -> None:
    info = request([{"optionId": "later", "name": "Later", "kind": "postpone"}])
    answered = resolved(info, chosen(info, PermissionAnswer(option_id="later")), by="client", now_ms=2)
    assert (answered.option_id, answered.reply) == ("later", None)
