"""The SDK's types from a user's side: a program outside the checkout, checked against the installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sandbox_agent

HERE = Path(__file__).parent

HEAD = (
    "from sandbox_agent import SandboxAgent",
    "agent = SandboxAgent.connect()",
    "session = agent.create_session('mock')",
)
WRONG = {
    "session.prompt(3)": "call-overload",
    "session.prompt('hi').txt": "attr-defined",
    "session.prompt('hi', wait=False).text": "attr-defined",
    "session.prompt('hi', wait=False, timeout=3)": "call-overload",
    "session.set_mode(None)": "arg-type",
    "session.export('pdf')": "arg-type",
    "session.on_permission(lambda request: 3)": "arg-type|return-value",
    "agent.create_session('mock', permission_policy='always')": "arg-type",
    "agent.create_session('mock', modle='x')": "call-arg",
    "agent.nothing": "attr-defined",
    "agent.create_session('mock').info.state = 'idle'": "misc",
    "agent.fs.write('x', 3)": "arg-type",
    "agent.fs.read('x').lines": "attr-defined",
    "agent.fs.search('x', kind='both')": "arg-type",
    "agent.run(3)": "arg-type",
    "agent.run('x').exitcode": "attr-defined",
    "agent.processes.start('x', restart_policy='sometimes')": "arg-type",
    "agent.terminal('x').read_until(3)": "arg-type",
}


def mypy(program: Path) -> subprocess.CompletedProcess[str]:
    """From elsewhere, without our settings. Python alone finds an exact editable install, so mypy is told where."""
    environ = os.environ | {"MYPYPATH": str(Path(sandbox_agent.__file__).parents[1])}
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", program.name]
    return subprocess.run(command, cwd=program.parent, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_a_users_program_is_accepted(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    shutil.copy(HERE / "typed_program.py", program)
    run = mypy(program)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.timeout(300)
def test_mistakes_are_found(tmp_path: Path) -> None:
    """Each line is wrong in its own way, and the checker says so on that line."""
    program = tmp_path / "program.py"
    program.write_text("\n".join([*HEAD, *WRONG, ""]))
    found = mypy(program).stdout.splitlines()
    for number, (line, codes) in enumerate(WRONG.items(), len(HEAD) + 1):
        errors = [text for text in found if text.startswith(f"program.py:{number}: error:")]
        assert errors, line
        assert any(f"[{code}]" in text for text in errors for code in codes.split("|")), (line, errors)
