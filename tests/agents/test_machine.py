"""What the doctor says of a machine, in made-up folders with made-up programs on PATH."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.agents import machine

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.wire.doctor import Check


def look(tmp_path: Path, environ: dict[str, str] | None = None, data_dir: Path | None = None) -> dict[str, Check]:
    given = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)} | (environ or {})
    checks = machine.examine(given, data_dir or tmp_path / "data", tmp_path / "root")
    return {check.name: check for check in checks}


def program(tmp_path: Path, name: str, script: str) -> None:
    file = tmp_path / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "state", "told"),
    [
        ("echo v24.1.0", "ok", "v24.1.0, "),
        ("echo v18.2.0", "warning", "several agents need 22"),
        ("exit 3", "fault", "--version failed"),
    ],
)
def test_node_is_judged_by_its_version(tmp_path: Path, script: str, state: str, told: str) -> None:
    """Too old is a note, as agents get one of their own; one that does not run is a fault with its remedy."""
    program(tmp_path, "node", script)
    check = look(tmp_path)["node"]
    assert (check.state, told in check.detail) == (state, True), check
    assert (check.fix is not None) == (state == "fault")


def test_programs_that_are_not_there_are_no_fault(tmp_path: Path) -> None:
    """What stands in for them is told; a file that cannot be run is told as such."""
    (tmp_path / "bin").mkdir()
    checks = look(tmp_path)
    assert {checks[name].state for name in ("node", "npm", "uv")} == {"warning"}
    program(tmp_path, "uv", "")
    (tmp_path / "bin" / "uv").write_text("#!/no/such/interpreter\n")
    assert (look(tmp_path)["uv"].state, look(tmp_path)["uv"].fix) == ("fault", "reinstall uv")


def test_the_search_path_is_told_with_what_is_missing_of_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    gone = tmp_path / "gone"
    check = look(tmp_path, {"PATH": f"{tmp_path / 'bin'}:{gone}"})["PATH"]
    assert (check.state, f"no folder: {gone}" in check.detail) == ("ok", True)


def test_a_folder_that_cannot_be_written_is_a_fault_with_its_remedy(tmp_path: Path) -> None:
    """Judged by the nearest folder that is there, which is left as it was."""
    assert look(tmp_path)["data directory"].state == "ok"
    assert not (tmp_path / "data").exists()
    file = tmp_path / "file"
    file.touch()
    check = look(tmp_path, data_dir=file / "data")["data directory"]
    assert (check.state, check.fix) == ("fault", f"make room in {file}")


def test_little_space_is_told_before_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning first; the limits are those of the module."""
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    monkeypatch.setattr(machine, "LITTLE_BYTES", free * 2)
    assert look(tmp_path)["data directory"].state == "warning"
    monkeypatch.setattr(machine, "HARDLY_ANY_BYTES", free * 2)
    check = look(tmp_path)["data directory"]
    assert (check.state, "free space" in str(check.fix)) == ("fault", True)


def test_the_jupyter_extension_is_found_enabled_or_not(tmp_path: Path) -> None:
    """By Jupyter's own files, of which the user's count most."""
    folder = tmp_path / ".jupyter" / "jupyter_server_config.d"
    folder.mkdir(parents=True)
    for enabled, state in ((True, "ok"), (False, "warning")):
        settings = {"ServerApp": {"jpserver_extensions": {machine.EXTENSION: enabled}}}
        (folder / "x.json").write_text(json.dumps(settings))
        assert look(tmp_path)["Jupyter extension"].state == state
    assert "jupyter server extension enable" in str(look(tmp_path)["Jupyter extension"].fix)
    (folder / "x.json").write_text("not JSON")
    assert look(tmp_path)["Jupyter extension"].name == "Jupyter extension"
