"""The SDK inside a notebook's kernel: the blocking client beside the kernel's own loop, the awaited one on it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_async_kernel

from ..support.server import poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server

pytestmark = pytest.mark.timeout(180)


class Notebook:
    """Cells, run one after another in a real kernel."""

    def __init__(self, client: Any, runner: asyncio.Runner) -> None:
        self.client = client
        self.runner = runner

    def run(self, code: str) -> str:
        """The cell's printed output and result, or its error's name."""
        parts: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content, kind = message["content"], message["msg_type"]
            if kind == "stream":
                parts.append(content["text"])
            elif kind in {"execute_result", "display_data"}:
                parts.append(content["data"].get("text/html") or content["data"]["text/plain"])
            elif kind == "error":
                parts.append(f"{content['ename']}: {content['evalue']}")

        asked = self.client.execute_interactive(code, output_hook=take, timeout=60, allow_stdin=False)
        self.runner.run(asked)
        return "".join(parts)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, module_server: Server) -> Iterator[Notebook]:
    """A kernel with a session ``s``."""
    with asyncio.Runner() as runner:
        manager, client = runner.run(start_new_async_kernel(cwd=str(tmp_path_factory.mktemp("kernel"))))
        try:
            opened = Notebook(client, runner)
            opened.run("import asyncio, os; from sandbox_agent import SandboxAgent, AsyncSandboxAgent")
            opened.run(f"agent = SandboxAgent.connect({module_server.url!r}); s = agent.create_session('mock')")
            yield opened
        finally:
            client.stop_channels()
            runner.run(manager.shutdown_kernel(now=True))


def test_a_cell_talks_to_an_agent(notebook: Notebook) -> None:
    """Where a loop runs in the same thread, so that `asyncio.run` would be an error."""
    assert notebook.run("await asyncio.sleep(0); print(asyncio.get_running_loop().is_running())").strip() == "True"
    assert notebook.run("print(s.prompt('[[say hello]]').text)").strip() == "hello"


def test_a_permission_is_answered_while_the_cell_waits(notebook: Notebook) -> None:
    notebook.run("w = s.on_permission(lambda request: 'once')")
    assert notebook.run("print(s.prompt('[[ask May I?]] [[say done]]').text)").strip().endswith("done")
    assert notebook.run("w.stop(); print(w.active)").strip() == "False"


def test_a_result_shows_itself(notebook: Notebook) -> None:
    shown = notebook.run("s.prompt('[[say <b>hello</b>]]')")
    assert "&lt;b&gt;hello" in shown
    assert "<script" not in shown


def test_an_awaited_client_works_in_the_same_kernel(notebook: Notebook, module_server: Server) -> None:
    code = (
        f"async with await AsyncSandboxAgent.connect({module_server.url!r}) as other:\n"
        "    print((await (await other.get_session(s.id)).prompt('[[say awaited]]')).text)"
    )
    assert notebook.run(code).strip() == "awaited"


def test_an_interrupted_cell_cancels_its_turn_and_keeps_the_session(notebook: Notebook, module_server: Server) -> None:
    """The kernel's interrupt is a signal in the middle of a blocking read."""
    kernel = int(notebook.run("print(os.getpid())"))
    session = notebook.run("print(s.id)").strip()

    def interrupt() -> None:
        with module_server.client() as looks:
            poll(lambda: looks.get(f"/v1/sessions/{session}").json()["state"] == "running")
        os.kill(kernel, signal.SIGINT)

    interrupts = threading.Thread(target=interrupt)
    interrupts.start()
    assert notebook.run("s.prompt('[[sleep 100]]')").startswith("KeyboardInterrupt")
    interrupts.join()
    assert (
        notebook.run("print(s.get_prompt(s.prompts()[-1].id).wait().state, s.prompt('[[say on]]').text)").strip()
        == "cancelled on"
    )


def test_a_cell_may_start_a_server_of_its_own(notebook: Notebook, tmp_path: Path) -> None:
    code = f"own = SandboxAgent.start(data_dir={str(tmp_path)!r}); print(own.health().status); own.close()"
    assert notebook.run(code).strip() == "ok"
