"""What a user passes as a prompt, as ACP content blocks."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from sandbox_agent.client.content import embed, to_block, to_prompt
from sandbox_agent.client.errors import ContentNotSupported

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


def test_a_text_stays_a_text() -> None:
    assert to_prompt("hello") == "hello"


def test_pieces_become_blocks_in_order(tmp_path: Path) -> None:
    file = tmp_path / "a b.py"
    file.write_text("print()")
    blocks = to_prompt(["look at", file, {"type": "text", "text": "!", "_meta": {"x": 1}}])
    assert blocks == (
        {"type": "text", "text": "look at"},
        {"type": "resource_link", "uri": file.as_uri(), "name": "a b.py", "size": 7, "mimeType": "text/x-python"},
        {"type": "text", "text": "!", "_meta": {"x": 1}},
    )
    assert "%20" in file.as_uri()


def test_one_piece_needs_no_list(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_bytes(b"")
    assert [block["type"] for block in to_prompt(file)] == ["resource_link"]
    assert [block["type"] for block in to_prompt(PNG)] == ["image"]
    assert to_prompt({"type": "text", "text": "x"}) == ({"type": "text", "text": "x"},)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_image_bytes_are_known_by_their_beginning(data: bytes, kind: str) -> None:
    assert to_block(data) == {"type": "image", "mimeType": kind, "data": base64.b64encode(data).decode()}


def test_other_bytes_are_refused() -> None:
    with pytest.raises(TypeError, match="PNG, JPEG, GIF or WebP"):
        to_block(b"%PDF-1.7")


def test_a_pillow_image_is_sent_as_png() -> None:
    block = to_block(Image.new("RGB", (2, 2), "red"))
    assert block["mimeType"] == "image/png"
    assert base64.b64decode(block["data"]).startswith(PNG[:8])


def test_files_are_sent_whole_to_a_server_elsewhere(tmp_path: Path) -> None:
    text, blob, image = tmp_path / "t.md", tmp_path / "b.bin", tmp_path / "i.png"
    text.write_text("# häuser")
    blob.write_bytes(b"\xff\x00\xfe")
    image.write_bytes(PNG)
    sent = [to_block(path, embed_files=True) for path in (text, blob, image)]
    assert sent[0] == {
        "type": "resource",
        "resource": {"uri": text.as_uri(), "mimeType": "text/markdown", "text": "# häuser"},
    }
    assert sent[1]["resource"]["blob"] == base64.b64encode(b"\xff\x00\xfe").decode()
    assert sent[2]["type"] == "image"
    assert embed(text) == sent[0]


def test_a_missing_file_is_the_users_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        to_prompt([tmp_path / "no"])


@pytest.mark.parametrize("capabilities", [{}, {"promptCapabilities": {"image": False}}, {"promptCapabilities": None}])
def test_what_the_agent_does_not_take_is_refused_with_a_way_out(capabilities: dict[str, object]) -> None:
    with pytest.raises(ContentNotSupported, match="Path") as caught:
        to_prompt([PNG], capabilities=capabilities)
    assert isinstance(caught.value, ValueError)


def test_what_it_takes_or_never_said_goes_through() -> None:
    assert to_prompt([PNG], capabilities={"promptCapabilities": {"image": True}})
    assert to_prompt([PNG], capabilities=None)


def test_nothing_is_no_prompt() -> None:
    with pytest.raises(ValueError, match="at least one"):
        to_prompt([])


def test_other_values_are_refused_by_type() -> None:
    with pytest.raises(TypeError, match="int"):
        to_prompt([3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="type"):
        to_prompt({"text": "no type"})
