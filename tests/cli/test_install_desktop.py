"""`sandbox-agent install desktop`, against package managers that write down what they are asked."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ..support.server import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM = [sys.executable, "-m", "sandbox_agent", "install", "desktop"]
SUDO = [] if os.geteuid() == 0 else ["sudo"]


@pytest.fixture
def tools(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """An environment whose PATH has these programs only: each writes its arguments to `asked`."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()

    def make(*names: str, status: int = 0, brings: tuple[str, ...] = ()) -> dict[str, str]:
        body = "".join(f"printf '#!/bin/sh\\n' >{bin_}/{made}; /bin/chmod +x {bin_}/{made}\n" for made in brings)
        for name in names:
            script = bin_ / name
            script.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/asked\n{body}exit {status}\n')
            script.chmod(0o755)
        (bin_ / "env").symlink_to("/usr/bin/env")
        (bin_ / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
        (bin_ / "sudo").chmod(0o755)
        return {"PATH": str(bin_), "HOME": str(tmp_path)}

    return make


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )


def asked(tmp_path: Path) -> list[str]:
    file = tmp_path / "asked"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("manager", "first", "xvfb"),
    [("apt", "apt-get update", "xvfb"), ("dnf", "dnf install", "xorg-x11-server-Xvfb"), ("apk", "apk add", "xvfb")],
)
def test_the_commands_are_printed_and_not_run(
    tools: Callable[..., dict[str, str]], tmp_path: Path, manager: str, first: str, xvfb: str
) -> None:
    """For each package manager, whatever is on this machine; one command a line, ready for a shell."""
    done = run(tools("apt-get", "dnf", "apk"), "--print-only", "--package-manager", manager)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(shlex.join([*SUDO, *first.split()]))
    words = shlex.split(done.stdout)
    assert {xvfb, "openbox"} <= set(words)
    assert any("dejavu" in word for word in words)
    assert asked(tmp_path) == []


def test_the_package_manager_that_is_there_is_taken(tools: Callable[..., dict[str, str]]) -> None:
    assert "dnf install" in run(tools("dnf"), "--print-only").stdout


def test_fonts_can_be_left_out(tools: Callable[..., dict[str, str]]) -> None:
    assert "font" not in run(tools("apk"), "--print-only", "--no-fonts").stdout


def test_with_yes_it_is_installed_without_a_question(tools: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    done = run(tools("apt-get", brings=("Xvfb", "openbox")), "--yes")
    assert (done.returncode, done.stdout) == (0, "The desktop has all it needs.\n"), done.stderr
    update, install = asked(tmp_path)
    assert update == "apt-get update"
    assert install.startswith("apt-get install -y --no-install-recommends xvfb openbox ")


def test_without_a_terminal_and_without_yes_nothing_is_done(
    tools: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    done = run(tools("apt-get"))
    assert done.returncode == 1
    assert "apt-get update" in done.stderr
    assert "hint: say --yes" in done.stderr
    assert asked(tmp_path) == []


@pytest.mark.parametrize(("answer", "done"), [(b"y\n", True), (b"\n", False), (b"no\n", False)])
def test_on_a_terminal_it_asks(tools: Callable[..., dict[str, str]], tmp_path: Path, answer: bytes, done: bool) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        PROGRAM, env=tools("apk", brings=("Xvfb", "openbox")), stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while not shown.endswith(b"[y/N] "):
        shown += os.read(ours, 4096)
    os.write(ours, answer)
    out, _ = process.communicate(timeout=DEADLINE)
    os.close(ours)
    assert (process.returncode == 0) is done
    assert (b"all it needs" in out) is done
    assert bool(asked(tmp_path)) is done


def test_a_failure_is_told_with_the_command_that_failed(tools: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    """And what came after it is not tried."""
    done = run(tools("apt-get", status=100), "--yes")
    assert done.returncode == 1
    assert "apt-get update ended with status 100" in done.stderr
    assert asked(tmp_path) == ["apt-get update"]


def test_what_the_packages_did_not_bring_is_told(tools: Callable[..., dict[str, str]]) -> None:
    done = run(tools("dnf", brings=("Xvfb",)), "--yes")
    assert done.returncode == 1
    assert "still missing: openbox" in done.stderr


def test_a_system_without_a_known_package_manager_is_told_what_to_install(
    tools: Callable[..., dict[str, str]],
) -> None:
    done = run(tools())
    assert done.returncode == 1
    assert "hint: install Xvfb and openbox" in done.stderr
