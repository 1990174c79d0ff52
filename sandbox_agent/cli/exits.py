"""How a command ends: its status, and what it says when that is not success."""

from __future__ import annotations

import enum
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from sandbox_agent.cli.errors import fail

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sandbox_agent.problems import SandboxAgentError


class Exit(enum.IntEnum):
    """The statuses of every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNREACHABLE = 3
    PROMPT_FAILED = 4
    INTERRUPTED = 130
    PIPE_CLOSED = 141


HELP = """\
  0    done
  1    it failed; stderr says why, and what would help
  2    the command line is wrong
  3    no server answers there (`daemon status`: none runs)
  4    the prompt's turn failed
  130  interrupted; a prompt's turn is cancelled
  141  whoever read the output has gone"""


class UsageError(Exception):
    """The command line is wrong in a way that its parser cannot see."""


def run(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command to its end; the status it ends with."""
    from sandbox_agent.problems import SandboxAgentError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what an agent says may not be in the terminal's encoding
    try:
        status = command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has nowhere to go, and the interpreter's own flush at exit would say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except UsageError as error:
        fail(str(error))
        return Exit.USAGE
    except SandboxAgentError as error:
        return report(error, as_json=getattr(arguments, "json", False))
    return status


def report(error: SandboxAgentError, *, as_json: bool = False) -> int:
    """Tell an error on stderr, for programs as a problem document; the status that stands for it."""
    document = describe(error)
    if as_json:
        print(json.dumps(document), file=sys.stderr)
    else:
        fail(document["detail"], hint=document.get("hint"))
    from sandbox_agent.client import NoServerFound, ServerUnreachable

    return Exit.UNREACHABLE if isinstance(error, (ServerUnreachable, NoServerFound)) else Exit.FAILURE


def describe(error: SandboxAgentError) -> dict[str, Any]:
    """An error as a problem document; those found on this side of the wire have no type."""
    from sandbox_agent.problems import Problem

    if isinstance(error, Problem):
        return error.document()
    document = {"title": type(error).__name__, "detail": getattr(error, "message", None) or str(error)}
    hint = getattr(error, "hint", None)
    return document | ({"hint": hint} if hint else {})
