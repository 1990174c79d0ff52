"""`sandbox-agent completion`: the shell's TAB, answered from the parser itself."""

from __future__ import annotations

import argparse
from typing import Any

SHELLS = ("bash", "zsh", "fish")

DESCRIPTION = """\
Print the script by which a shell completes this command: options, agents, sessions, processes and paths of the server.

    bash   eval "$(sandbox-agent completion bash)"      in ~/.bashrc
    zsh    eval "$(sandbox-agent completion zsh)"       in ~/.zshrc, after compinit
    fish   sandbox-agent completion fish | source       in ~/.config/fish/config.fish"""

MOST_SESSIONS = 50


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "completion",
        help="print a shell's completion script",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["sandbox-agent"], shell=arguments.shell))
    return 0


def answer(parser: argparse.ArgumentParser) -> None:
    """Tell the shell what completes its line, and exit; returns where it did not ask."""
    import argcomplete

    argcomplete.autocomplete(parser, always_complete_options="long")


def agent_ids(parsed_args: argparse.Namespace, **_asked: Any) -> list[str]:
    """The agents of the server that the line so far names."""
    from sandbox_agent.cli.connection import connect
    from sandbox_agent.problems import SandboxAgentError

    try:
        with connect(parsed_args) as client:
            return [agent.id for agent in client.agents()]
    except SandboxAgentError:
        return []


def session_ids(parsed_args: argparse.Namespace, **_asked: Any) -> list[str]:
    """Its newest sessions."""
    from sandbox_agent.cli.connection import connect
    from sandbox_agent.problems import SandboxAgentError

    try:
        with connect(parsed_args) as client:
            return [session.id for session in client.list_sessions(limit=MOST_SESSIONS).items]
    except SandboxAgentError:
        return []


def process_ids(parsed_args: argparse.Namespace, **_asked: Any) -> list[str]:
    """Its processes."""
    from sandbox_agent.cli.connection import connect
    from sandbox_agent.problems import SandboxAgentError

    try:
        with connect(parsed_args) as client:
            return [process.id for process in client.processes.list()]
    except SandboxAgentError:
        return []


def remote_paths(prefix: str, parsed_args: argparse.Namespace, **_asked: Any) -> list[str]:
    """What is in the folder of its machine that the path so far leads into; folders end with a slash."""
    from sandbox_agent.cli.connection import connect
    from sandbox_agent.problems import SandboxAgentError

    folder, slash, start = prefix.rpartition("/")
    pattern = None if any(character in start for character in "*?[]{}!\\") else f"{start}*"
    try:
        with connect(parsed_args) as client:
            entries = client.fs.list(folder + slash or ".", glob=pattern)
    except SandboxAgentError:
        return []
    return [f"{folder}{slash}{entry.name}{'/' if entry.is_dir else ''}" for entry in entries]


def recording_ids(parsed_args: argparse.Namespace, **_asked: Any) -> list[str]:
    """The recordings of its desktop."""
    from sandbox_agent.cli.connection import connect
    from sandbox_agent.problems import SandboxAgentError

    try:
        with connect(parsed_args) as client:
            return [recording.id for recording in client.desktop.recordings.list()]
    except SandboxAgentError:
        return []


def window_ids(parsed_args: argparse.Namespace, **_asked: Any) -> list[str]:
    """The windows of its desktop."""
    from sandbox_agent.cli.connection import connect
    from sandbox_agent.problems import SandboxAgentError

    try:
        with connect(parsed_args) as client:
            return [window.id for window in client.desktop.windows()]
    except SandboxAgentError:
        return []
