"""The official TypeScript client drives real agents through our server, as it drives the mock agent."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .agents import DEFAULT
from .lab import MCP_SERVER, Lab
from .model_stub import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..support.server import Server
    from .agents import RealAgent

CASES = Path(__file__).parent.parent / "typescript" / "real_agents"
CLAUDE, _CODEX, OPENCODE = DEFAULT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


agents = pytest.mark.parametrize("agent", [CLAUDE, OPENCODE], ids=lambda agent: agent.name)


@pytest.fixture
def lab(agent: RealAgent, tmp_path: Path) -> Iterator[Lab]:
    with serving() as stub:
        yield Lab.build(agent, tmp_path, stub)


@contextlib.contextmanager
def started(name: str, lab: Lab, url: str, **case: str) -> Iterator[subprocess.Popen[str]]:
    """A case, which says in its first line what it shows; the client gives agents no environment, the server does."""
    given = {
        "CASE_URL": url,
        "CASE_CWD": str(lab.work),
        "CASE_AGENT": lab.agent.name,
        "CASE_MODE": lab.agent.mode or "",
    }
    pipe = subprocess.PIPE
    environ = {**os.environ, **given, **case}
    command = ["node", CASES / f"{name}.mjs"]
    with subprocess.Popen(
        command, env=environ, cwd=lab.home, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def finish(case: subprocess.Popen[str], server: Server, line: str = "") -> None:
    """Give it its last line of input, and see that it ends well."""
    said, failed = case.communicate(line, timeout=90)
    assert case.returncode == 0, f"{said}\n{failed}\n--- server\n{server.log()[-4000:]}"


@agents
def test_text_permission_and_cancel(lab: Lab) -> None:
    """A file is written once it is allowed, and not when it is refused; a turn ends at the model too."""
    with lab.server(env=lab.env) as (server, _), started("talk_write_cancel", lab, server.url) as case:
        finish(case, server)
    assert lab.stub.hung_up.wait(10)


@agents
def test_model_mcp_and_restore(lab: Lab) -> None:
    """Another model is asked, an MCP server's tool called, and after SIGKILL the next server's agent remembers."""
    tiny = {"name": "tiny", "command": sys.executable, "args": [str(MCP_SERVER)], "env": []}
    model, name = lab.agent.model
    options = {"CASE_MODEL": model, "CASE_MODEL_NAME": name, "CASE_MCP": json.dumps(tiny)}
    with contextlib.ExitStack() as stack:
        with lab.server(env=lab.env) as (server, _):
            case = stack.enter_context(started("model_mcp_restore", lab, server.url, **options))
            assert case.stdout is not None
            if case.stdout.readline() != "kill the server\n":
                finish(case, server)
            server.process.kill()
            server.process.wait()
        with lab.server(env=lab.env) as (server, _):
            finish(case, server, f"{server.url}\n")
    recalled = [heard for heard in lab.stub.requests if heard.order[0] == "recall"]
    assert "wombat" in "".join(recalled[-1].users)
