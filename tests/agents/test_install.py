"""Installing agents, with the machine's own npm and uv, from registries that the tests serve."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents import Agents
from sandbox_agent.agents.catalogue import AgentSpec, NpmSource, PythonSource
from sandbox_agent.agents.install import Installer, versions
from sandbox_agent.agents.install.store import Receipt, Store
from sandbox_agent.agents.launch import slot
from sandbox_agent.problems import AgentNotInstalled, InstallFailed, InvalidRequest
from sandbox_agent.supervisor import Supervisor

from .registries import npm_lock, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sandbox_agent.agents.install import Progress

    from .registries import Registries

TINY = AgentSpec(id="tiny", npm=NpmSource(process="tiny-agent", agent="tiny-agent", node="16"))
SNAKE = AgentSpec(id="snake", python=PythonSource(package="snake-agent", args=("acp",)))


@pytest.fixture
def registries() -> Iterator[Registries]:
    with serving() as running:
        yield running


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package's locks are looked for."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setattr(versions, "LOCKS", folder)
    return folder


@pytest.fixture
def environ(tmp_path: Path, registries: Registries) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **registries.environ()}


@pytest.fixture
async def agents(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Agents]:
    """The service with an installer, and two agents more that these tests publish."""
    supervisor = Supervisor()
    await supervisor.start()
    service = Agents(environ=environ, install_root=tmp_path / "root")
    service.installer = Installer(supervisor, root=tmp_path / "root", environ=environ)
    service._specs |= {"tiny": TINY, "snake": SNAKE}
    yield service
    await supervisor.stop()


@pytest.fixture
def tiny(registries: Registries, locks: Path) -> str:
    """The npm agent, published and locked; its integrity."""
    integrity: str = registries.npm("tiny-agent")
    npm_lock(locks, "tiny", "tiny-agent", integrity)
    return integrity


def left(root: Path) -> list[str]:
    """What is in the install root beside locks."""
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*/*") if path.name != ".lock")


async def test_a_locked_package_is_installed_and_proved(agents: Agents, tiny: str, registries: Registries) -> None:
    """Its launcher starts it, the second time nothing is asked for, and the list tells its version."""
    told: list[Progress] = []
    response = await agents.install("tiny", progress=told.append)
    assert not response.already_installed
    assert (response.artifacts[0].kind, response.artifacts[0].version) == ("agent_process", "1.0.0")
    assert [progress.stage for progress in told][-1] == "done"
    fractions = [progress.fraction for progress in told if progress.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    command = await agents.command("tiny")
    answer = await asyncio.to_thread(
        subprocess.run, command.argv, input=b'{"id": 7}\n', capture_output=True, check=True
    )
    assert json.loads(answer.stdout)["id"] == 7
    registries.asked.clear()
    again = await agents.install("tiny")
    assert (again.already_installed, again.artifacts, registries.asked) == (True, response.artifacts, [])
    info = await agents.info("tiny", config=True)
    assert (info.installed, info.version, info.path) == (True, "1.0.0", str(slot(agents.root, "tiny")))


async def test_a_package_that_is_not_the_locked_one_leaves_nothing(
    agents: Agents, tiny: str, registries: Registries
) -> None:
    """S12, npm: the same version with other bytes."""
    registries.npm("tiny-agent", program="#!/usr/bin/env node\n// altered\n")
    with pytest.raises(InstallFailed) as caught:
        await agents.install("tiny")
    document = caught.value.document()
    assert "EINTEGRITY" in document["output"]
    assert "not the one that was locked" in document["hint"]
    assert (document["stage"], document["exitCode"]) == ("packages", 1)
    assert " ci " in document["command"]
    assert left(agents.root) == []
    assert not (await agents.info("tiny")).installed


async def test_a_wheel_that_is_not_the_locked_one_leaves_nothing(
    agents: Agents, registries: Registries, locks: Path
) -> None:
    """S12, Python."""
    registries.pypi("snake-agent")
    (locks / "snake.txt").write_text(f"snake-agent==1.0.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(InstallFailed) as caught:
        await agents.install("snake")
    assert "not the one that was locked" in (caught.value.hint or "")
    assert left(agents.root) == []


@pytest.mark.parametrize("uv", [True, False], ids=["uv", "pip"])
async def test_a_python_agent_gets_an_environment_of_its_own(
    agents: Agents, registries: Registries, locks: Path, uv: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By uv, and by venv and pip where there is no uv."""
    if not uv:
        monkeypatch.setattr("sandbox_agent.agents.install.python.find_uv", lambda job: None)
    (locks / "snake.txt").write_text(registries.pypi("snake-agent"))
    response = await agents.install("snake")
    assert [(made.source, made.version) for made in response.artifacts] == [("pypi", "1.0.0")]
    assert response.artifacts[0].path.startswith(str(agents.root))
    assert (await agents.info("snake", config=True)).version == "1.0.0"


