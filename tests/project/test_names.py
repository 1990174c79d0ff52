"""What tracked files must not say, and where the version is told."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

import sandbox_agent

from .checkout import ROOT, pyproject, tracked_files

# Written so that this file does not match itself.
FORBIDDEN = {
    "a package registry's host": re.compile(
        rb"(pypi|pythonhosted|npmjs|yarnpkg)\.(org|com|io)|deb\.debian|debian\.org/debian", re.IGNORECASE
    ),
    "a path of one machine": re.compile(rb"(?<![\w.\-/{}$])/(?:work|opt|root|home/[a-z]+)/(?:main|shared|venv|ref)\b"),
    "a private key": re.compile(rb"BEGIN [A-Z ]*PRIVATE " + rb"KEY"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str) -> None:
    """A checkout works on any machine and any mirror, so its files name neither."""
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode(errors='replace')}"
        for path in tracked_files()
        for match in FORBIDDEN[what].finditer(path.read_bytes())
    ]
    assert found == []


def test_no_build_output_is_tracked() -> None:
    """Built front ends, wheels, caches and installed packages are made, never committed."""
    made = {"node_modules", "dist", "build", "static", "__pycache__", ".venv", ".cache"}
    assert [path for path in tracked_files() if made & set(path.relative_to(ROOT).parts[:-1])] == []


def test_the_version_is_told_alike_everywhere() -> None:
    """The package, its metadata and the newest entry of the changelog are one version."""
    newest = re.search(r"^## \[?(\d[^\]\s]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    declared = pyproject()["project"]["version"]
    assert {newest.group(1), declared, sandbox_agent.__version__, version("sandbox-agent-jupyter")} == {declared}
