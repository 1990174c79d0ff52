"""Where `connect()` looks, with real files and a made-up environment."""

# ruff: noqa: S106 - made-up tokens

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.client.discovery import (
    EXTENSION_HINT,
    Candidate,
    Surroundings,
    candidates,
    explain,
    goes_on,
    pid_alive,
)
from sandbox_agent.client.errors import NoServerFound, ProtocolMismatch, ServerUnreachable
from sandbox_agent.client.target import Target
from sandbox_agent.problems import EndpointNotFound, PermissionDenied, TokenInvalid

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Place:
    """A user's folders, in which every pid under 1000 is alive."""

    def __init__(self, root: Path) -> None:
        self.data, self.runtime = root / "data", root / "runtime"
        (self.data / "servers").mkdir(parents=True)
        self.runtime.mkdir()

    def server(self, pid: int, mtime: int = 0, **fields: Any) -> None:
        path = self.data / "servers" / f"{pid}.json"
        path.write_text(json.dumps({"url": f"http://127.0.0.1:{pid}", "pid": pid} | fields))
        os.utime(path, (mtime, mtime))

    def jupyter(self, pid: int, **fields: Any) -> None:
        info = {"url": f"http://localhost:{8000 + pid}/", "token": f"jt{pid}", "pid": pid}
        (self.runtime / f"jpserver-{pid}.json").write_text(json.dumps(info | fields))

    def look(
        self, base_url: str | None = None, token: str | None = None, parent: int = 0, **environ: str
    ) -> list[Candidate]:
        around = Surroundings(environ, parent, self.data, self.runtime, alive=lambda pid: 0 < pid < 1000, started=list)
        return list(candidates(base_url, token, around))

    def targets(self, *args: Any, **kwargs: Any) -> list[tuple[str, str | None]]:
        return [(c.target.url, c.target.token) for c in self.look(*args, **kwargs)]


def test_a_url_that_is_given_excludes_all_others(place: Place) -> None:
    """The URL itself, then the extension of a Jupyter Server at that URL; nothing else is asked."""
    place.server(5)
    found = place.look("http://h:1/lab?token=t", SANDBOX_AGENT_URL="http://other")
    assert [(c.target.url, c.target.headers(), c.sure) for c in found] == [
        ("http://h:1", {"Authorization": "Bearer t"}, True),
        ("http://h:1/sandbox-agent", {"Authorization": "token t"}, False),
    ]


def test_the_environment_comes_second(place: Place) -> None:
    place.server(5)
    found = place.targets(SANDBOX_AGENT_URL="http://h:1/", SANDBOX_AGENT_TOKEN="t")
    assert found[0] == ("http://h:1", "t")
    assert place.targets(None, "mine", SANDBOX_AGENT_URL="http://h:1/", SANDBOX_AGENT_TOKEN="t")[0][1] == "mine"


def test_a_token_is_not_sent_to_another_server(place: Place) -> None:
    """The environment's token belongs to the environment's URL."""
    environ = {"SANDBOX_AGENT_URL": "http://h:1", "SANDBOX_AGENT_TOKEN": "t"}
    assert place.targets("http://h:1/", **environ)[0][1] == "t"
    assert place.targets("http://other:1/", **environ)[0][1] is None
    assert place.targets("http://other:1/", SANDBOX_AGENT_TOKEN="t")[0][1] == "t"


def test_a_url_of_a_known_server_needs_no_token(place: Place) -> None:
    place.server(5, token="secret")
    assert place.targets("http://127.0.0.1:5/")[0][1] == "secret"


