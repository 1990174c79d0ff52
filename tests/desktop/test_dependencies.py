"""What the desktop needs, and the commands that install it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.desktop.dependencies import PACKAGE_MANAGERS, Missing, install_commands, missing, package_manager

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.dependencies import PackageManager


def executable(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_here_nothing_is_missing() -> None:
    """The tests' own machine has all of it, as `scripts/debian-packages.txt` and the extra say."""
    found = missing(None)
    assert not found
    assert (found.names, found.command) == ((), None)


def test_programs_are_looked_for_on_the_given_path(tmp_path: Path) -> None:
    assert missing(str(tmp_path)).names == ("Xvfb", "openbox")
    executable(tmp_path / "Xvfb")
    assert missing(str(tmp_path)).names == ("openbox",)


def test_programs_are_installed_before_distributions() -> None:
    """One command at a time: the next status tells the next."""
    both = Missing(("Xvfb",), ("pillow",))
    assert both.names == ("Xvfb", "pillow")
    assert both.command == "sandbox-agent install desktop --yes"
    assert Missing((), ("pillow",)).command == 'pip install "sandbox-agent-jupyter[desktop]"'
    document = both.problem().document()
    assert (document["missingDependencies"], document["installCommand"]) == (["Xvfb", "pillow"], both.command)


@pytest.mark.parametrize(("program", "manager"), [("apt-get", "apt"), ("dnf", "dnf"), ("apk", "apk"), ("pacman", None)])
def test_the_package_manager_is_the_one_that_is_there(tmp_path: Path, program: str, manager: str | None) -> None:
    executable(tmp_path / program)
    assert package_manager(str(tmp_path)) == manager


@pytest.mark.parametrize("manager", PACKAGE_MANAGERS)
def test_commands_ask_nothing_and_are_for_root(manager: PackageManager) -> None:
    """By sudo for others; fonts can be left out."""
    plain = install_commands(manager, sudo=False)
    assert install_commands(manager, sudo=True) == [["sudo", *command] for command in plain]
    install = plain[-1]
    assert {"-y", "--no-cache"} & set(install)
    without = install_commands(manager, fonts=False, sudo=False)[-1]
    assert [word for word in install if word not in without]
    assert not [word for word in without if "font" in word]
    assert all(word in install for word in without)
