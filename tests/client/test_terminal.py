"""Terminals through both SDKs, on the real server."""

from __future__ import annotations

import asyncio
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent import (
    AsyncSandboxAgent,
    Conflict,
    InvalidRequest,
    NotFound,
    SandboxAgent,
    SandboxAgentError,
    TerminalClosed,
    TerminalTimeout,
)

from ..support.safe_html import faults
from ..support.server import poll
from .cutter import Cutter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..support.server import Server

DEADLINE = 60.0
SHELL = ["sh", "-c", "PS1='> ' exec sh -i"]


@pytest.fixture
def terminal(agent: Any) -> Iterator[Any]:
    """A shell whose prompt is known."""
    with agent.terminal(SHELL) as terminal:
        terminal.read_until("> ", DEADLINE)
        yield terminal


class TestText:
    def test_what_is_typed_is_done(self, terminal: Any) -> None:
        terminal.send("echo $((6 * 7))\r")
        assert terminal.read_until(re.compile(r"^\d+", re.MULTILINE), DEADLINE).endswith("42")
        terminal.send(b"printf 'gr\\303\\274n'\r")
        assert terminal.read_until("grün", DEADLINE)

    def test_what_comes_after_the_pattern_stays(self, terminal: Any) -> None:
        terminal.send("echo one; echo t''wo\r")  # the echo of what is typed is not what is waited for
        terminal.read_until("two\r\n", DEADLINE)
        assert terminal.read_until("> ", DEADLINE) == "> "
        assert terminal.read() == ""

    def test_read_gives_what_is_there(self, terminal: Any) -> None:
        terminal.send("echo here\r")
        text = ""
        while "here\r\n> " not in text:
            text += terminal.read(DEADLINE)
        assert terminal.read(0.05) == ""

    def test_a_pattern_that_does_not_come_leaves_all_to_be_read(self, terminal: Any) -> None:
        terminal.send("echo here\r")
        terminal.read_until("here", DEADLINE)
        with pytest.raises(TerminalTimeout, match="it did not appear"):
            terminal.read_until("never", 0.2)
        terminal.send("echo there\r")
        assert "here\r\n" in terminal.read_until("there\r\n", DEADLINE)

    def test_control_c_interrupts(self, terminal: Any) -> None:
        terminal.send("sh -c \"echo re''ady; exec sleep 600\"\r")
        terminal.read_until("ready", DEADLINE)
        terminal.send("\x03")
        terminal.read_until("> ", DEADLINE)

    def test_much_is_typed_and_all_arrives(self, agent: Any) -> None:
        """More than one request may hold, at the pace of the program."""
        count = 300_000
        program = (
            f"import sys, tty; tty.setraw(0); print('ready', flush=True); print(len(sys.stdin.buffer.read({count})))"
        )
        with agent.terminal([sys.executable, "-c", program]) as terminal:
            terminal.read_until("ready", DEADLINE)
            terminal.send("x" * count)
            assert terminal.read_until(str(count), DEADLINE)


class TestEnd:
    def test_the_last_words_come_before_the_end(self, agent: Any) -> None:
        with agent.terminal("sh -c 'printf last; exit 3'") as terminal:
            assert "".join(terminal) == "last"
            assert (terminal.exited, terminal.exit_code) == (True, 3)
            assert terminal.read(DEADLINE) == ""
            assert terminal.wait(DEADLINE) == 3
            with pytest.raises(TerminalClosed, match="ended with 3"):
                terminal.send("x")

    def test_a_pattern_that_cannot_come_any_more(self, agent: Any) -> None:
        with agent.terminal("echo bye") as terminal, pytest.raises(TerminalClosed) as caught:
            terminal.read_until("never", DEADLINE)
        assert caught.value.text == "bye\r\n"
        assert caught.value.exit_code == 0

    def test_closing_it_ends_its_program(self, agent: Any) -> None:
        terminal = agent.terminal("sleep 600")
        name = terminal.id
        terminal.close()
        terminal.close()
        assert agent.processes.list().get(name) is None
        with pytest.raises(TerminalClosed):
            terminal.send("x")

    def test_a_program_that_is_none_is_said(self, agent: Any) -> None:
        with pytest.raises(InvalidRequest):
            agent.terminal("/no/such/program")

    def test_a_process_without_one_is_said(self, agent: Any) -> None:
        with agent.processes.start("sleep 600") as process, pytest.raises(Conflict):
            process.terminal()

    def test_a_process_that_is_forgotten_is_said(self, agent: Any) -> None:
        process = agent.processes.start("true", tty=True)
        process.wait(DEADLINE)
        process.delete()
        with pytest.raises(NotFound):
            process.terminal()

    def test_a_closed_client_closes_its_terminals(self, connect: Any, module_server: Server) -> None:
        client = connect(module_server.url)
        terminal = client.terminal("sleep 600")
        client.close()
        with pytest.raises(SandboxAgentError, match="closed"):
            terminal.read(DEADLINE)
        with connect(module_server.url) as other:
            process = other.processes.get(terminal.id)
            assert process.kill(wait=DEADLINE).status == "exited"
            process.delete()


