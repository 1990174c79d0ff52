"""The magics in a real kernel against a real server and the mock agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import nbformat
import papermill
import pytest

from ..support.server import DEADLINE, poll, serve
from .kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .kernels import Kernel, Outcome

TOKEN = "token-that-must-not-leak-0123456789"  # noqa: S105 - made up here


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the magics loaded, told of a server with a token by its environment."""
    home = tmp_path_factory.mktemp("magics")
    with (
        serve(home / "server", token=TOKEN) as server,
        kernel(home, SANDBOX_AGENT_URL=server.url, SANDBOX_AGENT_TOKEN=TOKEN) as running,
    ):
        assert running.run("%load_ext sandbox_agent_jupyter").error is None
        yield running


def ran(outcome: Outcome) -> Outcome:
    assert outcome.error is None, outcome.error
    return outcome


def test_a_prompt_shows_its_turn_as_static_html_and_text(shell: Kernel) -> None:
    ran(shell.run("%agent new mock --title Demo"))
    outcome = ran(shell.run("%agent prompt [[think hm]] hello there"))
    assert "hello there" in outcome.text
    assert "completed" in outcome.text
    assert "hello there" in outcome.html
    assert "<script" not in outcome.html


def test_the_output_streams_in_place_while_the_turn_runs(shell: Kernel) -> None:
    ran(shell.run("%agent new mock"))
    outcome = ran(shell.run("%agent prompt [[tick count=20 every=0.05]]"))
    assert outcome.updates > 2
    assert len(outcome.outputs) == 1


def test_a_cell_is_a_prompt_and_its_result_goes_into_a_variable(shell: Kernel) -> None:
    ran(shell.run("%%agent --agent mock --into answer\n[[say first]]\n[[say second]]"))
    said = ran(shell.run("answer.text, answer.stop_reason, answer.state")).text
    assert "first" in said
    assert "second" in said
    assert "'end_turn', 'completed'" in said


