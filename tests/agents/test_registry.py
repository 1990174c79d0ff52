"""The ACP registry: the snapshot, another address, its cache, and entries that are wrong."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.agents import Agents
from sandbox_agent.agents.install import Installer
from sandbox_agent.agents.install.versions import this_platform
from sandbox_agent.agents.registry import VARIABLE, Registry, parse
from sandbox_agent.problems import AgentNotInstalled, InstallFailed, UnsupportedAgent
from sandbox_agent.supervisor import Supervisor

from .registries import ANSWER, serving, tarball, zipped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from .registries import Registries

SHELL_AGENT = "#!/bin/sh\nread line\necho '" + ANSWER.replace("%s", '"sa-1"') + "'\nsleep 60\n"


@pytest.fixture
def registries() -> Iterator[Registries]:
    with serving() as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}


def entry(name: str, **distribution: Any) -> dict[str, Any]:
    return {"id": name, "name": name.title(), "version": "1.0.0", "description": "", "distribution": distribution}


def document(*entries: Any) -> bytes:
    return json.dumps({"version": "1.0.0", "agents": entries}).encode()


def serve(registries: Registries, *entries: Any) -> str:
    registries.files["/registry.json"] = ("application/json", document(*entries))
    return f"{registries.url}/registry.json"


def test_the_snapshot_has_all_kinds(environ: dict[str, str]) -> None:
    """Every entry of it can be read, and what can be checked by a digest is preferred."""
    specs = {spec.id: spec for spec in Registry(environ).kept()}
    assert all(spec.installable for spec in specs.values())
    assert specs["goose"].binary is not None
    assert specs["goose"].locked
    assert (specs["auggie"].npm and specs["auggie"].npm.version) == "0.36.0"
    assert not specs["auggie"].locked
    assert (specs["fast-agent"].python and specs["fast-agent"].python.package) == "fast-agent-acp"


def test_each_distribution_becomes_a_source() -> None:
    """Scoped names, both ways to write a version, extras, and the program of a package."""
    specs = parse(
        document(
            entry("a", npx={"package": "@s/a@1.2.3", "cmd": "run", "args": ["--acp"], "env": {"X": "1"}}),
            entry("b", uvx={"package": "b[acp]==2.0", "args": ["x"]}),
            entry("c", uvx={"package": "c@3.0"}),
            entry("d", npx={"package": "d"}),
        )
    )
    a, b, c, d = specs
    assert a.npm is not None
    assert (a.npm.process, a.npm.version, a.npm.bin, a.npm.args, a.env) == (
        "@s/a",
        "1.2.3",
        "run",
        ("--acp",),
        {"X": "1"},
    )
    assert b.python is not None
    assert (b.python.package, b.python.version) == ("b[acp]", "2.0")
    assert c.python is not None
    assert (c.python.package, c.python.version) == ("c", "3.0")
    assert d.npm is not None
    assert d.npm.version == "latest"


@pytest.mark.parametrize(
    "wrong",
    [
        entry("../up", npx={"package": "x"}),
        entry("x"),
        entry("x", npx={"package": "git+ssh://somewhere@1 2"}),
        entry("x", uvx={"package": "x --index-url y"}),
        {"id": "x"},
        "x",
    ],
)
def test_a_wrong_entry_is_left_out(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The others stay; the log names it."""
    with caplog.at_level(logging.WARNING):
        assert [spec.id for spec in parse(document(wrong, entry("ok", npx={"package": "ok@1"})))] == ["ok"]
    assert "left out" in caplog.text


@pytest.mark.parametrize("text", [b"", b"[]", b"<html>", b'{"agents": 1}'])
def test_what_is_no_registry_has_no_agents(text: bytes) -> None:
    assert parse(text) == []


async def test_another_registry_takes_the_snapshots_place(environ: dict[str, str], registries: Registries) -> None:
    """Asked once and not before it is needed; the catalogue's own agents stay as they are."""
    environ[VARIABLE] = serve(
        registries, entry("claude", npx={"package": "evil@1"}), entry("new", npx={"package": "n@1"})
    )
    agents = Agents(environ=environ)
    assert registries.asked == []
    infos = await agents.list()
    assert infos[-1].id == "new"
    assert "goose" not in agents.ids()
    assert agents.spec("claude").npm is not None
    assert agents.spec("claude").npm.process.startswith("@agentclientprotocol/")  # type: ignore[union-attr]
    await agents.list()
    assert registries.count("/registry.json") == 1


async def test_an_agent_that_only_the_registry_knows_can_be_named(
    environ: dict[str, str], registries: Registries
) -> None:
    """Without a list before; one that it does not know either is unsupported."""
    environ[VARIABLE] = serve(registries, entry("new", npx={"package": "n@1"}))
    assert (await Agents(environ=environ).info("new")).name == "New"
    with pytest.raises(UnsupportedAgent):
        await Agents(environ=environ).info("newer")


async def test_what_was_read_last_is_kept(environ: dict[str, str], registries: Registries) -> None:
    """Gone, broken or a page of something else: the last one is used; with none ever, the snapshot."""
    environ[VARIABLE] = serve(registries, entry("new", npx={"package": "n@1"}))
    await Agents(environ=environ).list()
    for answer in (None, ("text/html", b"<html>log in first</html>")):
        registries.files.pop("/registry.json", None)
        if answer is not None:
            registries.files["/registry.json"] = answer
        agents = Agents(environ=environ)
        assert [info.id for info in await agents.list()][-1] == "new"
    environ[VARIABLE] = f"{registries.url}/other.json"
    agents = Agents(environ=environ)
    await agents.list()
    assert "goose" in agents.ids()


