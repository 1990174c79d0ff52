"""The packages that `sandbox-agent install desktop` names, asked of Debian's own package manager and archive."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def apt(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """apt-get with lists and a cache of its own, so that it needs neither root nor what this machine has fetched."""
    assert shutil.which("apt-get"), "this test needs apt-get"
    state = tmp_path_factory.mktemp("apt")
    folders = {"Dir::State": state / "state", "Dir::Cache": state / "cache"}
    for folder in folders.values():
        folder.mkdir()
    (state / "state" / "lists" / "partial").mkdir(parents=True)
    command = ["apt-get", *(f"-o{name}={path}" for name, path in folders.items()), "-oDebug::NoLocking=1"]
    command += ["-oDir::State::status=/dev/null", "-oAPT::Sandbox::User="]
    done = subprocess.run([*command, "update"], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return command


@pytest.mark.parametrize("fonts", [True, False])
def test_debian_has_every_package_and_they_bring_what_the_desktop_needs(apt: list[str], fonts: bool) -> None:
    """On a machine that has nothing yet: apt-get itself plans the command that is printed, from start to end."""
    command = [sys.executable, "-m", "sandbox_agent", "install", "desktop", "--print-only", "--package-manager", "apt"]
    printed = subprocess.run([*command, *([] if fonts else ["--no-fonts"])], capture_output=True, text=True, check=True)
    words = shlex.split(printed.stdout.splitlines()[-1])
    install = words[words.index("apt-get") + 1 :]
    done = subprocess.run([*apt, "--simulate", *install], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    brought = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")}
    assert {"xvfb", "openbox", "dbus-daemon", "at-spi2-core", "xdg-utils", "xterm"} <= brought
    assert ("fonts-noto-cjk" in brought) is fonts
