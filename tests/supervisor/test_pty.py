"""Programs on terminals of their own: what they get, what they do not get, and their ends."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.supervisor import Command, Size, SpawnFailed, TerminalReader

from .conftest import descriptors, eventually, shell, survivors

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.supervisor import Child, Supervisor

DEADLINE = 60.0
SIZE = Size(100, 30)


class Screen:
    """What a child's terminal shows, and the keys to type on it."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.data = bytearray()
        self.pieces: list[bytes] = []
        self.ended = asyncio.Event()
        self.reader = TerminalReader(child.stdout_fd, self._take, self.ended.set)

    def _take(self, data: bytes) -> None:
        self.data += data
        self.pieces.append(data)

    def type(self, keys: str) -> None:
        assert os.write(self.child.stdin_fd, keys.encode()) == len(keys.encode())

    async def until(self, text: str) -> None:
        await eventually(lambda: text.encode() in self.data, DEADLINE)

    async def all(self) -> str:
        """Everything, once no program has the terminal open."""
        async with asyncio.timeout(DEADLINE):
            await self.ended.wait()
        return self.data.decode().replace("\r\n", "\n")


async def on_terminal(supervisor: Supervisor, command: Command, size: Size = SIZE) -> Screen:
    return Screen(await supervisor.spawn_on_terminal(command, owner="test", size=size))


async def test_a_program_gets_a_terminal_of_its_own_of_the_size_asked_for(supervisor: Supervisor) -> None:
    screen = await on_terminal(supervisor, shell("tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all"))
    told = (await screen.all()).splitlines()
    assert told[0].startswith("/dev/pts/")
    assert told[1:] == ["30 100", "all"]
    assert await screen.child.wait() == await screen.child.end()
    assert screen.child.exit is not None
    assert screen.child.exit.success


async def test_it_leads_a_session_whose_controlling_terminal_that_is(supervisor: Supervisor) -> None:
    script = "import os; print(os.getpid() == os.getsid(0) == os.getpgrp() == os.tcgetpgrp(os.open('/dev/tty', 2)))"
    screen = await on_terminal(supervisor, Command((sys.executable, "-I", "-S", "-c", script)))
    assert await screen.all() == "True\n"


async def test_directory_environment_and_arguments_are_the_commands(supervisor: Supervisor, tmp_path: Path) -> None:
    command = Command(("sh", "-c", 'pwd; echo "$1 $HELLO"', "sh", "a  b ü"), env={"HELLO": "hi"}, cwd=str(tmp_path))
    screen = await on_terminal(supervisor, command)
    assert await screen.all() == f"{tmp_path}\na  b ü hi\n"


async def test_keys_reach_the_program_and_control_c_interrupts_what_is_in_the_foreground(
    supervisor: Supervisor,
) -> None:
    screen = await on_terminal(supervisor, shell("trap 'echo caught' INT; echo ready; cat; echo over"))
    await screen.until("ready")
    screen.type("hello\r")
    await screen.until("hello\r\nhello")
    screen.type("\x03")
    assert (await screen.all()).endswith("^Ccaught\nover\n")


async def test_a_change_of_size_is_told_to_the_program(supervisor: Supervisor) -> None:
    script = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGWINCH, lambda *_: os.write(1, f'now {os.get_terminal_size()}'.encode()))\n"
        "os.write(1, b'ready')\n"
        "while True: time.sleep(0.01)\n"  # a pause may begin just after the signal
    )
    screen = await on_terminal(supervisor, Command((sys.executable, "-I", "-S", "-c", script)))
    await screen.until("ready")
    screen.child.resize(Size(132, 43))
    await screen.until("now os.terminal_size(columns=132, lines=43)")
    await screen.child.end(0)
    screen.reader.close()
    screen.child.close_fds()
    screen.child.resize(Size(10, 10))  # nothing happens, and to nobody else's descriptor either


@pytest.mark.parametrize(
    ("program", "code"),
    [("no-such-program-anywhere", errno.ENOENT), ("/no/such/file", errno.ENOENT), ("/etc/passwd", errno.EACCES)],
)
async def test_what_cannot_be_started_is_told_with_the_systems_error_and_leaves_nothing_open(
    supervisor: Supervisor, program: str, code: int
) -> None:
    before = descriptors()
    with pytest.raises(SpawnFailed) as failed:
        await supervisor.spawn_on_terminal(Command((program,)), owner="test", size=SIZE)
    assert failed.value.error.errno == code
    assert failed.value.error.filename == program
    await eventually(lambda: descriptors() - before <= _keepers(supervisor), DEADLINE)


def _keepers(supervisor: Supervisor) -> set[str]:
    keeper = supervisor._keeper
    return {str(keeper.stdin.fileno())} if keeper is not None and keeper.stdin is not None else set()


