"""The grammar of the magics: what a line means, and what it says when it means nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent_jupyter.magics.completion import completer, completions
from sandbox_agent_jupyter.magics.grammar import (
    COMMANDS,
    PROMPT_OPTIONS,
    MagicUsageError,
    help_text,
    parse_cell,
    parse_line,
)


@pytest.mark.parametrize(
    "text",
    ["hello", 'what\'s "this"?', "run --agent mock", "a  b", "it's {x} and $y", "[[bash ls -l | wc]]", "-1 is less"],
)
def test_a_prompt_is_taken_as_it_stands(text: str) -> None:
    assert parse_line(f"prompt {text}").text == text


def test_options_before_a_prompt_are_read_and_quotes_around_their_values_dropped() -> None:
    parsed = parse_line("prompt --agent mock --title 'two words' --background say \"hi\" --agent x")
    assert parsed.text == 'say "hi" --agent x'
    assert parsed.options["agent"] == "mock"
    assert parsed.options["title"] == "two words"
    assert parsed.options["background"]


def test_two_dashes_end_the_options() -> None:
    assert parse_line("prompt -- --agent is a word here").text == "--agent is a word here"


def test_an_empty_line_asks_for_the_status() -> None:
    assert parse_line("").command.name == "status"


def test_arguments_may_stand_before_or_after_options() -> None:
    for line in ("new mock --model mock-fast", "new --model mock-fast mock"):
        parsed = parse_line(line)
        assert (parsed.text, parsed.options["model"]) == ("mock", "mock-fast")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("promt hi", "no command 'promt'"),
        ("prompt", "TEXT is missing"),
        ("install", "AGENT is missing"),
        ("new a b", "too much"),
        ("doctor x y", "too much"),
        ("prompt --agent", "expected one argument"),
        ("prompt --wait --background x", "exclude each other"),
        ("new --permissions maybe", "invalid choice"),
        ("events --after one", "invalid int"),
        ("list --bogus", "unrecognized arguments"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, says: str) -> None:
    with pytest.raises(MagicUsageError, match=re.escape(says)):
        parse_line(line)


def test_the_body_of_a_cell_is_the_prompt() -> None:
    parsed = parse_cell("--agent mock --into answer", "\nfirst line\n  second\n")
    assert parsed.text == "first line\n  second"
    assert (parsed.options["agent"], parsed.options["into"]) == ("mock", "answer")


def test_an_empty_cell_and_words_on_the_magic_line_are_refused() -> None:
    with pytest.raises(MagicUsageError, match="body is empty"):
        parse_cell("", "  \n ")
    with pytest.raises(MagicUsageError, match="the cell's body is the prompt"):
        parse_cell("hello", "body")


@given(st.text(min_size=1).map(str.strip).filter(lambda text: text and not text.startswith("--")))
def test_no_prompt_is_ever_altered(text: str) -> None:
    assert parse_line(f"prompt {text}").text == text


def test_help_names_every_command_and_option() -> None:
    overview = help_text()
    assert all(name in overview for name in COMMANDS)
    assert all(option.flag in overview for option in PROMPT_OPTIONS)
    for name, command in COMMANDS.items():
        text = help_text(name)
        assert command.help in text
        assert all(option.flag in text for option in command.options)


class _Values:
    def values(self, kind: str) -> list[str]:
        return {"agents": ["mock", "claude"], "sessions": ["ses_1", "ses_2"], "modes": ["normal", "plan"]}.get(kind, [])


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("%agent pro", ["prompt"]),
        ("%agent mod", ["mode", "model"]),
        ("%agent new m", ["mock"]),
        ("%agent prompt --agent c", ["claude"]),
        ("%agent prompt --ag", ["--agent"]),
        ("%agent use ses", ["ses_1", "ses_2"]),
        ("%agent mode ", ["normal", "plan"]),
        ("%agent new --permissions allow", ["allow_edits", "allow_all"]),
        ("%%agent --ti", ["--title"]),
        ("%%agent --agent mo", ["mock"]),
        ("%agent help tr", ["transcript"]),
        ("%agent prompt hel", []),
        ("%agent nonsense x", []),
    ],
)
def test_completion_knows_commands_options_and_live_values(before: str, expected: list[str]) -> None:
    assert completions(before, _Values()) == expected


def test_the_completer_fits_the_hook_of_the_shell() -> None:
    class Event:
        line = symbol = ""
        text_until_cursor = "  %agent canc"

    assert completer(_Values())(None, Event()) == ["cancel"]
