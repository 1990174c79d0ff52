"""The desktop's folders: where they are, whom they belong to, and what is in them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sandbox_agent.desktop import authority
from sandbox_agent.desktop.home import prepare, state_dir
from sandbox_agent.desktop.x11.connection import cookie_of
from sandbox_agent.problems import DesktopInvalidAction, DesktopRuntimeFailed


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ("/given", {"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/given"),
        (None, {"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/sandbox-agent/desktop"),
        (None, {"XDG_STATE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/state/sandbox-agent/desktop"),
        (None, {"HOME": "/home/me"}, "/home/me/.local/state/sandbox-agent/desktop"),
    ],
)
def test_the_state_folder_is_where_the_standard_has_it(
    given: str | None, environ: dict[str, str], expected: str
) -> None:
    """A relative XDG_STATE_HOME is to be ignored (XDG Base Directory Specification)."""
    assert state_dir(given, environ) == Path(expected)


@pytest.mark.parametrize("given", ["", "relative", "./x", "~/x", "/a\0b"])
def test_a_state_folder_that_is_no_absolute_path_is_refused(given: str) -> None:
    with pytest.raises(DesktopInvalidAction):
        state_dir(given, {})


def test_folders_are_made_for_this_user_alone(tmp_path: Path) -> None:
    made = prepare(tmp_path / "state", 99)
    assert stat.S_IMODE(made.state.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.runtime.stat().st_mode) == 0o700
    assert made.runtime.is_relative_to(made.state)
    assert "<openbox_config" in (made.home / ".config" / "openbox" / "rc.xml").read_text()


def test_a_folder_that_is_there_keeps_its_mode_and_its_settings(tmp_path: Path) -> None:
    """It may be anyone's, such as `/tmp`."""
    tmp_path.chmod(0o755)
    rc = tmp_path / "home" / ".config" / "openbox" / "rc.xml"
    rc.parent.mkdir(parents=True)
    rc.write_text("mine")
    prepare(tmp_path, 99)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert rc.read_text() == "mine"


def test_sockets_of_an_earlier_desktop_are_removed(tmp_path: Path) -> None:
    first = prepare(tmp_path, 99)
    (first.runtime / "bus").touch()
    again = prepare(tmp_path, 99)
    assert again == first
    assert list(again.runtime.iterdir()) == []
    again.remove_runtime()
    assert not again.runtime.exists()


def test_a_long_path_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    """In the same place each time, so that what programs were told stays right."""
    state = tmp_path / ("long" * 30)
    first, again = prepare(state, 99), prepare(state, 99)
    try:
        assert first.runtime == again.runtime
        assert len(str(first.runtime)) < 60
        assert stat.S_IMODE(first.runtime.stat().st_mode) == 0o700
        assert prepare(state, 98).runtime != first.runtime
    finally:
        again.remove_runtime()
        prepare(state, 98).remove_runtime()


def test_what_cannot_be_made_is_told_with_what_would_help(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DesktopRuntimeFailed, match="state folder") as raised:
        prepare(tmp_path / "file" / "state", 99)
    assert "stateDir" in str(raised.value.hint)


def test_programs_keep_all_their_files_in_the_home(tmp_path: Path) -> None:
    made = prepare(tmp_path, 99)
    env = made.environment(":99")
    assert (env["DISPLAY"], env["HOME"], env["XAUTHORITY"]) == (":99", str(made.home), str(made.authority))
    for name, value in env.items():
        if name in {"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"}:
            assert Path(value).is_relative_to(made.home)


def test_a_cookie_is_new_each_time_and_readable_by_this_user_alone(tmp_path: Path) -> None:
    """Whatever was in its place before."""
    file = tmp_path / "authority"
    file.write_text("left by somebody")
    file.chmod(0o644)
    seen = set()
    for _ in range(3):
        authority.write(file, 99)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        seen.add(cookie_of(file, 99))
        assert cookie_of(file, 98) is None
    assert len(seen) == 3
    assert all(cookie is not None and len(cookie) == 16 for cookie in seen)
