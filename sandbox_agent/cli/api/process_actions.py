"""What the actions of `sandbox-agent api processes` do, but for those that use a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from sandbox_agent.cli.connection import connect
from sandbox_agent.cli.exits import UsageError
from sandbox_agent.cli.output import print_json, print_line, say, write_bytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from sandbox_agent.client import SandboxAgent
    from sandbox_agent.client.process_results import LogEntry, ProcessInfo, RunResult
    from sandbox_agent.wire.processes import ProcessConfig

TIMED_OUT: Final = 124
"""As timeout(1) has it."""

BY_SIGNAL: Final = 128
STANDARD: Final = "-"


def run_run(arguments: argparse.Namespace) -> int:
    command = command_of(arguments.command)
    with connect(arguments) as client:
        result = client.run(
            command,
            cwd=arguments.cwd,
            env=environment_of(arguments.env),
            timeout=arguments.timeout,
            max_output_bytes=arguments.max_output_bytes,
        )
    if arguments.json:
        print_json(result)
    else:
        _show(result)
    return TIMED_OUT if result.timed_out else status_of(result.exit_code, result.signal)


def _show(result: RunResult) -> None:
    write_bytes(result.stdout.encode())
    sys.stderr.write(result.stderr)
    sys.stderr.flush()
    for name, truncated in (("stdout", result.stdout_truncated), ("stderr", result.stderr_truncated)):
        if truncated:
            say(f"error: {name} was longer than is kept; --max-output-bytes asks for more")
    if result.timed_out:
        say(f"error: timed out after {result.duration_ms / 1000:g} s")


def status_of(exit_code: int | None, signal: int | None) -> int:
    """The exit status that a shell would tell."""
    if exit_code is not None:
        return exit_code
    return BY_SIGNAL + signal if signal else 1


def command_of(words: list[str]) -> str | list[str]:
    """A line for the shell where it is one word, else a program and its arguments. Raises ``UsageError``."""
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        raise UsageError("a COMMAND is missing")
    return words[0] if len(words) == 1 else words


def environment_of(given: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` each. Raises ``UsageError``."""
    found = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"--env: give NAME=VALUE, not {text!r}")
        found[name] = value
    return found


def run_start(arguments: argparse.Namespace) -> int:
    from sandbox_agent.cli.api.attach import DETACH_KEYS, run_attach

    if arguments.attach and not arguments.tty:
        raise UsageError("--attach is for a process with --tty")
    command = command_of(arguments.command)
    with connect(arguments) as client:
        process = client.processes.start(
            command,
            cwd=arguments.cwd,
            env=environment_of(arguments.env),
            interactive=arguments.interactive,
            tty=arguments.tty,
            restart_policy=arguments.restart,
        )
    if arguments.attach:
        arguments.id, arguments.detach_keys = process.id, DETACH_KEYS
        return run_attach(arguments)
    if arguments.json:
        print_json(process.info)
    else:
        print(process.id)
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        processes = client.processes.list(owner=arguments.owner)
    if arguments.json:
        print_json({"processes": processes.items})
    else:
        print(processes)
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        info = client.processes.get(arguments.id).info
    return _told(info, as_json=arguments.json)


def _told(info: ProcessInfo, *, as_json: bool) -> int:
    if as_json:
        print_json(info)
    else:
        print(info)
    return 0


def run_logs(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        process = client.processes.get(arguments.id)
        with process.log_entries(
            stream=arguments.stream, follow=arguments.follow, tail=arguments.tail, since=arguments.since
        ) as entries:
            _print_entries(entries, as_json=arguments.json)
    return 0


def _print_entries(entries: Iterable[LogEntry], *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            print_line(_entry(entry))
        elif entry.is_reset:
            say("some of the log is gone: it was longer than is kept")
        elif entry.stream == "stderr":
            sys.stderr.buffer.write(entry.data)
            sys.stderr.flush()
        else:
            write_bytes(entry.data)


def _entry(entry: LogEntry) -> dict[str, Any]:
    if entry.is_reset:
        return {"reset": True, "sequence": entry.sequence}
    return {
        "sequence": entry.sequence,
        "stream": entry.stream,
        "timestampMs": entry.timestamp_ms,
        "data": entry.data,
        "encoding": "base64",
    }


def run_input(arguments: argparse.Namespace) -> int:
    if arguments.text is None and not arguments.eof:
        raise UsageError("there is nothing to write: give TEXT, - for standard input, or --eof")
    with connect(arguments) as client:
        process = client.processes.get(arguments.id)
        if arguments.text == STANDARD:
            while piece := os.read(sys.stdin.fileno(), 1 << 16):  # what is there: it may be typed
                process.send(piece)
            if arguments.eof:
                process.send(b"", eof=True)
            return 0
        text = arguments.text or ""
        end = "" if arguments.no_newline or arguments.text is None else "\n"
        process.send((text + end).encode("utf-8", "surrogateescape"), eof=arguments.eof)
    return 0


def run_wait(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        info = client.processes.get(arguments.id).wait(arguments.timeout)
    return status_of(info.exit_code, info.signal)


def run_stop(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        return _ended(client, "stop", arguments)


def run_kill(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        return _ended(client, "kill", arguments)


def _ended(client: SandboxAgent, how: str, arguments: argparse.Namespace) -> int:
    """Status 1 where one still runs: it may take its time, or ignore the signal."""
    infos = []
    for name in arguments.ids:
        process = client.processes.get(name)
        infos.append(process.stop(wait=arguments.wait) if how == "stop" else process.kill(wait=arguments.wait))
    if arguments.json:
        print_json({"processes": infos})
    else:
        from sandbox_agent.render import processes_text

        print(processes_text(infos))
    left = [info.id for info in infos if info.running]
    if left and how == "stop":
        say(f"still running: end what does not stop with: sandbox-agent api processes kill {' '.join(left)}")
    return 1 if left else 0


def run_delete(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        for name in arguments.ids:
            process = client.processes.get(name)
            if arguments.force and process.running:
                process.kill()
            process.delete()
    return 0


def run_config(arguments: argparse.Namespace) -> int:
    from sandbox_agent.cli.api.processes import LIMITS

    given = {name: getattr(arguments, name) for name in LIMITS if getattr(arguments, name) is not None}
    with connect(arguments) as client:
        limits = client.processes.set_limits(**given) if given else client.processes.limits()
    if arguments.json:
        print_json(limits)
    else:
        print(_limits(limits))
    return 0


def _limits(limits: ProcessConfig) -> str:
    from sandbox_agent.cli.api.processes import LIMITS
    from sandbox_agent.render import table_text

    rows = [(f"--{name.replace('_', '-')}", str(getattr(limits, name)), told) for name, told in LIMITS.items()]
    return table_text(("Limit", "Now", ""), rows)