class TestJupyter:
    def test_the_server_that_started_the_kernel(self, place: Place) -> None:
        place.jupyter(7)
        place.jupyter(8)
        assert place.targets(JPY_PARENT_PID="7") == [("http://localhost:8007/sandbox-agent", "jt7")]

    def test_the_parent_counts_where_the_environment_says_nothing(self, place: Place) -> None:
        place.jupyter(8)
        assert place.targets(parent=8) == [("http://localhost:8008/sandbox-agent", "jt8")]

    def test_another_programs_kernel_is_not_in_a_server(self, place: Place) -> None:
        """Nbclient starts kernels too; some Jupyter Server that happens to run is not theirs."""
        place.jupyter(8)
        assert place.targets(parent=9, JPY_PARENT_PID="9") == []

    def test_a_server_that_has_ended_is_skipped(self, place: Place) -> None:
        place.jupyter(4000)
        assert place.targets(JPY_PARENT_PID="4000") == []

    def test_below_a_base_url_and_a_hub(self, place: Place) -> None:
        """A single-user server has no token of its own; the hub's opens it."""
        place.jupyter(7, url="http://127.0.0.1:8888/user/ann/", token="")
        found = place.look(JPY_PARENT_PID="7", JUPYTERHUB_API_TOKEN="hub")
        assert found[0].target.url == "http://127.0.0.1:8888/user/ann/sandbox-agent"
        assert found[0].target.headers() == {"Authorization": "token hub"}

    def test_a_hubs_server_without_a_runtime_file(self, place: Place) -> None:
        environ = {
            "JUPYTERHUB_API_TOKEN": "hub",
            "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/",
            "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:8888/user/ann/",
        }
        assert place.targets(**environ) == [("http://127.0.0.1:8888/user/ann/sandbox-agent", "hub")]

    def test_a_unix_socket(self, place: Place) -> None:
        place.jupyter(7, url="http+unix://%2Frun%2Fj.sock/base/")
        (found,) = place.look(JPY_PARENT_PID="7")
        assert (found.target.socket, found.target.url) == ("/run/j.sock", "http://localhost/base/sandbox-agent")

    def test_a_terminal_of_jupyterlab(self, place: Place) -> None:
        place.jupyter(7)
        place.jupyter(8)
        assert place.targets(JUPYTER_SERVER_URL="http://localhost:8008/") == [
            ("http://localhost:8008/sandbox-agent", "jt8")
        ]

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 3}', "not json"])
    def test_a_file_that_says_nothing_is_skipped(self, place: Place, content: str) -> None:
        (place.runtime / "jpserver-7.json").write_text(content)
        assert place.targets(JPY_PARENT_PID="7") == []


class TestLocal:
    def test_the_newest_first_and_the_dead_not_at_all(self, place: Place) -> None:
        place.server(5, mtime=100)
        place.server(6, mtime=200, token="t6")
        place.server(5000, mtime=300)
        assert place.targets() == [("http://127.0.0.1:6", "t6"), ("http://127.0.0.1:5", None)]

    def test_jupyter_comes_before_local_servers(self, place: Place) -> None:
        place.server(5)
        place.jupyter(7)
        assert [c.kind for c in place.look(JPY_PARENT_PID="7")] == ["jupyter", "local"]

    def test_a_token_that_is_given_is_used_everywhere(self, place: Place) -> None:
        place.server(5, token="own")
        assert place.targets(None, "given") == [("http://127.0.0.1:5", "given")]

    def test_half_written_files_are_skipped(self, place: Place) -> None:
        (place.data / "servers" / "9.json").write_text('{"url"')
        (place.data / "servers" / "10.tmp").write_text("{}")
        assert place.targets() == []

    def test_a_user_who_never_ran_a_server(self, tmp_path: Path) -> None:
        around = Surroundings({}, 0, tmp_path / "none", tmp_path / "none", started=list)
        assert list(candidates(None, None, around)) == []


class TestExplain:
    jupyter = Candidate(Target("http://h/sandbox-agent", scheme="token"), "jupyter")
    local = Candidate(Target("http://l"), "local")
    given = Candidate(Target("http://g"), "given", sure=True)

    def test_nothing_at_all(self) -> None:
        error = explain([])
        assert isinstance(error, NoServerFound)
        assert "sandbox-agent daemon start" in str(error)
        assert "SandboxAgent.start()" in str(error)

    def test_a_jupyter_server_without_the_extension(self) -> None:
        """The error says what to install, and where."""
        error = explain([(self.jupyter, EndpointNotFound("x")), (self.local, ServerUnreachable("http://l", "refused"))])
        assert isinstance(error, NoServerFound)
        assert error.hint == EXTENSION_HINT
        assert "Jupyter Server at http://h/ does not have" in str(error)
        assert "http://l: refused" in str(error)

    def test_a_url_that_was_named_fails_as_itself(self) -> None:
        wrong = TokenInvalid("no")
        assert explain([(self.given, wrong)]) is wrong
        assert not goes_on(self.given, wrong)
        assert not goes_on(self.given, ServerUnreachable("http://g", "refused"))
        assert not goes_on(self.given, PermissionDenied("no"))

    def test_a_jupyter_server_that_was_named_fails_as_itself_too(self) -> None:
        """There is nothing at its root; what its extension's place says is the answer."""
        mounted = Candidate(self.given.target.mounted(), "given")
        refused = PermissionDenied("no")
        assert explain([(self.given, EndpointNotFound("x")), (mounted, refused)]) is refused
        nothing = explain([(self.given, EndpointNotFound("x")), (mounted, EndpointNotFound("x"))])
        assert isinstance(nothing, ProtocolMismatch)
        assert "http://g" in str(nothing)
        assert EXTENSION_HINT in str(nothing)

    def test_a_url_where_something_else_answers_may_be_jupyters(self) -> None:
        assert goes_on(self.given, EndpointNotFound("x"))
        assert goes_on(self.local, TokenInvalid("x"))


def test_pids_are_told_alive_from_dead() -> None:
    assert pid_alive(os.getpid())
    assert pid_alive(1)
    assert not pid_alive(0)
    assert not pid_alive((1 << 22) + 1)
