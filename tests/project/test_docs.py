"""The documents are true: the reference is the code's own, every example runs, every link leads somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbclient
import nbformat
import pytest

from ..support.ports import free_port
from .checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md", *ROOT.glob("docs/**/*.md")])
REFERENCE = ("cli", "http", "magics", "python", "settings")

# Those that run (nginx's in the tests of proxies), and those that are shown only: what is typed once, output, and
# examples the docstrings' tests run.
RUN = ("python", "sh", "ipython", "nginx")
SHOWN = ("console", "text", "pycon")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of the page's fenced blocks."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def having(language: str) -> list[Any]:
    pages = [page for page in PAGES if any(found == language for found, _ in blocks(page))]
    return [pytest.param(page, id=name(page)) for page in pages]


def code(page: Path, language: str) -> list[str]:
    return [content for found, content in blocks(page) if found == language]


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """A user who has just installed the package, in a folder of their own."""
    own = {"HOME": "home", "XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run"}
    own |= {"IPYTHONDIR": "ipython", "JUPYTER_DATA_DIR": "jupyter", "JUPYTER_RUNTIME_DIR": "runtime"}
    for folder in own.values():
        (tmp_path / folder).mkdir(mode=0o700)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SANDBOX_AGENT", "JUPYTER", "XDG"))}
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"  # noqa: PTH120 - a string is wanted
    return kept | {key: str(tmp_path / folder) for key, folder in own.items()} | {"PATH": path}


@pytest.mark.parametrize("page", REFERENCE)
def test_the_reference_is_the_codes_own(page: str) -> None:
    """Every route, option, magic, class and trait is documented as it is; `python scripts/reference.py` writes it."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert sorted(reference.PAGES) == sorted(REFERENCE)
    written = (ROOT / "docs" / "reference" / f"{page}.md").read_text()
    assert written == reference.PAGES[page](), "out of date: run python scripts/reference.py"


@pytest.mark.parametrize("page", [pytest.param(page, id=name(page)) for page in PAGES])
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    """No example hides from these tests behind a language they do not know."""
    assert {language for language, _ in blocks(page)} <= {*RUN, *SHOWN}


@pytest.mark.parametrize("page", [pytest.param(page, id=name(page)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links name files that are there; links into a page name a heading it has."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-").lower() for heading in headings}, (
                target
            )


@pytest.mark.parametrize("page", having("python"))
def test_python_examples_run(page: Path, environ: Mapping[str, str], tmp_path: Path) -> None:
    """A page's Python, one block after the other, as a script."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(code(page, "python")))
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", having("sh"))
def test_shell_examples_run(page: Path, environ: Mapping[str, str], tmp_path: Path) -> None:
    """A page's shell commands, one block after the other, on a port that is free; what they start is ended."""
    port = str(free_port())
    script = tmp_path / "page.sh"
    script.write_text("set -eu\n" + "\n".join(code(page, "sh")).replace("2468", port))
    process = subprocess.Popen(
        ["bash", script],
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        # The servers it leaves in the background hold the pipe, so its end is waited for, not the pipe's.
        process.wait(100)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        told = process.communicate(timeout=60)[0]
    assert process.returncode == 0, told


@pytest.mark.parametrize("page", having("ipython"))
def test_notebook_examples_run(
    page: Path, environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's cells in a fresh kernel; each leaves output that reads without the kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in code(page, "ipython")])
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3")
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    client.execute(cwd=str(tmp_path), env=dict(environ))
    assert not [output for cell in notebook.cells for output in cell.outputs if output.output_type == "error"]
