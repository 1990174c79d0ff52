"""`sandbox-agent daemon`: real servers in the background, none of which stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from sandbox_agent import __version__
from sandbox_agent.cli.daemon import _duration
from sandbox_agent.cli.exits import Exit

from ..support.command import Command
from ..support.ports import free_port
from ..support.server import poll, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Box:
    """A user with a port that is free, and what the daemon's commands say there."""

    def __init__(self, home: Path) -> None:
        self.command = Command(home)
        self.port = str(free_port())
        self.folder = home / "state" / "sandbox-agent" / "daemon"

    def __call__(self, action: str, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.command("daemon", action, "--port", self.port, *args, **options)

    def json(self, action: str, *args: str) -> Any:
        return self.command.json("daemon", action, "--port", self.port, "--json", *args)

    def file(self, suffix: str) -> Path:
        return self.folder / f"daemon-127-0-0-1-{self.port}.{suffix}"

    def end(self) -> None:
        for path in self.folder.glob("*.pid"):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(int(path.read_text())).kill()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "home")
    yield box
    box.end()


def test_from_start_to_stop(daemon: Box) -> None:
    """Files for each host and port, a status with everything, and nobody left at the end."""
    assert "no daemon" in daemon("status", status=Exit.UNREACHABLE).stdout
    started = daemon("start")
    assert f"http://127.0.0.1:{daemon.port}" in started.stdout
    pid = int(daemon.file("pid").read_text())
    assert daemon.file("version").read_text() == __version__
    assert "Sandbox Agent listening on" in daemon.file("log").read_text()
    told = daemon.json("status")
    assert told["running"]
    assert (told["pid"], told["version"], told["health"]) == (pid, __version__, "ok")
    assert told["url"] == f"http://127.0.0.1:{daemon.port}"
    assert told["log"] == str(daemon.file("log"))
    assert 0 <= told["uptimeSeconds"] < 60
    shown = daemon("status").stdout
    for word in (told["url"], str(pid), __version__, "Uptime", told["log"]):
        assert word in shown
    assert f"pid {pid}" in daemon("stop").stdout
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not daemon.file("pid").exists()
    assert not daemon.file("version").exists()
    assert daemon.file("log").exists()
    assert "no daemon" in daemon("stop").stdout, "ending none is no failure"


def test_a_token_is_made_and_found_by_this_user_s_commands(daemon: Box) -> None:
    daemon("start")
    token = daemon.file("token").read_text()
    assert daemon.command("api", "acp", "list").returncode == 0
    url = f"http://127.0.0.1:{daemon.port}"
    assert "token" in daemon.command("api", "acp", "list", "-e", url, "--no-token", status=1).stderr
    for path in daemon.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert token not in path.read_text() or path == daemon.file("token")
    assert token not in " ".join(psutil.Process(daemon.json("status")["pid"]).cmdline())
    daemon("stop")
    daemon("start")
    assert daemon.file("token").read_text() == token, "clients that know it go on"
    daemon("stop")


def test_starting_one_that_runs_answers_at_once(daemon: Box) -> None:
    first = daemon.json("start", "--no-token")
    again = daemon.json("start", "--no-token", "--upgrade")
    assert (first["started"], again["started"]) == (True, False)
    assert first["pid"] == again["pid"]
    assert again["access"] == "none"
    assert "runs already" in daemon("start").stdout
    daemon("stop")


def test_starts_at_the_same_time_make_one(daemon: Box) -> None:
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: daemon.json("start", "--no-token"), range(4)))
    assert len({one["pid"] for one in told}) == 1
    assert sorted(one["started"] for one in told) == [False, False, False, True]
    daemon("stop")


def test_another_version_stays_until_an_upgrade_and_keeps_its_options(daemon: Box, tmp_path: Path) -> None:
    """The new one finds the sessions: its data directory is that of the old one, its access too."""
    data = tmp_path / "data"
    first = daemon.json("start", "--no-token", "--", "--data-dir", str(data))
    url = first["url"]
    session = daemon.command("api", "sessions", "create", "mock", "-q", "-e", url).stdout.strip()
    daemon.file("version").write_text("0.0.1")
    left = daemon("start")
    assert "version 0.0.1" in left.stderr
    assert "--upgrade" in left.stderr
    assert daemon.json("status")["pid"] == first["pid"]
    second = daemon.json("start", "--upgrade")
    assert second["started"]
    assert second["pid"] != first["pid"]
    assert second["version"] == __version__
    assert second["options"] == ["--data-dir", str(data)]
    assert daemon.command.json("api", "sessions", "show", session, "-e", url, "--json")["id"] == session
    daemon("stop")