async def test_twenty_at_once_are_one_install(agents: Agents, tiny: str, registries: Registries) -> None:
    """R17, in one process: one download, and all get the command; one who gives up changes nothing for the rest."""
    registries.hold(".tgz")
    asking = [asyncio.ensure_future(agents.command("tiny")) for _ in range(20)]
    assert await asyncio.to_thread(registries.holding.wait, 60)
    asking[0].cancel()
    registries.go.set()
    commands = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(commands[0], asyncio.CancelledError)
    assert {getattr(command, "argv", command) for command in commands[1:]} == {(str(slot(agents.root, "tiny")),)}
    assert registries.count(".tgz") == 1


PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from sandbox_agent.agents import Agents
from sandbox_agent.agents.catalogue import AgentSpec, NpmSource
from sandbox_agent.agents.install import Installer, versions
from sandbox_agent.supervisor import Supervisor

async def main():
    supervisor = Supervisor()
    await supervisor.start()
    root = Path(sys.argv[1])
    versions.LOCKS = Path(sys.argv[2])
    agents = Agents(install_root=root)
    agents.installer = Installer(supervisor, root=root, environ=os.environ)
    agents._specs["tiny"] = AgentSpec(id="tiny", npm=NpmSource(process="tiny-agent", node="16"))
    response = await agents.install("tiny", progress=lambda told: print(told.stage, flush=True))
    print("already" if response.already_installed else "fresh", flush=True)
    await supervisor.stop()

asyncio.run(main())
"""


def process(agents: Agents, locks: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """Another process that installs into the same root."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(agents.root), str(locks)], env=environ, stdout=subprocess.PIPE
    )


async def test_processes_at_once_are_one_install(
    agents: Agents, tiny: str, registries: Registries, locks: Path, environ: dict[str, str]
) -> None:
    """R17, over processes: those that come second wait, and find it there."""
    registries.hold(".tgz")
    running = [process(agents, locks, environ) for _ in range(4)]
    try:
        assert await asyncio.to_thread(registries.holding.wait, 60)
        registries.go.set()
        said = [(await asyncio.to_thread(one.communicate, timeout=60))[0].split()[-1] for one in running]
    finally:
        for one in running:
            one.kill()
            one.wait()
    assert sorted(said) == [b"already"] * 3 + [b"fresh"]
    assert registries.count(".tgz") == 1


async def test_a_killed_install_leaves_nothing_usable(
    agents: Agents, tiny: str, registries: Registries, locks: Path, environ: dict[str, str]
) -> None:
    """R17: SIGKILL in the middle; the agent is not installed, and the next install clears the remains and succeeds."""
    registries.hold(".tgz")
    running = process(agents, locks, environ)
    with running:
        assert await asyncio.to_thread(registries.holding.wait, 60)
        running.send_signal(signal.SIGKILL)
    registries.go.set()
    assert not (await agents.info("tiny")).installed
    remains = left(agents.root)
    assert len(remains) == 1
    assert not (await agents.install("tiny")).already_installed
    assert remains[0] not in left(agents.root)


async def test_an_agent_that_does_not_answer_is_not_installed(
    agents: Agents, registries: Registries, locks: Path
) -> None:
    """The proof fails: its exit and last words are told, and nothing stays."""
    program = "#!/usr/bin/env node\nconsole.error('no such luck'); process.exit(3);\n"
    npm_lock(locks, "tiny", "tiny-agent", registries.npm("tiny-agent", program=program))
    with pytest.raises(InstallFailed, match="does not start") as caught:
        await agents.install("tiny")
    document = caught.value.document()
    assert (document["stage"], document["exitCode"], document["output"]) == ("verify", 3, "no such luck")
    assert left(agents.root) == []