def test_a_permission_is_asked_in_the_cell_and_the_answer_typed_there_is_taken(shell: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("one\n")
    ran(shell.run(f"%agent new mock --cwd {tmp_path}"))
    outcome = ran(shell.run("%agent prompt [[edit path=note.txt old=one new=two]]", answers=["what", "y"]))
    assert len(outcome.questions) == 2, "an answer that means nothing is asked again"
    assert "note.txt" in outcome.questions[0]
    assert target.read_text() == "two\n"
    ran(shell.run("%agent prompt [[edit path=note.txt old=two new=three]]", answers=["n"]))
    assert target.read_text() == "two\n"


def test_without_a_person_the_cell_ends_and_approve_or_reject_go_on(shell: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("one\n")
    ran(shell.run(f"%agent new mock --cwd {tmp_path}"))
    outcome = ran(shell.run("%agent prompt [[edit path=note.txt old=one new=two]] done"))
    assert "Waiting for permission" in outcome.text
    assert target.read_text() == "one\n"
    assert "Waiting for permission" in ran(shell.run("%agent status")).text
    approved = ran(shell.run("%agent approve"))
    assert "completed" in approved.text
    assert target.read_text() == "two\n"
    ran(shell.run("%%agent --background\n[[edit path=note.txt old=two new=three]]"))
    rejected = ran(shell.run("%agent reject"))
    assert "completed" in rejected.text
    assert target.read_text() == "two\n"
    assert "Nothing waits for permission" in ran(shell.run("%agent approve")).text
    unknown = shell.run("%agent approve perm_99")
    assert unknown.error is not None
    assert "'perm_99'" in unknown.error["traceback"][0]


def test_a_policy_answers_by_itself_when_asked_to(shell: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("one\n")
    options = f"--agent mock --cwd {tmp_path} --permissions allow_edits"
    outcome = ran(shell.run(f"%agent prompt {options} [[edit path=note.txt old=one new=two]]"))
    assert "completed" in outcome.text
    assert target.read_text() == "two\n"


def test_an_interrupt_cancels_the_turn_and_keeps_the_session(shell: Kernel) -> None:
    ran(shell.run("%agent new mock"))
    interrupted: list[bool] = []

    def interrupt_once(outcome: Outcome) -> None:
        if outcome.outputs and not interrupted:
            interrupted.append(True)
            shell.interrupt()

    outcome = shell.run("%agent prompt [[tick count=2000 every=0.05]]", on_output=interrupt_once)
    assert outcome.error is not None
    assert outcome.error["ename"] == "TurnInterrupted"
    assert len(outcome.error["traceback"]) == 1
    assert "cancelled" in outcome.text
    assert "completed" in ran(shell.run("%agent prompt still there?")).text


def test_a_background_prompt_can_be_cancelled(shell: Kernel) -> None:
    ran(shell.run("%agent new mock"))
    ran(shell.run("%%agent --background --into handle\n[[tick count=2000 every=0.05]]"))
    ran(shell.run("%agent cancel"))
    assert "cancelled" in ran(shell.run("handle.wait().state")).text


def test_mode_model_and_thought_level_are_shown_and_set(shell: Kernel) -> None:
    ran(shell.run("%agent new mock"))
    assert "*normal*" in ran(shell.run("%agent mode")).text
    assert "mode: plan" in ran(shell.run("%agent mode plan")).text
    assert "model: mock-fast" in ran(shell.run("%agent model mock-fast")).text
    assert "thought level: high" in ran(shell.run("%agent thought high")).text
    wrong = shell.run("%agent model gpt")
    assert wrong.error is not None
    assert "mock-fast" in wrong.error["traceback"][0], "it names the models there are"


def test_sessions_are_listed_used_and_ended(shell: Kernel) -> None:
    ran(shell.run("%agent new mock --title Lasting"))
    ident = ran(
        shell.run("s = get_ipython().find_line_magic('agent').__self__.context.session; print(s.id)")
    ).text.strip()
    ran(shell.run("%agent new mock"))
    assert ident in ran(shell.run("%agent list")).text
    assert ident in ran(shell.run(f"%agent use {ident}")).text
    assert ident in ran(shell.run("%agent end")).text
    gone = shell.run(f"%agent use {ident}")
    assert gone.error is not None
    assert "SessionNotFound" in gone.error["traceback"][0]


def test_events_and_transcripts_are_shown_and_saved(shell: Kernel, tmp_path: Path) -> None:
    ran(shell.run("%agent new mock"))
    ran(shell.run("%agent prompt keep this"))
    assert "initialize" in ran(shell.run("%agent events --limit 2")).text
    assert "keep this" in ran(shell.run("%agent transcript --into t")).text
    for suffix in ("md", "html", "ipynb", "txt"):
        ran(shell.run(f"%agent transcript --save {tmp_path}/kept.{suffix}"))
        assert "keep this" in (tmp_path / f"kept.{suffix}").read_text()
    nbformat.validate(nbformat.read(tmp_path / "kept.ipynb", 4))


def test_the_doctor_names_the_server_and_what_each_agent_lacks(shell: Kernel) -> None:
    text = ran(shell.run("%agent doctor")).text
    assert "http://127.0.0.1" in text
    assert "claude" in text
    assert "%agent install AGENT" in text
    assert TOKEN not in text


def test_completion_offers_commands_agents_and_modes(shell: Kernel) -> None:
    ran(shell.run("%agent new mock"))
    assert "transcript" in shell.complete("%agent tran")
    assert "mock" in shell.complete("%agent new mo")
    assert "plan" in shell.complete("%agent mode pl")


def test_a_prompt_may_end_in_a_question_mark_and_the_magic_alone_asks_for_help(shell: Kernel) -> None:
    ran(shell.run("%agent new mock"))
    assert "You said: why so slow?" in ran(shell.run("if True:\n    %agent prompt why so slow?")).text
    shell.run("%agent?")
    assert "%agent approve" in ran(shell.run("print(get_ipython().find_line_magic('agent').__doc__)")).text


def test_a_mistake_is_told_in_one_line(shell: Kernel) -> None:
    outcome = shell.run("%agent promtp hello")
    assert outcome.error is not None
    assert len(outcome.error["traceback"]) == 1
    assert "no command 'promtp'" in outcome.error["traceback"][0]


def test_a_kernel_alone_starts_a_server_that_ends_with_it(tmp_path: Path) -> None:
    with kernel(tmp_path) as alone:
        ran(alone.run("%load_ext sandbox_agent"))
        assert "Started a local" in ran(alone.run("%agent prompt --agent mock hi")).text
        url = ran(alone.run("print(get_ipython().find_line_magic('agent').__self__.context.client.url)")).text.strip()

    def refused() -> bool:
        try:
            httpx2.get(url, timeout=DEADLINE)
        except httpx2.ConnectError:
            return True
        return False

    poll(refused, what="the server's end")


def test_papermill_runs_a_notebook_of_magics_and_leaves_no_token_in_it(tmp_path: Path) -> None:
    cells = ["%load_ext sandbox_agent_jupyter", "%agent prompt --agent mock hello from papermill", "%agent doctor"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(notebook, source)
    with serve(tmp_path / "server", token=TOKEN) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_AGENT_URL", server.url)
        patch.setenv("SANDBOX_AGENT_TOKEN", TOKEN)
        papermill.execute_notebook(source, target, progress_bar=False)
    saved = target.read_text()
    assert "hello from papermill" in saved
    assert TOKEN not in saved


def test_the_doctor_greets_an_agent_and_says_how_long_it_took(shell: Kernel) -> None:
    """One agent alone when it is named; offline none is started."""
    outcome = ran(shell.run("%agent doctor mock"))
    assert "Ready:" not in outcome.text
    assert "Only the mock agent is ready." in outcome.text
    assert "builtin" in outcome.html
    assert "claude" not in outcome.text
    assert "install-agent" in ran(shell.run("%agent doctor --offline")).text


def test_an_install_is_shown_in_the_cell(shell: Kernel) -> None:
    """What is there already is said with where it is; an agent that there is none of is a plain error."""
    outcome = ran(shell.run("%agent install mock"))
    assert "Install mock" in outcome.text
    assert "installed already" in outcome.text
    refused = shell.run("%agent install nobody")
    assert refused.error is not None
    assert "UnsupportedAgent" in refused.error["traceback"][0]
