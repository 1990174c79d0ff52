"""The official TypeScript client, unchanged, against our server: one case a script."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..support import desktop_app
from ..support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..support.server import Server

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in (HERE / "cases").glob("[!_]*.mjs"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with a token, for all cases of this worker; what is opened on its desktop is written down."""
    home = tmp_path_factory.mktemp("server")
    opener = home / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >>"{home}/opened"\n')
    opener.chmod(0o755)
    path = f"{opener.parent}{os.pathsep}{os.environ['PATH']}"
    with serve(home, token=secrets.token_hex(16), env={"PATH": path}) as running:
        yield running


def test_the_client_is_installed() -> None:
    """`scripts/test` installs the client; without it none of these cases would show anything."""
    assert shutil.which("node"), "node is missing: run scripts/test, which brings it"
    assert (HERE / "node_modules" / "sandbox-agent").is_dir(), (
        "the client is missing: run scripts/test, which brings it"
    )


def node() -> list[str]:
    """Node.js with the WebSocket of browsers, which it has of itself since version 22."""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return ["node"] if int(version.strip("v\n").partition(".")[0]) >= 22 else ["node", "--experimental-websocket"]


@pytest.mark.parametrize("case", CASES)
def test_the_official_client(case: str, server: Server, tmp_path: Path) -> None:
    """Each script states in its first line what it shows; it exits 0 when that holds."""
    environ = {
        **os.environ,
        "CASE_URL": server.url,
        "CASE_TOKEN": server.token or "",
        "CASE_CWD": str(tmp_path),
        "CASE_PYTHON": sys.executable,
        "CASE_APP": desktop_app.__file__,
        "CASE_OPENED": str(server.home / "opened"),
        "SANDBOX_AGENT_BIN": str(Path(sys.executable).with_name("sandbox-agent")),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    done = subprocess.run(
        [*node(), HERE / "cases" / f"{case}.mjs"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n--- server\n{server.log()[-4000:]}"


@pytest.mark.parametrize("case", CASES)
def test_a_case_says_what_it_shows(case: str) -> None:
    first = (HERE / "cases" / f"{case}.mjs").read_text().splitlines()[0]
    assert re.fullmatch(r"// [A-Z].*\.", first), first
