"""Transcripts as text, Markdown and notebooks."""

from __future__ import annotations

import base64
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_agent.render import item_markdown, item_text, to_markdown, to_notebook, to_text
from sandbox_agent.render.markdown import code, fenced, words
from sandbox_agent.render.prose import prose
from sandbox_agent.wire.transcript import MessageItem, NoticeItem, PermissionItem, Transcript

from ..support.safe_html import text_in
from ..support.shared import RECORDINGS
from .test_html import ATTACKS, COMMON, call, everywhere, folded


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_has_every_form(name: str) -> None:
    """Text and Markdown hold what was said; the notebook is valid."""
    transcript = folded(name)
    for form in (to_text(transcript, limit=None), to_markdown(transcript, limit=None)):
        for item in transcript.items:
            if isinstance(item, MessageItem):
                said = [block["text"] for block in item.content if block["type"] == "text"]
                assert all(line.strip() in form for text in said for line in text.splitlines())
    nbformat.validate(to_notebook(transcript))


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_control_character_reaches_a_terminal_or_a_file(attack: str) -> None:
    """Escape sequences would act on the reader's terminal; half characters cannot be written."""
    transcript = Transcript(session_id="s", sequence=1, items=tuple(everywhere(attack)), title=attack)
    notebook = to_notebook(transcript)
    nbformat.validate(notebook)
    for form in (to_text(transcript), to_markdown(transcript), nbformat.writes(nbformat.from_dict(notebook))):
        form.encode()
        assert not [c for c in form if c < " " and c not in "\n\t"]


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_has_every_form(text: str) -> None:
    """No text in any field breaks a form."""
    transcript = Transcript(session_id="s", sequence=1, items=tuple(everywhere(text)), title=text, agent=text)
    to_text(transcript).encode()
    to_markdown(transcript).encode()
    nbformat.validate(to_notebook(transcript))


@given(st.text(alphabet="abc*_`[]()<>&#|~\\! \n", max_size=60))
@settings(max_examples=300, deadline=None)
def test_words_are_no_markup(text: str) -> None:
    """A title in Markdown reads as it is."""
    shown = text_in(prose(f"x{words(text)}x"))
    assert shown.strip() == f"x{' '.join(text.split())}x"


@given(st.text(alphabet="ab`\n ~", max_size=60))
def test_a_fence_holds_whatever_is_inside(text: str) -> None:
    """Fences and code spans are longer than any run of ticks in them."""
    html = prose(fenced(text))
    assert html.count("<pre>") == 1
    assert text_in(html).rstrip() == text.rstrip()
    assert prose(code(text)).count("<code>") == (1 if text.strip() else prose(code(text)).count("<code>"))


def test_text_shows_a_call_with_its_outcome() -> None:
    """A mark, the kind, the title, the diff with its size, and who allowed it."""
    shown = to_text(folded("claude/edit"))
    assert (
        "✓ edit: Edit notes.txt\n    /workspace/notes.txt (+1 \N{MINUS SIGN}1)\n      one\n    - two\n    + TWO"
        in shown
    )
    assert "✓ Permission: Edit notes.txt - allowed once by ada" in shown
    assert shown.rstrip().endswith("82,992 tokens")


def test_text_cuts_long_output_and_says_so() -> None:
    """A terminal shows its end, a text its beginning."""
    output = "".join(f"line {n}\n" for n in range(500))
    terminal = item_text(call(content=({"type": "terminal", "terminalId": "t", "output": output},)))
    assert "line 499" in terminal
    assert "line 1\n" not in terminal
    assert "more lines left out" in terminal
    assert "line 499" in item_text(call(raw_output=output), limit=None)
    assert "line 499" not in item_text(call(raw_output=output))


def test_a_pending_permission_lists_its_options() -> None:
    """In text there is nothing to press, so the options are named."""
    item = PermissionItem(request_id="r", tool_call_id=None, title="Do it", state="pending", options=(), **COMMON)
    assert item_text(item) == "? Permission: Do it - waiting for an answer"


def test_markdown_keeps_the_agents_own() -> None:
    """Its Markdown is not escaped; prompts are quoted, diffs fenced."""
    item = MessageItem(role="agent", content=({"type": "text", "text": "## Head\n\n- **a**"},), **COMMON)
    assert item_markdown(item) == "## Head\n\n- **a**"
    shown = to_markdown(folded("claude/edit"))
    assert "> [[read path=notes.txt]]" in shown
    assert "```diff\n one\n-two\n+TWO\n three\n```" in shown


def test_lines_of_a_prompt_stay_lines() -> None:
    """Markdown joins lines; what a person typed is kept apart."""
    item = MessageItem(role="user", content=({"type": "text", "text": "one\ntwo\n\nthree"},), **COMMON)
    assert item_markdown(item) == "**You**\n\n> one  \n> two\n>\n> three"


def test_notices_are_alerts_where_they_are_known() -> None:
    """GitHub has a form for them; notebooks get words."""
    item = NoticeItem(level="warning", text="Careful", detail="now", **COMMON)
    assert item_markdown(item) == "> [!WARNING]\n> Careful — now"
    assert item_markdown(item, alerts=False) == "> **Warning:** Careful — now"


def test_a_notebook_reads_like_the_conversation() -> None:
    """Prompts and answers are Markdown, commands are code with their output."""
    cells = to_notebook(folded("claude/edit"))["cells"]
    command = next(cell for cell in cells if cell["cell_type"] == "code")
    assert command["source"] == "# $ cat notes.txt"
    assert command["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "one\nTWO\nthree\n"}]
    assert any(cell["source"].startswith("## You\n\n[[read") for cell in cells)
    assert any("```diff" in cell["source"] for cell in cells)


@given(st.text(max_size=60), st.text(max_size=60))
def test_running_an_exported_notebook_does_nothing(command: str, title: str) -> None:
    """Every line of every code cell is a comment, whatever the command holds."""
    items = (call(title=title, raw_input={"command": command}),)
    (cell,) = [c for c in to_notebook(Transcript(session_id="s", sequence=1, items=items))["cells"] if "outputs" in c]
    assert compile(cell["source"], "cell", "exec").co_names == ()
    assert all(line.startswith("#") for line in cell["source"].splitlines())


def test_images_are_attachments_of_their_cell() -> None:
    """A notebook shows them without trusting anything."""
    data = base64.b64encode(b"x").decode()
    blocks: tuple[dict[str, Any], ...] = ({"type": "image", "mimeType": "image/png", "data": data},)
    items = (MessageItem(role="agent", content=blocks, **COMMON),)
    notebook = to_notebook(Transcript(session_id="s", sequence=1, items=items))
    nbformat.validate(notebook)
    assert notebook["cells"][1]["attachments"] == {"image-0.png": {"image/png": data}}
    assert "attachment:image-0.png" in notebook["cells"][1]["source"]