def test_closing_wakes_who_reads_on_another_thread(module_server: Server) -> None:
    with SandboxAgent.connect(module_server.url) as client, ThreadPoolExecutor(1) as pool:
        terminal = client.terminal("sleep 600")
        reading = pool.submit(terminal.read, None)
        terminal.close()
        assert reading.result(DEADLINE) == ""


async def test_closing_wakes_who_reads_on_another_task(module_server: Server) -> None:
    async with await AsyncSandboxAgent.connect(module_server.url) as client:
        terminal = await client.terminal("sleep 600")
        reading = asyncio.create_task(terminal.read(None))
        await terminal.close()
        async with asyncio.timeout(DEADLINE):
            assert await reading == ""


async def test_a_wait_that_is_given_up_loses_nothing(module_server: Server) -> None:
    """As `asyncio.wait_for` does it: what had come before is there for the next."""
    async with (
        await AsyncSandboxAgent.connect(module_server.url) as client,
        await client.terminal(["sh", "-c", "printf first; read x; printf second"]) as terminal,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(terminal.read_until("second", None), 1)
        await terminal.send("\r")
        assert (await terminal.read_until("second", DEADLINE)).startswith("first")


class TestScreen:
    def test_it_is_what_one_would_see(self, agent: Any) -> None:
        """Lines and the cursor, whatever the program wrote them with."""
        program = r"printf '\033[2J\033[3;5Hhere <b>\033[1;1Htop'; read x"
        with agent.terminal(["sh", "-c", program], cols=40, rows=10) as terminal:
            poll(lambda: terminal.screen().text.startswith("top"), what="the screen")
            screen = terminal.screen()
            assert screen.lines[:3] == ("top", "", "    here <b>")
            assert (screen.cursor_row, screen.cursor_col) == (0, 3)
            assert (screen.cols, screen.rows) == (40, 10)
            assert str(screen) == "top\n\n    here <b>"
            assert faults(screen._repr_html_()) == []

    def test_its_size_can_change(self, terminal: Any) -> None:
        terminal.resize(100, 30)
        terminal.send("stty size\r")
        assert terminal.read_until("30 100", DEADLINE)
        assert (terminal.screen().cols, terminal.screen().rows) == (100, 30)


class TestConnection:
    def test_a_second_one_sees_the_screen_and_goes_on(self, agent: Any) -> None:
        """R24: who comes later has the screen drawn, and closing it leaves the program to the others."""
        with agent.terminal(SHELL) as first:
            first.read_until("> ", DEADLINE)
            first.send("echo seen\r")
            first.read_until("seen\r\n> ", DEADLINE)
            with agent.processes.get(first.id).terminal() as second:
                assert "seen" in second.read_until("seen", DEADLINE)
                second.send("echo from the second\r")
                second.read_until("from the second\r\n", DEADLINE)
                first.read_until("from the second\r\n", DEADLINE)
            assert agent.processes.get(first.id).running

    def test_a_cut_loses_and_doubles_nothing(self, connect: Any, module_server: Server) -> None:
        budgets = iter([3_000, 20_000, 50_000])
        with (
            Cutter(module_server.port, lambda: next(budgets, None)) as cutter,
            connect(cutter.url).terminal(["sh", "-c", "stty -onlcr; seq 30000"]) as terminal,
        ):
            assert "".join(terminal).split() == [str(number) for number in range(1, 30_001)]
            assert cutter.cuts > 1

    def test_one_that_nobody_reads_waits(self, agent: Any) -> None:
        """A flood stays in the server until it is read; the terminal can be ended all the while."""
        with agent.terminal("yes") as terminal:
            poll(lambda: terminal.screen().text.startswith("y\ny"), what="the flood")
            terminal.send("\x03")
            assert terminal.wait(DEADLINE) is None
        assert repr(terminal).endswith("closed>")