async def test_a_file_may_be_the_registry(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my registry.json").write_bytes(document(entry("mine", npx={"package": "m@1"})))
    environ[VARIABLE] = (tmp_path / "my registry.json").as_uri()
    agents = Agents(environ=environ)
    assert agents.ids()[-1] == "mine"


@pytest.fixture
async def installing(environ: dict[str, str], registries: Registries, tmp_path: Path) -> AsyncIterator[Agents]:
    """Agents whose registry holds what the test puts at `binary`."""
    supervisor = Supervisor()
    await supervisor.start()
    environ[VARIABLE] = f"{registries.url}/registry.json"
    agents = Agents(environ=environ, install_root=tmp_path / "root")
    agents.installer = Installer(supervisor, root=tmp_path / "root", environ=environ)
    yield agents
    await supervisor.stop()


def binary(registries: Registries, name: str, data: bytes, *, cmd: str = "./bin/agent", sha256: str | None) -> None:
    source = {"archive": registries.file(name, data), "cmd": cmd, "args": ["acp"]}
    serve(registries, entry("bin", binary={this_platform(): source | ({"sha256": sha256} if sha256 else {})}))


@pytest.mark.parametrize(
    ("name", "data", "cmd"),
    [
        ("a.tar.gz", tarball({"bin/agent": SHELL_AGENT}), "./bin/agent"),
        ("a.tar.bz2", tarball({"bin/agent": SHELL_AGENT}, "w:bz2"), "bin/agent"),
        ("a.zip", zipped({"bin/agent": SHELL_AGENT}), "bin/agent"),
        ("agent", SHELL_AGENT.encode(), "./agent"),
    ],
    ids=["tar.gz", "tar.bz2", "zip", "raw"],
)
async def test_a_release_with_a_digest_is_installed_on_first_use(
    installing: Agents, registries: Registries, name: str, data: bytes, cmd: str
) -> None:
    binary(registries, name, data, cmd=cmd, sha256=hashlib.sha256(data).hexdigest())
    assert (await installing.command("bin")).argv[0].endswith("agent_processes/bin-acp")
    info = await installing.info("bin", config=True)
    assert (info.installed, info.version) == (True, "1.0.0")


async def test_a_release_with_another_digest_leaves_nothing(installing: Agents, registries: Registries) -> None:
    """S12, archives."""
    binary(registries, "a.tar.gz", tarball({"bin/agent": SHELL_AGENT}), sha256="0" * 64)
    with pytest.raises(InstallFailed, match="digest") as caught:
        await installing.command("bin")
    assert caught.value.extensions["stage"] == "download"
    assert [path.name for path in installing.root.glob("store/bin/*") if path.name != ".lock"] == []


async def test_a_release_without_a_digest_is_installed_only_when_asked(
    installing: Agents, registries: Registries
) -> None:
    binary(registries, "a.tar.gz", tarball({"bin/agent": SHELL_AGENT}), sha256=None)
    with pytest.raises(AgentNotInstalled):
        await installing.command("bin")
    told = []
    await installing.install("bin", progress=told.append)
    assert any("without a digest" in progress.text for progress in told)


@pytest.mark.parametrize(
    ("name", "data", "cmd"),
    [
        ("a.tar.gz", tarball({"../../up": "x", "agent": SHELL_AGENT}), "agent"),
        ("a.zip", zipped({"../../up": "x", "agent": SHELL_AGENT}), "agent"),
        ("a.zip", b"not an archive", "agent"),
        ("a.tar.gz", b"not an archive", "agent"),
        ("a.zip", zipped({"other": "x"}), "agent"),
        ("a.zip", zipped({"agent": SHELL_AGENT}), "../../../bin/sh"),
    ],
    ids=["tar-up", "zip-up", "zip-broken", "tar-broken", "no-program", "program-outside"],
)
async def test_a_bad_release_leaves_nothing(
    installing: Agents, registries: Registries, name: str, data: bytes, cmd: str
) -> None:
    """Nothing is written outside of its folder, and the folder goes."""
    binary(registries, name, data, cmd=cmd, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(InstallFailed):
        await installing.command("bin")
    assert list(installing.root.parent.rglob("up")) == []
    assert [path.name for path in installing.root.glob("store/bin/*") if path.name != ".lock"] == []


async def test_a_platform_without_a_release_is_told(installing: Agents, registries: Registries) -> None:
    serve(registries, entry("bin", binary={"plan9-mips": {"archive": "x", "cmd": "y"}}))
    with pytest.raises(InstallFailed, match="no release for") as caught:
        await installing.install("bin")
    assert "plan9-mips" in (caught.value.hint or "")


async def test_a_host_that_is_down_is_told(installing: Agents, registries: Registries) -> None:
    source = {"archive": "http://127.0.0.1:1/a.zip", "cmd": "y", "sha256": "0" * 64}
    serve(registries, entry("bin", binary={this_platform(): source}))
    with pytest.raises(InstallFailed, match="downloading from 127") as caught:
        await installing.install("bin")
    assert "network" in (caught.value.hint or "")


async def test_a_package_of_the_registry_is_installed_when_asked(
    installing: Agents, registries: Registries, environ: dict[str, str]
) -> None:
    """By its own program, found as `npx` finds it."""
    registries.npm("tiny-agent", "3.1.4")
    environ |= registries.environ() | {"PATH": str(shutil.which("npm")).rpartition("/")[0] + ":/usr/bin:/bin"}
    serve(registries, entry("tiny", npx={"package": "tiny-agent@3.1.4"}))
    await installing.list()
    spec = installing.spec("tiny")
    assert spec.npm is not None
    old = msgspec.structs.replace(spec.npm, node="16")  # the machine's own, so that none must be fetched
    installing._specs["tiny"] = msgspec.structs.replace(spec, npm=old)
    response = await installing.install("tiny")
    assert response.artifacts[0].version == "3.1.4"