async def test_an_agent_whose_interpreter_went_away_is_installed_anew(
    agents: Agents, registries: Registries, locks: Path, tmp_path: Path
) -> None:
    """As when the machine's Node.js was removed: it says so, and its first use mends it."""
    own = tmp_path / "node" / "node"
    own.parent.mkdir()
    own.symlink_to(str(shutil.which("node")))
    environ: Any = agents.environ
    environ["PATH"] = f"{own.parent}:{environ['PATH']}"
    npm_lock(locks, "tiny", "tiny-agent", registries.npm("tiny-agent"))
    await agents.install("tiny")
    own.unlink()
    info = await agents.info("tiny")
    assert f"needs {own}" in (info.problem or "")
    assert info.hint == "sandbox-agent install-agent tiny"
    command = await agents.command("tiny")
    answer = await asyncio.to_thread(
        subprocess.run, command.argv, input=b'{"id": 1}\n', capture_output=True, check=True
    )
    assert json.loads(answer.stdout)["id"] == 1


async def test_no_script_of_a_package_runs(agents: Agents, registries: Registries, locks: Path, tmp_path: Path) -> None:
    scripts = {"postinstall": f"touch {tmp_path}/ran", "install": f"touch {tmp_path}/ran"}
    integrity = registries.npm("tiny-agent", scripts=scripts, hasInstallScript=True)
    npm_lock(locks, "tiny", "tiny-agent", integrity)
    await agents.install("tiny")
    assert not (tmp_path / "ran").exists()


async def test_a_failed_reinstall_keeps_what_works(agents: Agents, tiny: str, registries: Registries) -> None:
    await agents.install("tiny")
    registries.npm("tiny-agent", "2.0.0", program="not a program")
    with pytest.raises(InstallFailed):
        await agents.install("tiny", agent_process_version="2.0.0")
    info = await agents.info("tiny", config=True)
    assert (info.installed, info.version) == (True, "1.0.0")


async def test_a_version_overrides_the_lock(agents: Agents, tiny: str, registries: Registries) -> None:
    """`latest` too; the receipt says that no lock vouched for it. The build before stays for who runs on it."""
    registries.npm("tiny-agent", "2.0.0")
    assert (await agents.install("tiny", agent_process_version="latest")).artifacts[0].version == "2.0.0"
    receipt = Store(agents.root).receipt("tiny")
    assert receipt is not None
    assert (receipt.version, receipt.locked) == ("2.0.0", False)
    await agents.install("tiny", reinstall=True)
    receipt = Store(agents.root).receipt("tiny")
    assert receipt is not None
    assert (receipt.version, receipt.locked) == ("1.0.0", True)
    assert len(left(agents.root)) == 2


async def test_the_agent_behind_an_adapter_may_have_another_version(
    agents: Agents, tiny: str, registries: Registries
) -> None:
    """Also where it is a dependency of the adapter's, at a version which that does not ask for."""
    for version in ("1.0.0", "2.0.0"):
        registries.npm("native", version)
    registries.npm("tiny-agent", "1.5.0", dependencies={"native": "1.0.0"})
    source = NpmSource(process="tiny-agent", agent="native", node="16")
    agents._specs["tiny"] = AgentSpec(id="tiny", npm=source)
    response = await agents.install("tiny", agent_process_version="1.5.0", agent_version="2.0.0")
    told = {artifact.kind: artifact.version for artifact in response.artifacts}
    assert told == {"agent_process": "1.5.0", "native_agent": "2.0.0"}


