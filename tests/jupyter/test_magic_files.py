"""`%agent fs`, `run`, `processes`, `logs` and `stop` in a real kernel against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbclient
import nbformat
import pytest

from .kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..support.server import Server
    from .kernels import Kernel, Outcome


@pytest.fixture(scope="module")
def shell(module_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the magics loaded, told of a server by its environment."""
    with kernel(tmp_path_factory.mktemp("kernel"), SANDBOX_AGENT_URL=module_server.url) as running:
        assert running.run("%load_ext sandbox_agent_jupyter").error is None
        yield running


def ran(outcome: Outcome) -> Outcome:
    assert outcome.error is None, outcome.error
    return outcome


def fault(outcome: Outcome) -> str:
    assert outcome.error is not None, outcome
    assert len(outcome.error["traceback"]) == 1, "faults are told in a line"
    told: str = outcome.error["traceback"][0]
    return told


def stream(outcome: Outcome, name: str) -> str:
    return "".join(output["text"] for output in outcome.outputs if output.get("name") == name)


def shown(outcome: Outcome) -> str:
    return stream(outcome, "stdout")


def test_files_go_up_and_down_and_are_read_listed_and_found(shell: Kernel, tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "a b.txt").write_text("alpha\n")
    (tmp_path / "local" / "c.py").write_text("beta = 1\n")
    there = tmp_path / "there"
    assert "2 files, 15 B" in shown(ran(shell.run(f"%agent fs put {tmp_path}/local {there}")))
    listed = ran(shell.run(f"%agent fs ls {there} --glob *.py --into listed"))
    assert "c.py" in listed.text
    assert "c.py" in listed.html
    assert "a b.txt" not in listed.text
    assert "('c.py',)" in ran(shell.run("listed.names")).text
    assert "c.py:1: beta = 1" in ran(shell.run(f"%agent fs search BETA {there}")).text
    assert shown(ran(shell.run(f"%agent fs cat '{there}/a b.txt' {there}/c.py --into text"))) == "alpha\nbeta = 1\n"
    assert "'alpha\\nbeta = 1\\n'" in ran(shell.run("text")).text
    assert "6 B" in ran(shell.run(f"%agent fs stat '{there}/a b.txt'")).text
    assert str(tmp_path / "back") in shown(ran(shell.run(f"%agent fs get {there} {tmp_path}/back")))
    assert (tmp_path / "back" / "a b.txt").read_text() == "alpha\n"


def test_files_are_moved_made_and_removed(shell: Kernel, tmp_path: Path) -> None:
    ran(shell.run(f"%agent fs mkdir {tmp_path}/new/deep"))
    (tmp_path / "x").write_text("x")
    ran(shell.run(f"%agent fs mv {tmp_path}/x {tmp_path}/new/deep/y"))
    assert (tmp_path / "new" / "deep" / "y").read_text() == "x"
    assert "not empty" in fault(shell.run(f"%agent fs rm {tmp_path}/new"))
    ran(shell.run(f"%agent fs rm -r {tmp_path}/new"))
    assert not (tmp_path / "new").exists()


def test_a_long_file_is_printed_in_part(shell: Kernel, tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * ((1 << 20) + 2048))
    told = shown(ran(shell.run(f"%agent fs cat {tmp_path}/long")))
    assert told.count("x") == 1 << 20
    assert "2.0 KiB more" in told


def test_what_is_not_there_is_named_in_a_line(shell: Kernel) -> None:
    assert "/nowhere" in fault(shell.run("%agent fs cat /nowhere"))
    assert "/nowhere/x: No such file" in fault(shell.run("%agent fs put /nowhere/x"))
    assert "no action 'dir'" in fault(shell.run("%agent fs dir"))
    assert "proc_x" in fault(shell.run("%agent logs proc_x"))


def test_the_output_of_a_command_comes_while_it_runs(shell: Kernel, tmp_path: Path) -> None:
    """The command ends only once its first output is in the cell."""
    seen = tmp_path / "seen"

    def go_on(outcome: Outcome) -> None:
        if "first" in shown(outcome):
            seen.touch()

    line = f"echo first; echo fault >&2; until [ -e {seen} ]; do sleep 0.01; done; echo last; exit 3"
    outcome = ran(shell.run(f"%agent run {line}", on_output=go_on))
    assert shown(outcome) == "first\nlast\nexit code 3\n"
    assert stream(outcome, "stderr") == "fault\n"


