"""`connect()` in a kernel that a Jupyter Server started: it finds that server by itself, with a token nobody typed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient

from ..support.ports import free_port
from ..support.server import environment, poll
from .test_kernel import Notebook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

TOKEN = "jupyters-own-token"  # noqa: S105 - made up


@contextlib.contextmanager
def jupyter(home: Path, *arguments: str) -> Iterator[Notebook]:
    """A Jupyter Server below a base URL, and a kernel it started for a notebook."""
    runtime = home / "data" / "jupyter" / "runtime"
    environ = environment(home, {"JUPYTER_TOKEN": TOKEN, "JUPYTER_RUNTIME_DIR": str(runtime)})
    command = [sys.executable, "-m", "jupyter_server", "--ServerApp.base_url=/user/ann/"]
    command += [f"--ServerApp.port={free_port()}"]
    command += ["--no-browser", "--allow-root", f"--ServerApp.root_dir={home}", *arguments]
    with (
        (home / "jupyter.log").open("wb") as log,
        subprocess.Popen(command, env=environ, cwd=home, stderr=log) as server,
    ):
        try:
            info = poll(lambda: _read(runtime / f"jpserver-{server.pid}.json"), 60, "the Jupyter Server")
            asks = httpx2.Client(base_url=info["url"], headers={"Authorization": f"token {TOKEN}"}, timeout=60)
            with asks, asyncio.Runner() as runner:
                made = asks.post(
                    "api/sessions", json={"path": "x.ipynb", "name": "x", "type": "notebook", "kernel": {}}
                )
                kernel = made.json()["kernel"]["id"]
                client = AsyncKernelClient(connection_file=str(runtime / f"kernel-{kernel}.json"))
                client.load_connection_file()
                client.start_channels()
                runner.run(_ready(client))
                yield Notebook(client, runner)
                client.stop_channels()
                asks.delete(f"api/kernels/{kernel}")
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()


async def _ready(client: AsyncKernelClient) -> None:
    """Its own wait gives up when a busy machine's kernel misses a heartbeat."""
    for _ in range(60):
        client.kernel_info()
        with contextlib.suppress(queue.Empty):
            await client.get_shell_msg(timeout=1)
            await client.get_iopub_msg(timeout=1)
            return
    raise AssertionError("the kernel did not answer")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def test_a_kernel_finds_the_server_that_started_it(tmp_path: Path) -> None:
    """Without an argument, below a base URL; both SDKs, streams included."""
    with jupyter(tmp_path) as notebook:
        notebook.run("from sandbox_agent import AsyncSandboxAgent, SandboxAgent")
        assert (
            notebook.run("agent = SandboxAgent.connect(); print(agent.url)").strip().endswith("/user/ann/sandbox-agent")
        )
        assert (
            notebook.run("s = agent.create_session('mock'); print(s.prompt('[[say hello]]').text)").strip() == "hello"
        )
        assert notebook.run("print(next(s.events()).sequence)").strip() == "1"
        watched = "with s.on_permission(lambda r: 'once'):\n    print(s.prompt('[[ask May I?]] [[say yes]]').text)"
        assert notebook.run(watched).strip().endswith("yes")
        awaited = "other = await AsyncSandboxAgent.connect(); print((await other.health()).status); await other.close()"
        assert notebook.run(awaited).strip() == "ok"
        assert TOKEN not in notebook.run("agent") + notebook.run("print(repr(agent), repr(s))")


def test_a_kernel_has_files_commands_and_terminals(tmp_path: Path) -> None:
    """Below a base URL, with Jupyter's own token, over its WebSockets; in a cell with `await` as well."""
    with jupyter(tmp_path) as notebook:
        notebook.run("from sandbox_agent import AsyncSandboxAgent, SandboxAgent; agent = SandboxAgent.connect()")
        notebook.run(f"folder = {str(tmp_path)!r}; x = agent.fs.write(folder + '/x.txt', 'hello')")
        assert "x.txt" in notebook.run("agent.fs.list(folder)")
        shown = notebook.run("agent.run('cat x.txt; exit 3', cwd=folder)")
        assert "hello" in shown
        assert "exit code 3" in shown
        echo = """agent.terminal('sh -c "read x; echo got $x"')"""
        talk = f"with {echo} as t:\n    t.send('it\\r'); print(t.read_until('got it'))"
        assert "got it" in notebook.run(talk)
        awaited = (
            "async with await AsyncSandboxAgent.connect() as other:\n"
            "    async with await other.terminal('echo from a cell') as t:\n"
            "        print(await t.read_until('cell'))\n"
            "    async for line in (await other.processes.start('echo a line')).logs(): print(line)"
        )
        assert notebook.run(awaited).replace("\r", "") == "from a cell\na line\n"


def test_without_the_extension_it_says_what_to_install(tmp_path: Path) -> None:
    with jupyter(tmp_path, "--ServerApp.jpserver_extensions={'sandbox_agent_jupyter': False}") as notebook:
        told = notebook.run("from sandbox_agent import SandboxAgent; SandboxAgent.connect()")
    assert told.startswith("NoServerFound")
    assert "does not have the Sandbox Agent extension" in told
    assert "pip install 'sandbox-agent-jupyter[jupyter]'" in told