async def test_settings_of_a_project_are_not_for_installs(
    agents: Agents, registries: Registries, locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may run in a folder that says where packages come from; it is not asked."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    (project / "uv.toml").write_text("no-index = true\n")
    del agents.environ["UV_NO_CONFIG"]  # type: ignore[attr-defined]
    (locks / "snake.txt").write_text(registries.pypi("snake-agent"))
    assert not (await agents.install("snake")).already_installed


@pytest.mark.parametrize("version", ["file:/etc", "http://x/y.tgz", "../x", "a b"])
async def test_only_versions_are_versions(agents: Agents, tiny: str, version: str) -> None:
    """No address and no path gets to npm that way."""
    with pytest.raises(InvalidRequest, match="not a version"):
        await agents.install("tiny", agent_process_version=version)
    with pytest.raises(InvalidRequest, match="two versions"):
        await agents.install("tiny", agent_process_version="1", agent_version="2")


async def test_what_a_user_put_there_is_left_alone(agents: Agents, tiny: str) -> None:
    """It counts as installed, and a reinstall refuses to replace it."""
    place = slot(agents.root, "tiny")
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\n")
    place.chmod(0o755)
    response = await agents.install("tiny")
    assert (response.already_installed, response.artifacts[0].source) == (True, "path")
    with pytest.raises(InstallFailed, match="left alone"):
        await agents.install("tiny", reinstall=True)
    assert place.read_text() == "#!/bin/sh\n"


async def test_without_a_network_the_failure_names_it(agents: Agents, tiny: str, registries: Registries) -> None:
    """And what is installed goes on working, for `command` asks nobody."""
    await agents.install("tiny")
    registries.files.clear()
    assert (await agents.command("tiny")).argv == (str(slot(agents.root, "tiny")),)
    shutil.rmtree(agents.root)
    shutil.rmtree(agents.root.parent / ".npm", ignore_errors=True)
    with pytest.raises(InstallFailed) as caught:
        await agents.install("tiny")
    assert "check the network" in (caught.value.hint or "")
    assert "E404" in caught.value.document()["output"]


async def test_first_use_installs_unless_it_is_forbidden(
    agents: Agents, tiny: str, environ: dict[str, str], registries: Registries
) -> None:
    environ["SANDBOX_AGENT_REQUIRE_PREINSTALL"] = "1"
    with pytest.raises(AgentNotInstalled) as caught:
        await agents.command("tiny")
    assert caught.value.hint == "sandbox-agent install-agent tiny"
    del environ["SANDBOX_AGENT_REQUIRE_PREINSTALL"]
    told: list[Progress] = []
    assert (await agents.command("tiny", told.append)).argv == (str(slot(agents.root, "tiny")),)
    assert told[-1].stage == "done"


async def test_what_no_digest_vouches_for_is_installed_only_when_asked(
    agents: Agents, registries: Registries, locks: Path
) -> None:
    registries.npm("tiny-agent")
    source = NpmSource(process="tiny-agent", version="1.0.0", node="16")
    agents._specs["tiny"] = AgentSpec(id="tiny", npm=source)
    with pytest.raises(AgentNotInstalled):
        await agents.command("tiny")
    assert not (await agents.install("tiny")).already_installed


async def test_the_list_installs_nothing(agents: Agents, tiny: str, registries: Registries, tmp_path: Path) -> None:
    infos = await agents.list(config=True)
    assert [info.hint for info in infos if info.id == "tiny"] == ["sandbox-agent install-agent tiny"]
    assert registries.asked == []
    assert not agents.root.exists()


async def test_an_agent_that_comes_from_nowhere_says_where_to_put_it(agents: Agents) -> None:
    agents._specs["x"] = AgentSpec(id="x", programs=(("xy",),))
    with pytest.raises(InstallFailed, match="nothing is known") as caught:
        await agents.install("x")
    assert str(slot(agents.root, "x")) in (caught.value.hint or "")


async def test_builtin_agents_are_there_already(agents: Agents) -> None:
    response = await agents.install("mock", reinstall=False)
    assert (response.already_installed, response.artifacts[0].source) == (True, "builtin")


async def test_an_install_root_that_cannot_be_written_says_so(agents: Agents, tiny: str) -> None:
    agents.root.write_text("a file where the folder should be")
    with pytest.raises(InstallFailed) as caught:
        await agents.install("tiny")
    assert str(agents.root) in (caught.value.hint or "")


def test_every_agent_of_the_catalogue_has_a_lock_with_digests() -> None:
    """Every package of it, and no address of a registry."""
    for agent in Agents(environ={"PATH": ""})._specs.values():
        if agent.npm is not None and agent.npm.version is None:
            lock: Any = versions.npm_lock(agent.id)
            names = lock["packages"][""]["dependencies"]
            assert agent.npm.process in names
            packages = {name: entry for name, entry in lock["packages"].items() if name}
            assert [name for name, entry in packages.items() if not entry["integrity"].startswith("sha512-")] == []
            assert not any("resolved" in entry for entry in packages.values())
        if agent.python is not None and agent.python.version is None:
            text = versions.requirements(agent.id) or ""
            assert versions.pinned(text, agent.python.package)
            assert text.count("--hash=sha256:") >= text.count("==")


def test_a_sweep_keeps_what_is_used(tmp_path: Path) -> None:
    """Cut-off builds go, the one in use stays however old it is."""
    store = Store(tmp_path)
    builds = []
    for age in range(4):
        build = store.new("tiny")
        (build / "launch").write_text("")
        store.publish(build, Receipt(agent="tiny", version=str(age), locked=True, artifacts=()))
        os.utime(build / "install.json", (age, age))
        builds.append(build)
    cut_off = store.new("tiny")
    place = slot(tmp_path, "tiny")
    place.unlink()
    place.symlink_to(builds[0] / "launch")
    store.sweep("tiny", keep=1)
    assert not cut_off.exists()
    assert [build.exists() for build in builds] == [True, False, False, True]
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
    assert store.receipt("tiny") is None
