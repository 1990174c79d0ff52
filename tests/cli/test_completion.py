"""Completion scripts, in the shells they are for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.cli.completion import SHELLS

from ..support.command import Terminal
from ..support.desktop import some_display

if TYPE_CHECKING:
    from ..support.command import Command

SOURCE = {
    "bash": ["bash", "-n"],
    "zsh": ["zsh", "-n"],
    "fish": ["fish", "--no-execute"],
}

# What a shell does when TAB is pressed at the end of the line; each answer on a line.
PRESS = {
    "bash": """
source @SCRIPT@
COMP_LINE='@LINE@'; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete sandbox-agent "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
""",
    "fish": "source @SCRIPT@\ncomplete --do-complete '@LINE@'\n",
}

MISSING = "this test needs {0}: apt-get install {0}, which scripts/test does where it may"


def script(command: Command, shell: str, tmp_path: Path) -> Path:
    path = tmp_path / f"completion.{shell}"
    path.write_text(command("completion", shell).stdout)
    return path


def press(command: Command, shell: str, line: str, tmp_path: Path) -> list[str]:
    """What the shell offers for the line."""
    assert shutil.which(shell), MISSING.format(shell)
    text = PRESS[shell].replace("@SCRIPT@", str(script(command, shell, tmp_path))).replace("@LINE@", line)
    environ = command.environ()
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    done = subprocess.run(
        [shell], input=text, env=environ, cwd=command.home, capture_output=True, text=True, timeout=60, check=True
    )
    return [offer.split("\t")[0].strip() for offer in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_the_shell_s_own_language(command: Command, shell: str, tmp_path: Path) -> None:
    path = script(command, shell, tmp_path)
    assert shutil.which(shell), MISSING.format(shell)
    done = subprocess.run([*SOURCE[shell], path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", list(PRESS))
class TestOffers:
    def test_commands(self, command: Command, shell: str, tmp_path: Path) -> None:
        assert {"server", "api", "daemon"} <= set(press(command, shell, "sandbox-agent ", tmp_path))
        assert press(command, shell, "sandbox-agent api sessions tr", tmp_path) == ["transcript"]

    def test_options(self, command: Command, shell: str, tmp_path: Path) -> None:
        assert "--idempotency-key" in press(command, shell, "sandbox-agent api sessions prompt x --ide", tmp_path)

    def test_choices(self, command: Command, shell: str, tmp_path: Path) -> None:
        assert press(command, shell, "sandbox-agent completion z", tmp_path) == ["zsh"]

    def test_agents_of_the_server(self, command: Command, shell: str, tmp_path: Path) -> None:
        assert press(command, shell, "sandbox-agent api sessions create moc", tmp_path) == ["mock"]

    def test_sessions_of_the_server(self, command: Command, shell: str, session: str, tmp_path: Path) -> None:
        assert session in press(command, shell, "sandbox-agent api sessions show ses", tmp_path)

    def test_processes_of_the_server(self, command: Command, shell: str, tmp_path: Path) -> None:
        name = command("api", "processes", "start", "true").stdout.strip()
        assert name in press(command, shell, "sandbox-agent api processes logs proc", tmp_path)

    def test_recordings_and_windows_of_the_server(self, command: Command, shell: str, tmp_path: Path) -> None:
        command("api", "desktop", "start", "--display", str(some_display()))
        try:
            name = command("api", "desktop", "record", "start").stdout.strip()
            for action in ("get", "rm"):
                assert name in press(command, shell, f"sandbox-agent api desktop record {action} rec", tmp_path)
            command("api", "desktop", "launch", "--wait", "xterm")
            window = command.json("api", "desktop", "windows", "--json")["windows"][0]["id"]
            assert window in press(command, shell, f"sandbox-agent api desktop focus {window[0]}", tmp_path)
            command("api", "desktop", "record", "stop")
            command("api", "desktop", "record", "rm", name)
        finally:
            command("api", "desktop", "stop")

    def test_paths_of_the_server(self, command: Command, shell: str, tmp_path: Path) -> None:
        (tmp_path / "there" / "data").mkdir(parents=True)
        (tmp_path / "there" / "data.csv").touch()
        offers = press(command, shell, f"sandbox-agent api fs cat {tmp_path}/there/da", tmp_path)
        assert sorted(offers) == [f"{tmp_path}/there/data.csv", f"{tmp_path}/there/data/"]  # each shell has its order


@pytest.mark.parametrize(
    ("shell", "begin"),
    [
        (("bash", "--norc", "--noprofile", "-i"), ""),
        (("zsh", "-f", "-i"), "autoload -U compinit; compinit -u -D; "),
        (("fish", "--no-config", "-i"), ""),
    ],
    ids=SHELLS,
)
def test_a_key_pressed_in_the_shell_completes_the_line(
    command: Command, shell: tuple[str, ...], begin: str, tmp_path: Path
) -> None:
    """The whole way: the shell's line editor, its completion, our script and the parser."""
    assert shutil.which(shell[0]), MISSING.format(shell[0])
    path, out = script(command, shell[0], tmp_path), tmp_path / "out"
    environ = command.environ({"TERM": "xterm", "PS1": "$ ", "PS2": ""})
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    argv = [str(shutil.which(shell[0])), *shell[1:]]
    with Terminal(argv, environ, command.home) as terminal:
        terminal.type(f"{begin}source {path}; echo rea''dy\n")
        terminal.expect("ready")
        terminal.type(f"sandbox-agent completion z\t> {out}; echo do''ne\n")
        terminal.expect("done\r")
    assert out.read_text() == command("completion", "zsh").stdout


def test_without_a_server_nothing_is_offered_and_nothing_said(tmp_path: Path) -> None:
    from ..support.command import Command as Plain  # noqa: PLC0415 - without a server

    command = Plain(tmp_path / "home")
    offers = press(command, "bash", "sandbox-agent api sessions show ses", tmp_path)
    assert [offer for offer in offers if offer] == []


def test_another_shell_is_refused(command: Command) -> None:
    assert "invalid choice" in command("completion", "dos", status=2).stderr
