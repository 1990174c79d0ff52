"""A prompt in a terminal of its own: spinner, questions, interrupts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.cli.exits import Exit

from ...support.server import poll

if TYPE_CHECKING:
    from ...support.command import Command

PROMPT = ("api", "sessions", "prompt")
SPINNER = re.compile(r"\r\x1b\[K[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] working \d+ s")
UTF8 = {"PYTHONIOENCODING": "utf-8"}


def pending(command: Command, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = command.json("api", "sessions", "permissions", session, "--json")["items"]
    return found


def test_a_spinner_turns_until_the_agent_speaks_and_leaves_no_trace(command: Command, session: str) -> None:
    with command.terminal(*PROMPT, session, "[[sleep 2]] [[say done]]", env=UTF8) as terminal:
        assert terminal.wait() == 0
        frames = SPINNER.findall(terminal.shown)
        assert len(frames) > 1
        assert len(set(frames)) > 1
        rest = SPINNER.sub("", terminal.shown)
    assert rest.replace("\r\x1b[K", "").splitlines()[:1] == ["done"]


def test_a_terminal_that_cannot_has_no_spinner(command: Command, session: str) -> None:
    with command.terminal(*PROMPT, session, "[[sleep 0.3]] [[say done]]", env={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.shown


def test_words_of_the_agent_are_not_cut_by_the_spinner(command: Command, session: str) -> None:
    with command.terminal(*PROMPT, session, "[[tick count=5 every=0.15]]", env=UTF8) as terminal:
        assert terminal.wait() == 0
        text = command.json("api", "sessions", "transcript", session, "--json")["items"][1]["content"][0]["text"]
        assert text in terminal.shown.replace("\r\n", "\n")


@pytest.mark.parametrize(("typed", "reply"), [("1", "once"), ("n", "reject")])
def test_a_permission_is_asked_and_answered(command: Command, session: str, typed: str, reply: str) -> None:
    with command.terminal(*PROMPT, session, "[[ask May I?]]") as terminal:
        terminal.expect("? May I?")
        terminal.expect("  1) ")
        terminal.expect("leaves it waiting]: ")
        terminal.type(f"{typed}\n")
        assert terminal.wait() == 0
    [told] = command.json("api", "sessions", "permissions", session, "--all", "--json")["items"]
    assert told["reply"] == reply


def test_what_is_no_answer_is_asked_again(command: Command, session: str) -> None:
    with command.terminal(*PROMPT, session, "[[ask May I?]]") as terminal:
        for typed in ("9\n", "what?\n", "1\n"):
            terminal.expect("leaves it waiting]: ")
            assert len(pending(command, session)) == 1
            terminal.type(typed)
        assert terminal.wait() == 0


def test_keys_typed_before_the_question_do_not_answer_it(command: Command, session: str) -> None:
    """An Enter too many while the agent works must not allow what comes next."""
    with command.terminal(*PROMPT, session, "[[say begun]] [[sleep 0.5]] [[ask May I?]]") as terminal:
        terminal.expect("begun")
        terminal.type("1\n")
        terminal.expect("leaves it waiting]: ")
        assert len(pending(command, session)) == 1
        terminal.type("n\n")
        assert terminal.wait() == 0
    [told] = command.json("api", "sessions", "permissions", session, "--all", "--json")["items"]
    assert told["reply"] == "reject"


@pytest.mark.parametrize("typed", ["\n", "\x04"])
def test_it_can_be_left_to_somebody_else(command: Command, session: str, typed: str) -> None:
    """An empty line, or the end of input, is no answer; the turn goes on when the answer comes from elsewhere."""
    with command.terminal(*PROMPT, session, "[[ask May I?]] [[say went on]]") as terminal:
        terminal.expect("leaves it waiting]: ")
        terminal.type(typed)
        terminal.expect("it waits for: sandbox-agent api sessions answer")
        [request] = pending(command, session)
        command("api", "sessions", "answer", session, request["id"], "once")
        terminal.expect("went on")
        assert terminal.wait() == 0


def test_a_question_that_somebody_else_answered_is_withdrawn(command: Command, session: str) -> None:
    with command.terminal(*PROMPT, session, "[[ask May I?]] [[say went on]]") as terminal:
        terminal.expect("leaves it waiting]: ")
        [request] = pending(command, session)
        command("api", "sessions", "answer", session, request["id"], "once")
        terminal.expect("went on")
        assert terminal.wait() == 0


def test_nothing_is_asked_where_that_is_not_wanted(command: Command, session: str) -> None:
    with command.terminal(*PROMPT, session, "--no-input", "[[ask May I?]]") as terminal:
        terminal.expect("it waits for: ")
        [request] = pending(command, session)
        command("api", "sessions", "answer", session, request["id"], "once")
        assert terminal.wait() == 0


def test_control_c_cancels_the_turn_also_while_it_asks(command: Command, session: str) -> None:
    for prompt, seen in (("[[say begun]] [[sleep 60]]", "begun"), ("[[ask May I?]]", "leaves it waiting]: ")):
        with command.terminal(*PROMPT, session, prompt) as terminal:
            terminal.expect(seen)
            terminal.type("\x03")
            terminal.expect("cancelled; the session stays")
            assert terminal.wait() == Exit.INTERRUPTED
    states = [told["state"] for told in command.json("api", "sessions", "prompts", session, "--json")["items"]]
    assert states == ["cancelled", "cancelled"]
    poll(lambda: command.json("api", "sessions", "show", session, "--json")["state"] == "idle")
