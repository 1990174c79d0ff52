"""The official TypeScript client drives real agents through our server, as it drives the mock agent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .agents import DEFAULT
from .lab import Lab
from .model_stub import serving

if TYPE_CHECKING:
    from .agents import RealAgent

CASE = Path(__file__).parent.parent / "typescript" / "real_agents" / "talk_write_cancel.mjs"
CLAUDE, _CODEX, OPENCODE = DEFAULT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("agent", [CLAUDE, OPENCODE], ids=lambda agent: agent.name)
def test_text_permission_and_cancel(agent: RealAgent, tmp_path: Path) -> None:
    """The script says in its first line what it shows; the client gives agents no environment, so the server does."""
    with serving() as stub:
        lab = Lab.build(agent, tmp_path, stub)
        with lab.server(env=lab.env) as (server, _):
            case = {"CASE_URL": server.url, "CASE_CWD": str(lab.work), "CASE_AGENT": agent.name}
            done = subprocess.run(
                ["node", CASE],
                env={**os.environ, **case, "CASE_MODE": agent.mode or ""},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=200,
            )
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n--- server\n{server.log()[-4000:]}"
        assert stub.hung_up.wait(60)