def test_an_upgrade_asks_again_for_a_token_of_the_user_s_own(daemon: Box) -> None:
    token = "my-own"  # noqa: S105 - only a test's
    first = daemon.json("start", "--token", token)
    assert not daemon.file("token").exists()
    assert first["access"] == "token"
    daemon.file("version").write_text("0.0.1")
    refused = daemon("start", "--upgrade", status=Exit.FAILURE)
    assert "--token" in refused.stderr
    assert daemon.json("status")["pid"] == first["pid"], "it was not ended for that"
    env = {"SANDBOX_AGENT_TOKEN": token}
    assert "started" in daemon("start", "--upgrade", env=env).stdout
    daemon("stop")


def test_a_daemon_that_was_killed_is_not_taken_for_running(daemon: Box) -> None:
    """Nor is a stranger who has its process id by now."""
    pid = daemon.json("start", "--no-token")["pid"]
    os.kill(pid, signal.SIGKILL)
    poll(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert daemon("status", status=Exit.UNREACHABLE).returncode == Exit.UNREACHABLE
    with subprocess.Popen(["sleep", "60"]) as stranger:
        daemon.file("pid").write_text(str(stranger.pid))
        assert "no daemon" in daemon("stop").stdout
        assert stranger.poll() is None
        assert daemon.json("start", "--no-token")["started"]
        assert stranger.poll() is None
        stranger.kill()
    daemon("stop")


def test_stopping_ends_the_agents_too(daemon: Box) -> None:
    daemon("start")
    session = daemon.command("api", "sessions", "create", "mock", "-q").stdout.strip()
    daemon.command("api", "sessions", "prompt", session, "--no-wait", "[[spawn count=2 daemon=1]] [[hang]]")
    server = psutil.Process(daemon.json("status")["pid"])
    family = poll(lambda: found if len(found := server.children(recursive=True)) >= 3 else [])
    daemon("stop")
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_a_start_that_fails_shows_what_the_server_said(daemon: Box, tmp_path: Path) -> None:
    with serve(tmp_path / "other", port=int(daemon.port)):
        done = daemon("start", "--no-token", status=Exit.FAILURE)
    assert "in use" in done.stderr
    assert not daemon.file("pid").exists()
    assert "no daemon" in daemon("status", status=Exit.UNREACHABLE).stdout


def test_files_of_the_folder_it_is_called_in_are_not_its_modules(daemon: Box) -> None:
    daemon.command.home.mkdir()
    (daemon.command.home / "tornado.py").write_text("raise SystemExit('not that one')")
    command = daemon.command
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sandbox_agent", "daemon", "start", "--port", daemon.port, "--no-token"],
        env=command.environ(),
        cwd=command.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (daemon.command.home / "tornado.py").unlink()
    daemon("stop")


def test_mistakes_are_told_as_such(daemon: Box) -> None:
    assert "exclude" in daemon("start", "--token", "x", "--no-token", status=Exit.USAGE).stderr
    assert "port" in daemon.command("daemon", "start", "--port", "0", status=Exit.USAGE).stderr


def test_a_long_log_is_put_aside(daemon: Box) -> None:
    daemon.folder.mkdir(parents=True)
    daemon.file("log").write_bytes(b"x" * (6 << 20))
    daemon("start", "--no-token")
    assert daemon.file("log").stat().st_size < 1 << 20
    assert daemon.file("log.1").stat().st_size == 6 << 20
    daemon("stop")


def test_status_is_json_also_where_none_runs(daemon: Box) -> None:
    told = json.loads(daemon("status", "--json", status=Exit.UNREACHABLE).stdout)
    assert told == {"running": False, "log": str(daemon.file("log"))}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.9, "59 s"), (61, "1 m 1 s"), (7200, "2 h 0 m"), (90000, "1 d 1 h")]
)
def test_uptime_is_said_in_two_units(seconds: float, said: str) -> None:
    assert _duration(seconds) == said