def test_a_command_has_a_folder_and_may_fail_its_cell(shell: Kernel, tmp_path: Path) -> None:
    assert shown(ran(shell.run(f"%agent run --cwd {tmp_path} --check pwd; printf end"))) == (
        f"{tmp_path}\nend\nexit code 0\n"
    )
    assert "exit code 4" in fault(shell.run("%agent run --check exit 4"))


def test_characters_are_whole_however_they_come(shell: Kernel) -> None:
    line = r"printf '\303'; sleep 0.1; printf '\274ber'"
    assert shown(ran(shell.run(f"%agent run {line}"))) == "über\nexit code 0\n"


def test_a_command_that_has_ended_is_forgotten_unless_it_is_kept(shell: Kernel) -> None:
    ran(shell.run("%agent run echo forgotten-one"))
    ran(shell.run("%agent run --into kept echo kept-one"))
    listed = ran(shell.run("%agent processes")).text
    assert "kept-one" in listed
    assert "forgotten-one" not in listed
    assert "'kept-one\\n'" in ran(shell.run("kept.output()")).text


def test_an_interrupt_ends_the_command_with_all_it_started(shell: Kernel, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("trap 'echo bye; exit 5' TERM\necho begun\nwhile :; do sleep 0.1; done\n")
    interrupted: list[bool] = []

    def interrupt_once(outcome: Outcome) -> None:
        if "begun" in shown(outcome) and not interrupted:
            interrupted.append(True)
            shell.interrupt()

    outcome = shell.run(f"%agent run sh {tmp_path}/script", on_output=interrupt_once)
    assert outcome.error is not None
    assert outcome.error["ename"] == "RunInterrupted"
    assert len(outcome.error["traceback"]) == 1
    assert (
        "stopped (exit code 5)" in outcome.error["traceback"][0] or "stopped (signal" in outcome.error["traceback"][0]
    )
    assert f"{tmp_path}/script" not in ran(shell.run("%agent processes")).text
    assert "still here" in shown(ran(shell.run("%agent run echo still here")))


def test_a_command_in_the_background_is_followed_and_stopped(shell: Kernel) -> None:
    told = shown(ran(shell.run("%agent run --background --into process echo begun; sleep 600")))
    name = told.split()[0]
    interrupted: list[bool] = []

    def interrupt_once(outcome: Outcome) -> None:
        if "begun" in shown(outcome) and not interrupted:
            interrupted.append(True)
            shell.interrupt()

    outcome = shell.run(f"%agent logs --follow {name}", on_output=interrupt_once)
    assert outcome.error is not None
    assert f"%agent stop {name}" in outcome.error["traceback"][0]
    assert shown(ran(shell.run(f"%agent logs {name}"))) == "begun\n"
    assert "running" in ran(shell.run("process.refresh().status")).text
    assert "ended by signal 15" in ran(shell.run(f"%agent stop {name}")).text


def test_names_and_paths_of_the_server_are_completed(shell: Kernel, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data.csv").touch()
    ran(shell.run("%agent processes"))
    assert shell.complete(f"%agent fs cat {tmp_path}/da") == [f"{tmp_path}/data/", f"{tmp_path}/data.csv"]
    assert shell.complete("%agent fs mk") == ["mkdir"]
    name = shown(ran(shell.run("%agent run --background true"))).split()[0]
    assert name in shell.complete("%agent logs pro")


def test_help_tells_of_every_action(shell: Kernel) -> None:
    told = shown(ran(shell.run("%agent help fs")))
    assert "fs put LOCAL [REMOTE]" in told
    assert "-r, --recursive" in told


def test_a_notebook_runs_without_anybody(
    module_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in nbclient and papermill: the outputs are in the notebook."""
    cells = ["%load_ext sandbox_agent_jupyter", f"%agent fs ls {tmp_path}", "%agent run --check echo printed"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    (tmp_path / "listed.txt").touch()
    monkeypatch.setenv("SANDBOX_AGENT_URL", module_server.url)
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute(cwd=str(tmp_path))
    assert "listed.txt" in notebook.cells[1].outputs[0]["data"]["text/html"]
    assert "".join(output["text"] for output in notebook.cells[2].outputs) == "printed\nexit code 0\n"
