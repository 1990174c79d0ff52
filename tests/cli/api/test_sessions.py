"""`sandbox-agent api sessions` against the real server and the mock agent."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.cli.api.session_writes import _skill
from sandbox_agent.cli.exits import Exit

from ...support.server import poll

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from ...support.command import Command


def sessions(command: Command, action: str, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return command("api", "sessions", action, *args, **options)


def pending(command: Command, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = command.json("api", "sessions", "permissions", session, "--json")["items"]
    return found


class TestCreate:
    def test_it_takes_every_option_and_shows_those_in_force(self, command: Command, tmp_path: Path) -> None:
        options = ["--id", "made-here", "--cwd", str(tmp_path), "--model", "mock-fast", "--mode", "plan"]
        options += ["--thought-level", "high", "--title", "A title", "--permissions", "allow-edits"]
        told = command.json("api", "sessions", "create", "mock", "--json", *options)
        assert told["id"] == "made-here"
        assert (told["model"], told["mode"], told["thoughtLevel"]) == ("mock-fast", "plan", "high")
        assert told["permissionPolicy"]["default"] == "allow_edits"
        shown = sessions(command, "show", "made-here").stdout
        assert "A title" in shown
        assert str(tmp_path) in shown
        again = sessions(command, "create", "mock", "--id", "made-here", status=Exit.FAILURE)
        assert "error: " in again.stderr

    def test_the_agent_works_where_the_command_was_called(self, command: Command) -> None:
        told = command.json("api", "sessions", "create", "mock", "--json")
        assert told["cwd"] == str(command.home)

    def test_a_policy_with_rules_may_be_json_or_a_file(self, command: Command, tmp_path: Path) -> None:
        policy = {"default": "ask", "rules": [{"decision": "allow", "command": "echo"}]}
        path = tmp_path / "policy.json"
        path.write_text(json.dumps(policy))
        for given in (json.dumps(policy), f"@{path}"):
            told = command.json("api", "sessions", "create", "mock", "--json", "--permissions", given)
            assert told["permissionPolicy"]["rules"] == policy["rules"]

    def test_the_agent_gets_variables_also_from_here(self, command: Command) -> None:
        env = {"A_SECRET": "of-mine"}
        args = ["mock", "-q", "--permissions", "allow_all", "--env", "A_SECRET", "--env", "OTHER=a=b"]
        session = sessions(command, "create", *args, env=env).stdout.strip()
        done = sessions(command, "prompt", session, "[[bash echo $A_SECRET $OTHER]]")
        assert "of-mine a=b" in done.stderr
        assert "NOT_SET" in sessions(command, "create", "mock", "--env", "NOT_SET", status=Exit.USAGE).stderr

    def test_skills_of_a_folder_are_placed(self, command: Command, tmp_path: Path) -> None:
        folder = tmp_path / "skills" / "greet"
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text("---\nname: greet\ndescription: Greets.\n---\nSay hello.\n")
        told = command.json("api", "sessions", "create", "mock", "--json", "--skill", str(folder.parent))
        assert [skill["name"] for skill in told["skills"]] == ["greet"]
        assert "--skill" in sessions(command, "create", "mock", "--skill", "what is this", status=Exit.USAGE).stderr

    @pytest.mark.parametrize(
        ("text", "source"),
        [
            ("owner/name", {"type": "github", "source": "owner/name"}),
            ("https://x.example/a.git", {"type": "git", "source": "https://x.example/a.git"}),
            ('{"type": "git", "source": "u", "ref": "v1"}', {"type": "git", "source": "u", "ref": "v1"}),
        ],
    )
    def test_sources_of_skills_are_told_apart(self, text: str, source: dict[str, str]) -> None:
        assert _skill(text) == source

    def test_a_fork_goes_on_from_there(self, command: Command, session: str) -> None:
        sessions(command, "prompt", session, "[[say remember this]]")
        forked = sessions(command, "fork", session, "-q", "--title", "Another way").stdout.strip()
        told = command.json("api", "sessions", "show", forked, "--json")
        assert (told["forkedFrom"], told["title"]) == (session, "Another way")

    @pytest.mark.parametrize("policy", ["sometimes", "{", '{"default": "never"}', "@/nowhere"])
    def test_a_policy_that_is_none_is_refused_before_anything_is_made(self, command: Command, policy: str) -> None:
        done = sessions(command, "create", "mock", "--permissions", policy, status=Exit.USAGE)
        assert "--permissions" in done.stderr


class TestPrompt:
    def test_what_the_agent_says_is_all_of_stdout(self, command: Command, session: str) -> None:
        """So that `$(sandbox-agent api sessions prompt ...)` is the answer."""
        done = sessions(command, "prompt", session, "[[think hm]] [[say one]] [[plan a|b]] [[say two]]")
        assert done.stdout == "one\n\ntwo\n"
        assert "~ hm" in done.stderr
        assert "[ ] a" in done.stderr
        assert "completed" in done.stderr
        assert "\x1b" not in done.stderr, "no spinner where there is no terminal"

    def test_quiet_tells_nothing_else(self, command: Command, session: str) -> None:
        done = sessions(command, "prompt", session, "--quiet", "[[think hm]] [[say one]]")
        assert (done.stdout, done.stderr) == ("one\n", "")

    def test_only_this_turn_is_told(self, command: Command, session: str) -> None:
        sessions(command, "prompt", session, "[[say before]]")
        assert "before" not in sessions(command, "prompt", session, "[[say after]]").stdout

    def test_it_comes_from_stdin_or_a_file(self, command: Command, session: str, tmp_path: Path) -> None:
        path = tmp_path / "prompt.md"
        path.write_text("[[say from a file]]")
        assert sessions(command, "prompt", session, "--file", str(path)).stdout == "from a file\n"
        assert sessions(command, "prompt", session, "-", stdin="[[say piped]]").stdout == "piped\n"
        assert sessions(command, "prompt", session, stdin="[[say piped too]]").stdout == "piped too\n"
        assert sessions(command, "prompt", session, "[[say", "of", "words]]").stdout == "of words\n"

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            ((), "empty"),
            (("words", "--file", "f"), "not both"),
            (("--file", "/nowhere"), "/nowhere"),
            (("words", "--attach", "/nowhere"), "/nowhere"),
        ],
    )
    def test_mistakes_are_told_as_such(self, command: Command, session: str, args: tuple[str, ...], said: str) -> None:
        assert said in sessions(command, "prompt", session, *args, status=Exit.USAGE).stderr

    def test_files_go_with_it(self, command: Command, session: str, tmp_path: Path) -> None:
        """As links where the agent can read them, pictures as what is seen."""
        path = tmp_path / "notes.txt"
        path.write_text("notes")
        picture = tmp_path / "dot.gif"
        picture.write_bytes(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")
        drawing = tmp_path / "drawing.svg"
        drawing.write_text("<svg/>")
        files = [word for file in (path, picture, drawing) for word in ("--attach", str(file))]
        sessions(command, "prompt", session, "[[say seen]]", *files)
        [prompt] = command.json("api", "sessions", "prompts", session, "--json")["items"]
        assert [block["type"] for block in prompt["prompt"]] == ["text", "resource_link", "image", "resource_link"]
        assert prompt["prompt"][2]["uri"] == picture.as_uri()
        assert prompt["id"] in sessions(command, "prompts", session).stdout

    def test_programs_get_events_and_the_result_a_line_each(self, command: Command, session: str) -> None:
        lines = [
            json.loads(line) for line in sessions(command, "prompt", session, "--json", "[[say a]]").stdout.splitlines()
        ]
        *events, result = lines
        assert {line["type"] for line in events} == {"event"}
        numbers = [line["event"]["sequence"] for line in events]
        assert numbers == sorted(set(numbers))
        assert result["type"] == "result"
        assert result["text"] == "a"
        assert result["prompt"]["state"] == "completed"

    def test_a_failed_turn_has_a_status_of_its_own(self, command: Command, session: str) -> None:
        done = sessions(command, "prompt", session, "[[say first]] [[error code=7 message=broken]]", status=4)
        assert done.stdout == "first\n"
        assert done.stderr.count("broken") == 1
        quiet = sessions(command, "prompt", session, "-q", "[[error code=7 message=broken]]", status=4)
        assert quiet.stderr.startswith("error: ")
        assert "broken" in quiet.stderr
        told = sessions(command, "prompt", session, "--json", "[[crash code=3]]", status=Exit.PROMPT_FAILED)
        assert json.loads(told.stderr)["type"] == "urn:sandbox-agent:error:agent_process_exited"
        assert json.loads(told.stdout.splitlines()[-1])["prompt"]["state"] == "failed"

    def test_a_key_makes_it_one_prompt(self, command: Command, session: str) -> None:
        for _ in range(2):
            assert sessions(command, "prompt", session, "--idempotency-key", "k", "[[say once]]").stdout == "once\n"
        assert len(command.json("api", "sessions", "prompts", session, "--json")["items"]) == 1

    def test_it_can_be_left_running(self, command: Command, session: str) -> None:
        prompt = sessions(command, "prompt", session, "--no-wait", "[[sleep 60]]").stdout.strip()
        poll(lambda: command.json("api", "sessions", "show", session, "--json").get("currentPromptId") == prompt)
        sessions(command, "cancel", session)
        [told] = command.json("api", "sessions", "prompts", session, "--json")["items"]
        assert told["state"] == "cancelled"

    def test_an_interrupt_cancels_the_turn_and_keeps_the_session(self, command: Command, session: str) -> None:
        with command.popen("api", "sessions", "prompt", session, "[[say begun]] [[sleep 60]]") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(5) == "begun"
            poll(lambda: command.json("api", "sessions", "show", session, "--json")["state"] == "running")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == Exit.INTERRUPTED
            assert "cancelled; the session stays" in process.stderr.read()
        [told] = command.json("api", "sessions", "prompts", session, "--json")["items"]
        assert told["state"] == "cancelled"
        assert sessions(command, "prompt", session, "[[say alive]]").stdout == "alive\n"

    def test_an_interrupt_in_the_queue_leaves_the_turn_before_it_alone(self, command: Command, session: str) -> None:
        sessions(command, "prompt", session, "--no-wait", "[[sleep 60]]")
        with command.popen("api", "sessions", "prompt", session, "[[say later]]") as process:
            assert process.stderr is not None
            poll(lambda: len(command.json("api", "sessions", "prompts", session, "--json")["items"]) == 2)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == Exit.INTERRUPTED
            assert f"api sessions cancel {session}" in process.stderr.read()
        told = command.json("api", "sessions", "prompts", session, "--json")["items"]
        assert [prompt["state"] for prompt in told] == ["running", "queued"]
        sessions(command, "cancel", session)

    def test_a_turn_that_somebody_else_cancelled_is_no_success(self, command: Command, session: str) -> None:
        with command.popen("api", "sessions", "prompt", session, "[[sleep 60]]") as process:
            poll(lambda: command.json("api", "sessions", "show", session, "--json")["state"] == "running")
            sessions(command, "cancel", session)
            assert process.wait(60) == Exit.INTERRUPTED


class TestPermissions:
    @pytest.fixture
    def waiting(self, command: Command, session: str) -> Iterator[subprocess.Popen[str]]:
        """A prompt whose turn waits for a permission, without a terminal."""
        with command.popen("api", "sessions", "prompt", session, "[[ask May I?]]") as process:
            poll(lambda: pending(command, session))
            yield process
            process.kill()

    def test_the_command_that_answers_it_is_told_and_does(
        self, command: Command, session: str, waiting: subprocess.Popen[str]
    ) -> None:
        assert waiting.stderr is not None
        line = next(line for line in waiting.stderr if line.startswith("it waits for: "))
        told = line.removeprefix("it waits for: ").split()
        assert told[0] == "sandbox-agent"
        assert told[-1] == "once|always|reject"
        assert "selected" in command(*told[1:-1], "once").stdout
        assert waiting.wait(60) == 0
        assert pending(command, session) == []
        assert len(command.json("api", "sessions", "permissions", session, "--all", "--json")["items"]) == 1

    def test_the_first_answer_wins(self, command: Command, session: str, waiting: subprocess.Popen[str]) -> None:
        [request] = pending(command, session)
        told = command.json("api", "sessions", "answer", session, request["id"], "reject", "--json")
        assert told["reply"] == "reject"
        late = sessions(command, "answer", session, request["id"], "once", status=Exit.FAILURE)
        assert late.stderr.startswith("error: ")

    def test_those_that_wait_are_listed_with_their_options(
        self, command: Command, session: str, waiting: subprocess.Popen[str]
    ) -> None:
        done = sessions(command, "permissions", session)
        assert "May I?" in done.stdout
        assert "api sessions answer" in done.stderr
        assert "May I?" in sessions(command, "show", session).stdout


class TestReading:
    @pytest.fixture
    def told(self, command: Command, session: str) -> str:
        sessions(command, "prompt", session, "[[say something]] [[write path=a.txt text=b]]", "--no-wait")
        [request] = poll(lambda: pending(command, session))
        sessions(command, "answer", session, request["id"], "reject")
        poll(lambda: command.json("api", "sessions", "show", session, "--json")["state"] == "idle")
        return session

    def test_sessions_are_listed_in_pages_or_all(self, command: Command) -> None:
        made = [sessions(command, "create", "mock", "-q").stdout.strip() for _ in range(3)]
        page = command.json("api", "sessions", "list", "--json", "--limit", "2")
        assert len(page["items"]) == 2
        assert page["nextCursor"]
        everything = command.json("api", "sessions", "list", "--json", "--all")
        assert set(made) <= {item["id"] for item in everything["items"]}
        assert everything["nextCursor"] is None
        shown = sessions(command, "list", "--limit", "1")
        assert made[-1] in shown.stdout
        assert "--all" in shown.stderr

    def test_events_are_a_table_or_json_lines_from_any_point(self, command: Command, told: str) -> None:
        lines = [json.loads(line) for line in sessions(command, "events", told, "--json").stdout.splitlines()]
        assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
        some = sessions(command, "events", told, "--json", "--after", "2", "--limit", "3").stdout.splitlines()
        assert [json.loads(line)["sequence"] for line in some] == [3, 4, 5]
        head, first, *_ = sessions(command, "events", told).stdout.splitlines()
        assert head.split() == ["#", "Time", "Sender", "Payload"]
        assert first.split()[0] == "1"

    def test_events_and_transcript_can_be_followed(self, command: Command, told: str) -> None:
        for action in ("events", "transcript"):
            with command.popen("api", "sessions", action, told, "--follow", "--json") as process:
                assert process.stdout is not None
                sessions(command, "prompt", told, f"[[say more {action}]]")
                assert any(f"more {action}" in line for line in process.stdout)
                process.terminate()
        with command.popen("api", "sessions", "transcript", told, "--follow") as process:
            assert process.stdout is not None
            assert any("something" in line for line in process.stdout)
            process.terminate()

    def test_the_transcript_is_text_or_json(self, command: Command, told: str) -> None:
        assert "something" in sessions(command, "transcript", told).stdout
        assert command.json("api", "sessions", "transcript", told, "--json")["sessionId"] == told

    def test_it_is_exported_in_every_format(self, command: Command, told: str, tmp_path: Path) -> None:
        assert "something" in sessions(command, "export", told).stdout
        assert sessions(command, "export", told, "--format", "html").stdout.lower().startswith("<!doctype html")
        for name in ("a.md", "a.html", "a.ipynb", "a.txt", "a.json"):
            done = sessions(command, "export", told, "-o", str(tmp_path / name))
            assert str(tmp_path / name) in done.stderr
            assert "something" in (tmp_path / name).read_text()
        assert json.loads((tmp_path / "a.ipynb").read_text())["nbformat"] == 4
        assert json.loads((tmp_path / "a.json").read_text())["sessionId"] == told
        sessions(command, "export", told, "-o", "/nowhere/a.md", status=Exit.USAGE)


class TestChanging:
    def test_options_change_and_the_rest_stays(self, command: Command, session: str) -> None:
        told = command.json(
            "api", "sessions", "update", session, "--json", "--model", "mock-fast", "--permissions", "deny"
        )
        assert told["model"] == "mock-fast"
        assert told["mode"] == "normal"
        assert told["permissionPolicy"]["default"] == "deny"
        assert "New" in sessions(command, "update", session, "--title", "New").stdout
        assert "nothing to change" in sessions(command, "update", session, status=Exit.USAGE).stderr

    def test_deleted_sessions_are_gone(self, command: Command, session: str) -> None:
        other = sessions(command, "create", "mock", "-q").stdout.strip()
        sessions(command, "delete", session, other)
        for gone in (session, other):
            assert "error: " in sessions(command, "show", gone, status=Exit.FAILURE).stderr
