"""`sandbox-agent server` as its users meet it: starting, refusing to start, stopping, being found."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import psutil
import pytest

from sandbox_agent import __version__
from sandbox_agent.cli import main

from ..support import sse
from ..support.ports import free_port
from ..support.server import (
    DEADLINE,
    READY,
    environment,
    initialize,
    new_acp_session,
    poll,
    prompt_params,
    serve,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = [sys.executable, "-m", "sandbox_agent"]


def run(
    *args: str, home: Path, env: Mapping[str, str] | None = None, timeout: float = DEADLINE
) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(
        [*PROGRAM, *args], env=environment(home, env), capture_output=True, text=True, timeout=timeout, check=False
    )


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert __version__ in capsys.readouterr().out


def test_help_names_every_option_of_the_reference_and_hides_what_is_not_for_people(tmp_path: Path) -> None:
    shown = run("server", "--help", home=tmp_path)
    assert shown.returncode == 0
    for option in (
        "-H, --host",
        "-p, --port",
        "-t, --token",
        "-n, --no-token",
        "-O, --cors-allow-origin",
        "-M, --cors-allow-method",
        "-A, --cors-allow-header",
        "-C, --cors-allow-credentials",
    ):
        long = option.partition(", ")[2]
        assert option.replace(", ", " ").split()[0] in shown.stdout
        assert long in shown.stdout
    for option in ("--no-telemetry", "--allow-host", "--data-dir", "--config"):
        assert option in shown.stdout
    assert "--parent-pid" not in shown.stdout


def test_the_command_alone_does_not_load_the_server(tmp_path: Path) -> None:
    look = "import sys; from sandbox_agent.cli import build_parser; build_parser(); print("
    program = look + "[m for m in sys.modules if 'tornado' in m])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_with_neither_token_nor_no_token_it_refuses_with_a_hint(tmp_path: Path) -> None:
    refused = run("server", "--port", "0", home=tmp_path)
    assert refused.returncode == 1
    assert "--token" in refused.stderr
    assert "--no-token" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--port", "70000"), "port"),
        (("--host", "no.such.host.invalid"), "no.such.host.invalid"),
        (("--host", "203.0.113.7"), "203.0.113.7"),
        (("--config", "/nowhere/config.json"), "/nowhere/config.json"),
        (("--data-dir", "/proc/nowhere"), "data directory"),
        (("--token", "x"), "exclude"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_a_line(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    port = () if "--port" in args else ("--port", "0")
    refused = run("server", "--no-token", *port, *args, home=tmp_path)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert READY not in refused.stdout


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "malformed"),
        ("a.toml", "= 1", "malformed"),
        ("a.json", "[]", "object"),
        ("a.json", '{"server": {"prot": 1}}', "server.prot"),
        ("a.json", '{"server": {"port": "high"}}', "port"),
        ("a.json", '{"server": {"retain_bytes": -1}}', "retain_bytes"),
        ("a.json", '{"agents": []}', "agents"),
    ],
)
def test_a_faulty_configuration_is_refused_by_its_key(tmp_path: Path, name: str, text: str, said: str) -> None:
    config = tmp_path / name
    config.write_text(text)
    refused = run("server", "--no-token", "--config", str(config), home=tmp_path)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_in_use_is_an_error_of_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = run("server", "--no-token", "--port", str(taken.getsockname()[1]), home=tmp_path)
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert "hint:" in refused.stderr


def test_two_servers_on_one_data_directory_are_not_both_started(tmp_path: Path) -> None:
    with serve(tmp_path / "home") as server:
        refused = run("server", "--no-token", "--port", "0", "--data-dir", str(server.data_dir), home=tmp_path)
    assert refused.returncode == 1
    assert "in use by another server" in refused.stderr


def test_settings_come_from_a_file_and_the_command_line_goes_before_it(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[server]\nhost = "localhost"\nport = 1\n[agents.custom]\ncommand = "true"\nname = "Custom"\n')
    with serve(tmp_path / "home", "--config", str(config)) as server, server.client() as client:
        assert server.url.startswith("http://localhost:")
        assert "custom" in [agent["id"] for agent in client.get("/v1/agents").json()["agents"]]


def test_the_token_may_come_from_the_environment_and_stays_there(tmp_path: Path) -> None:
    token = "token-from-the-environment"  # noqa: S105 - only a test's
    env = environment(tmp_path, {"SANDBOX_AGENT_TOKEN": token})
    with subprocess.Popen([*PROGRAM, "server", "--port", "0"], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix(READY).strip()
        try:
            assert httpx2.get(f"{url}/v1/health").status_code == 401
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx2.get(f"{url}/v1/health", headers=headers).json() == {"status": "ok"}
            assert token not in " ".join(psutil.Process(process.pid).cmdline())
        finally:
            process.terminate()


def test_options_of_old_clients_are_taken(tmp_path: Path) -> None:
    with serve(tmp_path, "--no-telemetry", "-H", "127.0.0.1", "-O", "https://a.example", "-M", "GET", "-C") as server:
        answer = httpx2.get(f"{server.url}/v1/health", headers={"Origin": "https://a.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_its_access_may_be_said_before_its_name(tmp_path: Path) -> None:
    """`sandbox-agent --token T server`, as 0.4.2 takes it."""
    refused = run("--token", "x", "server", "--no-token", "--port", "0", home=tmp_path)
    assert "exclude" in refused.stderr


def test_open_to_the_world_without_a_token_it_warns_and_serves(tmp_path: Path) -> None:
    with serve(tmp_path, "--host", "0.0.0.0") as server:  # noqa: S104 - as it is run in a provider's sandbox
        assert httpx2.get(f"{server.url}/v1/health", headers={"Host": "2468-x.provider.dev"}).status_code == 200
        assert "warning: without a token" in server.log()


def test_it_is_announced_to_its_user_alone_and_withdrawn_at_the_end(tmp_path: Path) -> None:
    token = "a-token-to-be-found"  # noqa: S105 - only a test's
    server = start(tmp_path, token=token)
    [path] = (server.data_dir / "servers").glob("*.json")
    told = json.loads(path.read_text())
    assert told == {"url": server.url, "pid": server.process.pid, "version": __version__, "token": token}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    assert server.stop() == 0
    assert not path.exists()


def test_what_a_killed_server_left_is_forgotten_by_the_next(tmp_path: Path) -> None:
    server = start(tmp_path)
    server.stop(signal.SIGKILL)
    [left] = (server.data_dir / "servers").glob("*.json")
    with serve(tmp_path):
        assert not left.exists()


def test_each_port_has_a_store_of_its_own_and_finds_it_again(tmp_path: Path) -> None:
    def serve_default(port: int) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [*PROGRAM, "server", "--no-token", "--port", str(port)],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        return process, process.stdout.readline().removeprefix(READY).strip()

    def end(process: subprocess.Popen[str]) -> None:
        process.terminate()
        process.wait(DEADLINE)
        assert process.stdout is not None
        process.stdout.close()

    first, url = serve_default(free_port())
    second, other = serve_default(free_port())
    body = {"agent": "mock", "id": "mine", "cwd": str(tmp_path)}
    assert httpx2.post(f"{url}/v1/sessions", json=body, timeout=DEADLINE).status_code == 201
    assert httpx2.get(f"{other}/v1/sessions").json()["items"] == []
    end(second)
    end(first)
    again, url_again = serve_default(int(url.rpartition(":")[2]))
    assert url_again == url
    assert [item["id"] for item in httpx2.get(f"{url}/v1/sessions").json()["items"]] == ["mine"]
    end(again)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_soon_with_live_agents_and_open_streams_and_leaves_nobody(tmp_path: Path, number: int) -> None:
    server = start(tmp_path / "home")
    with server.client() as client, server.client() as waiting:
        for name in ("one", "two"):
            initialize(client, name)
        session = new_acp_session(client, "one", tmp_path)
        hanging = {"jsonrpc": "2.0", "id": 9, "method": "session/prompt"}
        hanging["params"] = prompt_params(session, "[[spawn count=2 daemon=1]] [[hang]]")  # type: ignore[assignment]
        assert waiting.post("/v1/acp/one", json=hanging, headers={"Prefer": "wait=0"}).status_code == 202
        family = poll(lambda: _family(server.process.pid, 4), what="the agents and their daemons")
        with sse.opened(client, "/v1/acp/one", after=0) as response:
            begun = time.monotonic()
            assert server.stop(number) == 0
            assert time.monotonic() - begun < DEADLINE / 2, "it waited for the agents"
            told = list(sse.events(response))
    assert [event.json().get("method") for event in told].count("_adapter/agent_exited") == 1
    assert "error" in told[-1].json(), "the prompt that was waited for is answered too"
    assert psutil.wait_procs(family, timeout=DEADLINE)[1] == []
    assert "Traceback" not in server.log()
    assert "ERROR" not in server.log()


def _family(pid: int, least: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children(recursive=True)
    return found if len(found) >= least else []


def test_it_ends_with_the_parent_it_was_told_of(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "argv = [sys.executable, '-m', 'sandbox_agent', 'server', '--no-token', '--port', '0',"
        " '--parent-pid', str(os.getpid())]\n"
        "child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline(), flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        child = psutil.Process(pid)
        parent.kill()
        parent.wait(DEADLINE)
    poll(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the server's end")


def test_a_parent_that_is_gone_already_is_noticed(tmp_path: Path) -> None:
    ended = run("server", "--no-token", "--port", "0", "--parent-pid", str(os.getpid() + 1), home=tmp_path)
    assert ended.returncode == 0


def test_the_token_is_nowhere_an_agent_or_a_log_could_have_it(tmp_path: Path) -> None:
    token = "do-not-tell-this-token-to-anyone"  # noqa: S105 - only a test's
    env = {"SANDBOX_AGENT_TOKEN": token}
    with serve(tmp_path / "home", "--log-level", "debug", token=token, env=env) as server, server.client() as client:
        initialize(client, "a")
        new_acp_session(client, "a", tmp_path)
        made = client.post("/v1/sessions", json={"agent": "mock", "cwd": str(tmp_path)}).json()
        path = f"/v1/sessions/{made['id']}"
        prompt = {"prompt": "[[bash env; cat /proc/$PPID/environ | tr '\\\\0' '\\\\n']]"}
        client.patch(path, json={"permissionPolicy": "allow_all"})
        client.post(f"{path}/prompts", json=prompt, headers={"Prefer": "wait=50"})
        httpx2.get(f"{server.url}/v1/health?access_token={token}")
        httpx2.get(f"{server.url}/v1/{token}", headers={"Authorization": f"Bearer {token}x"})
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert len(family) >= 2
        for process in family:
            told = Path(f"/proc/{process.pid}/environ").read_bytes() + b" ".join(map(str.encode, process.cmdline()))
            assert token.encode() not in told
        for form in ("json", "md", "html", "ipynb", "text"):
            assert token not in client.get(f"{path}/transcript", params={"format": form}).text
        assert token not in client.get(f"{path}/events", params={"limit": 1000}).text
    log = server.log()
    assert "POST /v1/sessions" in log, "debug logs the requests"
    assert token not in log


def test_traits_have_help_texts_and_can_be_configured() -> None:
    from sandbox_agent.server.app import StandaloneServer  # noqa: PLC0415 - heavy

    own = StandaloneServer.class_traits(config=True)
    assert {"host", "port", "token", "data_dir", "retain_bytes", "heartbeat_seconds"} <= set(own)
    assert [name for name, trait in own.items() if not trait.help] == []
