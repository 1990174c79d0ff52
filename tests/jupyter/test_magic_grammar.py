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
        ("fs", "ACTION ... is missing"),
        ("fs 'x", "No closing quotation"),
        ("fs dir", "no action 'dir' of fs; there are: ls, cat"),
        ("fs cat", "PATH is missing. Usage: %agent fs cat"),
        ("fs mv a", "TO is missing"),
        ("fs stat a b", "'b' is too much"),
        ("fs ls --bogus", "unrecognized arguments"),
        ("fs ls --depth x", "Usage: %agent fs ls [options] [PATH]"),
        ("run --cwd", "expected one argument"),
        ("logs", "ID is missing"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, says: str) -> None:
    with pytest.raises(MagicUsageError, match=re.escape(says)):
        parse_line(line)


def test_an_action_takes_arguments_quoted_as_in_a_shell_and_options_among_them() -> None:
    parsed = parse_line("fs search 'two words' src --glob '*.py' --regex")
    assert (parsed.command.full_name, parsed.arguments) == ("fs search", ("two words", "src"))
    assert (parsed.options["glob"], parsed.options["regex"], parsed.options["name"]) == ("*.py", True, False)
    assert parse_line("fs rm -r a b").options == {"recursive": True}
    assert parse_line("fs ls").arguments == ()
    assert parse_line("fs cat ./--odd").arguments == ("./--odd",)


def test_a_line_for_the_shell_is_taken_as_it_stands() -> None:
    parsed = parse_line('run --cwd here --check echo "a  b" | wc --chars')
    assert parsed.text == 'echo "a  b" | wc --chars'
    assert (parsed.options["cwd"], parsed.options["check"]) == ("here", True)


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
        for action in command.actions:
            assert all(told in text for told in (f"{name} {action.name}", action.help))
            assert all(option.flag in text for option in action.options)


class _Values:
    def values(self, kind: str) -> list[str]:
        known = {"agents": ["mock", "claude"], "sessions": ["ses_1", "ses_2"], "modes": ["normal", "plan"]}
        return (known | {"processes": ["proc_1"]}).get(kind, [])

    def paths(self, start: str) -> list[str]:
        return [path for path in ("data/", "data.csv", "notes.md") if path.startswith(start)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("%agent pro", ["prompt", "processes"]),
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
        ("%agent fs s", ["stat", "search"]),
        ("%agent fs ls da", ["data/", "data.csv"]),
        ("%agent fs ls --rec", ["--recursive"]),
        ("%agent fs rm notes.md da", ["data/", "data.csv"]),
        ("%agent fs put da", []),
        ("%agent fs put here no", ["notes.md"]),
        ("%agent fs search da", []),
        ("%agent fs search text da", ["data/", "data.csv"]),
        ("%agent fs nonsense da", []),
        ("%agent run --cwd da", ["data/", "data.csv"]),
        ("%agent logs --follow pro", ["proc_1"]),
        ("%agent stop ", ["proc_1"]),
    ],
)
def test_completion_knows_commands_options_and_live_values(before: str, expected: list[str]) -> None:
    assert completions(before, _Values()) == expected


def test_the_completer_fits_the_hook_of_the_shell() -> None:
    class Event:
        line = symbol = ""
        text_until_cursor = "  %agent canc"

    assert completer(_Values())(None, Event()) == ["cancel"]
