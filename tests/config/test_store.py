"""Configuration of a directory: kept in files, found from below."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.config import DirectoryConfig
from sandbox_agent.problems import InvalidRequest, NotFound
from sandbox_agent.wire.config import LocalMcpServer, RemoteMcpServer, SkillsConfig

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = {"type": "local", "command": "mcp-files", "args": ["--root", "."]}


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
def config(tmp_path: Path) -> DirectoryConfig:
    return DirectoryConfig(tmp_path)


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("mcp", LOCAL),
        ("mcp", {"type": "local", "command": ["npx", "-y", "x"], "env": {"A": "b"}, "cwd": "sub", "timeoutMs": 5}),
        ("mcp", {"type": "local", "command": "x", "cwd": None, "env": None, "enabled": None, "timeoutMs": None}),
        ("mcp", {"type": "remote", "url": "http://x", "transport": "sse", "headers": {"A": "b"}, "oauth": False}),
        ("mcp", {"type": "remote", "url": "http://x", "bearerTokenEnvVar": "T", "envHeaders": {"X": "Y"}}),
        ("mcp", {"type": "remote", "url": "http://x", "oauth": {"clientId": "c"}, "enabled": False}),
        ("mcp", {**LOCAL, "unknown": {"kept": [1.5, 123456789012345678901234567890]}}),
        ("skills", {"sources": [{"type": "github", "source": "a/b", "ref": "v1", "skills": ["x"], "subpath": "s"}]}),
        ("skills", {"sources": [], "note": "kept"}),
    ],
)
async def test_an_entry_comes_back_as_it_was_put(
    config: DirectoryConfig, tmp_path: Path, kind: Any, entry: Any
) -> None:
    await config.put(kind, str(tmp_path), "one", raw(entry))
    assert json.loads(await config.get(kind, str(tmp_path), "one")) == entry


async def test_the_file_is_a_json_object_by_name_which_only_its_owner_reads(
    config: DirectoryConfig, tmp_path: Path
) -> None:
    await config.put("mcp", str(tmp_path), "a", raw(LOCAL))
    await config.put("mcp", str(tmp_path), "b/c d", raw(LOCAL))
    file = tmp_path / ".sandbox-agent" / "config" / "mcp.json"
    assert json.loads(file.read_text()) == {"a": LOCAL, "b/c d": LOCAL}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await config.delete("mcp", str(tmp_path), "a")
    assert json.loads(file.read_text()) == {"b/c d": LOCAL}
    assert [one.name for one in file.parent.iterdir()] == ["mcp.json"], "no half-written file is left"


async def test_a_relative_directory_starts_at_the_home_folder(config: DirectoryConfig, tmp_path: Path) -> None:
    await config.put("skills", "project", "one", raw({"sources": []}))
    assert (tmp_path / "project" / ".sandbox-agent" / "config" / "skills.json").is_file()
    with pytest.raises(InvalidRequest, match="leads out"):
        await config.get("skills", "../elsewhere", "one")


async def test_writers_at_once_lose_nothing(config: DirectoryConfig, tmp_path: Path) -> None:
    names = [f"server {number}" for number in range(30)]
    await asyncio.gather(*(config.put("mcp", str(tmp_path), name, raw(LOCAL)) for name in names))
    found = await config.reaching("mcp", str(tmp_path))
    assert sorted(one.name for one in found) == sorted(names)


@pytest.mark.parametrize(("directory", "name"), [("", "x"), ("  ", "x"), ("a\0b", "x"), ("/x", ""), ("/x", " ")])
async def test_a_blank_directory_or_name_is_refused(config: DirectoryConfig, directory: str, name: str) -> None:
    for call in (config.get, config.delete):
        with pytest.raises(InvalidRequest):
            await call("mcp", directory, name)
    with pytest.raises(InvalidRequest):
        await config.put("mcp", directory, name, raw(LOCAL))


async def test_an_unknown_name_is_not_found(config: DirectoryConfig, tmp_path: Path) -> None:
    for call in (config.get, config.delete):
        with pytest.raises(NotFound):
            await call("mcp", str(tmp_path), "nothing")
    assert not (tmp_path / ".sandbox-agent").exists() or not list((tmp_path / ".sandbox-agent").rglob("*.json"))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("mcp", b""),
        ("mcp", b"{"),
        ("mcp", b"[]"),
        ("mcp", raw({"command": "x"})),
        ("mcp", raw({"type": "local"})),
        ("mcp", raw({"type": "remote"})),
        ("mcp", raw({"type": "carrier-pigeon", "url": "x"})),
        ("mcp", raw({"type": "local", "command": "x", "args": "y"})),
        ("skills", raw({})),
        ("skills", raw({"sources": [{"type": "git"}]})),
        ("skills", b"[" * 100_000),
    ],
)
async def test_what_has_another_shape_is_refused_and_nothing_written(
    config: DirectoryConfig, tmp_path: Path, kind: Any, body: bytes
) -> None:
    with pytest.raises(InvalidRequest):
        await config.put(kind, str(tmp_path), "one", body)
    assert not (tmp_path / ".sandbox-agent").exists()


async def test_a_damaged_file_is_told_and_never_written_over(config: DirectoryConfig, tmp_path: Path) -> None:
    file = tmp_path / ".sandbox-agent" / "config" / "mcp.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"mine": ')
    for call in (config.get("mcp", str(tmp_path), "x"), config.put("mcp", str(tmp_path), "x", raw(LOCAL))):
        with pytest.raises(InvalidRequest, match="not a JSON object"):
            await call
    assert file.read_text() == '{"mine": '
    (found,) = await config.reaching("mcp", str(tmp_path))
    assert found.config is None
    assert "not a JSON object" in (found.problem or "")


async def test_a_folder_that_cannot_be_made_is_told(config: DirectoryConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequest, match="cannot be"):
        await config.put("mcp", str(tmp_path / "file"), "x", raw(LOCAL))


async def test_the_nearest_folder_above_decides_for_each_name(config: DirectoryConfig, tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    await config.put("mcp", str(tmp_path), "both", raw({**LOCAL, "command": "far"}))
    await config.put("mcp", str(tmp_path), "far", raw({"type": "remote", "url": "http://x"}))
    await config.put("mcp", str(below.parent), "both", raw({**LOCAL, "command": "near"}))
    found = {one.name: one for one in await config.reaching("mcp", str(below))}
    both, far = found["both"].config, found["far"].config
    assert isinstance(both, LocalMcpServer)
    assert (both.command, found["both"].directory) == ("near", below.parent)
    assert isinstance(far, RemoteMcpServer)
    assert await config.reaching("skills", str(below)) == []


async def test_one_bad_entry_does_not_hide_the_others(config: DirectoryConfig, tmp_path: Path) -> None:
    await config.put("skills", str(tmp_path), "good", raw({"sources": []}))
    file = tmp_path / ".sandbox-agent" / "config" / "skills.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"bad": {"sources": "none"}}))
    found = {one.name: one for one in await config.reaching("skills", str(tmp_path))}
    assert isinstance(found["good"].config, SkillsConfig)
    assert found["bad"].config is None


async def test_a_file_that_others_may_write_is_not_obeyed(config: DirectoryConfig, tmp_path: Path) -> None:
    """In a folder shared by users, a planted file would have its commands run."""
    await config.put("mcp", str(tmp_path), "one", raw(LOCAL))
    file = tmp_path / ".sandbox-agent" / "config" / "mcp.json"
    file.chmod(0o666)
    (found,) = await config.reaching("mcp", str(tmp_path))
    assert found.config is None
    assert "may write it" in (found.problem or "")
    file.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file, 12345, 12345)
        (found,) = await config.reaching("mcp", str(tmp_path))
        assert "another user" in (found.problem or "")
