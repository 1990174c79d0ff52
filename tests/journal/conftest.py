"""Stores to test against: memory, SQLite in a file, and a PostgreSQL server of the tests' own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from sandbox_agent.journal import Reset, open_journals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from sandbox_agent.journal import Clock, Journal, Journals, Limits, Segment
    from sandbox_agent.journal.store import Operation

SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))


@pytest.fixture(scope="session")
def scale() -> float:
    """How much longer than usual the long tests are to run."""
    return SCALE


class Place:
    """Where a store lives, and the servers that a test starts on it, one after another."""

    def __init__(self, where: str | Path) -> None:
        self.where = where
        self.survives = where != "memory:"
        self._running: list[Journals] = []

    async def start(self, *, clock: Clock | None = None, limits: Limits | None = None) -> Journals:
        journals = open_journals(self.where, clock=clock, limits=limits)
        await journals.start()
        self._running.append(journals)
        return journals

    async def stop(self) -> None:
        while self._running:
            await self._running.pop().stop()

    async def restart(self) -> Journals:
        """As a new server finds it."""
        await self.stop()
        return await self.start()


def _postgres_programs() -> Path:
    def found() -> list[Path]:
        named = shutil.which("initdb")
        here = [Path(named).resolve()] if named else []
        return [*here, *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]

    if not found():
        subprocess.run(["apt-get", "update", "-q"], check=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "install", "-q", "-y", "postgresql"], check=True, env=environment)
    return found()[-1].parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server on a socket in a folder of its own; its folder (``initdb`` refuses to be root)."""
    programs = _postgres_programs()
    folder = tempfile.mkdtemp(prefix="pg-", dir="/tmp")
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data = f"{folder}/data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    options = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]
    with Path(folder, "log").open("wb") as log:
        # It ends with the tests even if they are killed.
        command = ["setpriv", "--pdeathsig", "INT", programs / "postgres", "-D", data, *options]
        server = subprocess.Popen(command, user=user, cwd=folder, stderr=log)
    try:
        _until_ready(folder, server)
        yield folder
    finally:
        server.send_signal(signal.SIGINT)  # "fast": connections left over do not hold it
        server.wait()
        shutil.rmtree(folder)


def _until_ready(folder: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"postgresql://postgres@/postgres?host={folder}").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


_databases = itertools.count(1)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """A database of the test's own."""
    name = f"journal_{next(_databases)}"
    with psycopg.connect(f"postgresql://postgres@/postgres?host={postgres_server}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql://postgres@/{name}?host={postgres_server}"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each kind of store in turn."""
    where: str | Path = "memory:"
    if request.param == "sqlite":
        where = tmp_path / "data" / "store.db"
    elif request.param == "postgres":
        where = request.getfixturevalue("postgres_url")
    place = Place(where)
    yield place
    await place.stop()


@pytest.fixture(params=["sqlite", "postgres"])
async def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each kind of store that outlives its server."""
    place = Place(tmp_path / "store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    yield place
    await place.stop()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path / "store.db")
    yield place
    await place.stop()


@pytest.fixture
async def journals(place: Place) -> Journals:
    """A started service on each kind of store."""
    return await place.start()


def flatten(segments: list[Segment]) -> list[tuple[int, bytes]]:
    """The entries of ``segments``, numbered."""
    return [pair for segment in segments for pair in enumerate(segment.payloads, segment.first)]


async def read_all(journal: Journal, after: int = 0, *, max_bytes: int = 1 << 20) -> list[tuple[int, bytes]]:
    """Everything visible beyond ``after``, by as many reads as it takes."""
    entries: list[tuple[int, bytes]] = []
    while True:
        found = await journal.read(after, max_bytes=max_bytes)
        assert not isinstance(found, Reset)
        if not found:
            return entries
        entries += flatten(found)
        after = found[-1].last


async def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Returns once ``condition`` holds; fails when it does not in time."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.002)


@contextlib.contextmanager
def held_back(journals: Journals) -> Iterator[None]:
    """Within it, the store's writer gets nothing done."""
    store = journals._engine.store
    commit, jot = store.commit, store.jot
    go_on = threading.Event()

    def held(batch: Sequence[Operation]) -> None:
        go_on.wait()
        commit(batch)

    if store.threaded:
        store.commit = held  # type: ignore[method-assign]
        store.jot = lambda _: False  # type: ignore[method-assign]
    yield
    store.commit = commit  # type: ignore[method-assign]
    store.jot = jot  # type: ignore[method-assign]
    go_on.set()


class Tools:
    """What tests share beside fixtures."""

    flatten = staticmethod(flatten)
    read_all = staticmethod(read_all)
    eventually = staticmethod(eventually)
    held_back = staticmethod(held_back)
    Place = Place


@pytest.fixture
def tools() -> type[Tools]:
    return Tools
