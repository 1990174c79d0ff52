"""What users install: the wheel, in an environment that has never seen the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from .checkout import PACKAGES, ROOT, modules, pyproject

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel in it."""

    prefix: Path
    wheel: Path

    def run(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        # From elsewhere than the checkout, and without the tests' own environment.
        environ = {"PATH": f"{self.prefix / 'bin'}:/usr/bin:/bin", "HOME": str(self.prefix / "home")}
        return subprocess.run(
            [self.prefix / "bin" / program, *args],
            cwd=self.prefix,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def python(self, code: str) -> str:
        result = self.run("python", "-I", "-W", "error", "-c", code)
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel made from the source distribution, installed with the notebook extra by uv (for its cache)."""
    out = tmp_path_factory.mktemp("dist")
    prefix = tmp_path_factory.mktemp("clean") / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "build", "--out-dir", out, ROOT], check=True)
    (wheel,) = out.glob("*.whl")
    subprocess.run([*uv, "venv", "--python", sys.executable, prefix], check=True)
    target = f"sandbox-agent-jupyter[jupyter] @ {wheel.as_uri()}"
    subprocess.run([*uv, "pip", "install", "--python", prefix / "bin" / "python", target], check=True)
    return Installed(prefix, wheel)


def test_the_wheel_holds_three_packages_and_nothing_else(installed: Installed) -> None:
    """No tests, no benchmarks, no stray top-level name comes with it, and every module does."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    stem = f"sandbox_agent_jupyter-{pyproject()['project']['version']}"
    assert {name.split("/")[0] for name in names} == {*PACKAGES, f"{stem}.dist-info", f"{stem}.data"}
    shipped = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names if name[-3:] == ".py"
    }
    assert modules().keys() - shipped == set()
    assert {f"{package}/py.typed" for package in PACKAGES} - set(names) == set()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_every_package_is_importable_without_a_warning(installed: Installed) -> None:
    code = f"import {', '.join(PACKAGES)}; print(sandbox_agent.__version__, sandbox_agent.__file__)"
    told, _, path = installed.python(code).strip().partition(" ")
    assert told == pyproject()["project"]["version"]
    assert Path(path).is_relative_to(installed.prefix)


def test_the_command_works(installed: Installed) -> None:
    version = installed.run("sandbox-agent", "--version")
    assert (version.returncode, version.stdout.strip()) == (0, f"sandbox-agent {pyproject()['project']['version']}")
    assert "server" in installed.run("sandbox-agent", "--help").stdout


def test_installing_enables_the_jupyter_extension(installed: Installed) -> None:
    """The config file landed where Jupyter looks, and Jupyter says that the extension is enabled and valid."""
    config = installed.prefix / "etc/jupyter/jupyter_server_config.d/sandbox_agent_jupyter.json"
    assert json.loads(config.read_text())["ServerApp"]["jpserver_extensions"] == {"sandbox_agent_jupyter": True}
    listed = installed.run("jupyter", "server", "extension", "list")
    # The list says OK only after it has imported and validated the extension; it writes to stderr and marks in colour.
    lines = [line for line in (listed.stdout + listed.stderr).splitlines() if "sandbox_agent_jupyter" in line]
    assert any("enabled" in line for line in lines), lines
    assert any("OK" in line for line in lines), lines