@pytest.mark.parametrize(("folder", "code"), [("missing", errno.ENOENT), ("file", errno.ENOTDIR)])
async def test_a_working_directory_that_is_none_is_what_the_error_names(
    supervisor: Supervisor, tmp_path: Path, folder: str, code: int
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpawnFailed) as failed:
        await supervisor.spawn_on_terminal(Command(("true",), cwd=str(tmp_path / folder)), owner="test", size=SIZE)
    assert (failed.value.error.errno, failed.value.error.filename) == (code, str(tmp_path / folder))


async def test_no_child_inherits_another_ones_terminal_nor_any_other_descriptor(supervisor: Supervisor) -> None:
    """R30: not even descriptors that somebody else in this process made inheritable."""
    careless = os.dup(0)
    os.set_inheritable(careless, True)
    left, right = socket.socketpair()
    left.set_inheritable(True)
    script = (
        "import os\n"
        "def there(fd):\n"
        "    try: return os.fstat(fd)\n"
        "    except OSError: return None\n"
        "print([fd for fd in range(1000) if there(fd)])"
    )
    looking = Command((sys.executable, "-I", "-S", "-c", script))
    try:
        first = await on_terminal(supervisor, shell("cat"))
        screen = await on_terminal(supervisor, looking)
        piped = await supervisor.spawn(looking, owner="test")
        assert await screen.all() == "[0, 1, 2]\n"
        assert await _first_line(piped) == "[0, 1, 2]"
    finally:
        os.close(careless)
        left.close()
        right.close()
    await first.child.end(0)
    first.reader.close()


async def _first_line(child: Child) -> str:
    await child.wait()
    return os.read(child.stdout_fd, 100).decode().strip()


async def test_signals_are_as_a_program_expects_them(supervisor: Supervisor) -> None:
    """Python ignores SIGPIPE, and what is ignored or blocked would be inherited."""
    screen = await on_terminal(supervisor, shell("grep -E 'Sig(Blk|Ign)' /proc/self/status"))
    told = dict(line.split(":\t") for line in (await screen.all()).splitlines())
    assert int(told["SigBlk"], 16) == 0
    assert int(told["SigIgn"], 16) & (1 << (signal.SIGPIPE - 1)) == 0


async def test_what_was_written_last_is_there_when_the_end_is_known(supervisor: Supervisor) -> None:
    """R21 on a terminal."""
    for number in range(300):
        child = await supervisor.spawn_on_terminal(shell(f"printf %s x{number}"), owner="test", size=SIZE)
        data = bytearray()
        reader = TerminalReader(child.stdout_fd, data.extend)
        await child.wait()
        assert reader.drain()
        assert data == f"x{number}".encode()
        await child.end(0)
        child.close_fds()


async def test_a_shell_at_work_ends_when_it_is_asked_to_with_all_its_jobs(supervisor: Supervisor) -> None:
    """It ignores SIGTERM, and gives each job a group of its own."""
    screen = await on_terminal(supervisor, Command(("bash", "--norc", "-i"), env={"PS1": "ready> "}))
    await screen.until("ready> ")
    screen.type("sleep 1000 & sleep 1001 & (setsid sleep 1002 &) ; echo start$((40 + 2))\r")
    await screen.until("start42")
    token = supervisor._instance
    await eventually(lambda: len(survivors(token)) == 4, DEADLINE)
    ended = await screen.child.end(DEADLINE)
    assert ended.signal == signal.SIGHUP
    assert survivors(token) == []
    screen.reader.close()


async def test_a_program_that_heeds_the_question_is_not_hung_up_meanwhile(supervisor: Supervisor) -> None:
    screen = await on_terminal(supervisor, shell("trap 'printf last; exit 5' TERM; echo ready; while :; do :; done"))
    await screen.until("ready")
    assert (await screen.child.end(DEADLINE)).code == 5
    assert (await screen.all()).endswith("last")


async def test_a_flood_comes_in_large_pieces_and_a_keystroke_at_once(supervisor: Supervisor) -> None:
    screen = await on_terminal(supervisor, shell("stty raw -echo; echo go; head -c 20000000 /dev/zero; echo over; cat"))
    await screen.until("over")
    assert len(screen.data) > 20_000_000
    assert max(len(piece) for piece in screen.pieces) <= 1 << 17
    screen.type("k")
    await eventually(lambda: screen.data.endswith(b"k"), DEADLINE)
    assert screen.pieces[-1] == b"k"
    await screen.child.end(0)
    screen.reader.close()


async def test_a_paused_reader_holds_the_program_up_and_loses_nothing(supervisor: Supervisor) -> None:
    screen = await on_terminal(supervisor, shell("stty raw; seq 200000; echo over"))
    screen.reader.pause()
    seen = len(screen.data)
    assert screen.child.exit is None
    assert len(screen.data) == seen
    screen.reader.resume()
    told = await screen.all()
    assert told == "".join(f"{number}\n" for number in range(1, 200_001)) + "over\n"
