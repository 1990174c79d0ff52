"""Where ``connect()`` looks for a server when it is not told: the environment, Jupyter, a server of this user's.

Reads the environment and small files; whether somebody answers there is asked by the caller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from sandbox_agent.client import started
from sandbox_agent.client.errors import NoServerFound, ProtocolMismatch, ServerUnreachable
from sandbox_agent.client.target import parse_url
from sandbox_agent.problems import PermissionDenied, Problem, TokenInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandbox_agent.client.target import Target
    from sandbox_agent.problems import SandboxAgentError

URL_VARIABLE: Final = "SANDBOX_AGENT_URL"
TOKEN_VARIABLE: Final = "SANDBOX_AGENT_TOKEN"  # noqa: S105 - the variable's name
EXTENSION_HINT: Final = (
    "install it into the environment that runs the Jupyter Server, "
    "`pip install 'sandbox-agent-jupyter[jupyter]'`, and restart that server"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place to try. ``sure``: the user named it, so a failure there is the answer, not a reason to look on."""

    target: Target
    kind: Literal["given", "jupyter", "local"]
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What discovery looks at; the defaults are this process's own."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    parent_pid: int = field(default_factory=os.getppid)
    data_dir: Path | None = None
    runtime_dir: Path | None = None
    alive: Callable[[int], bool] = field(default_factory=lambda: pid_alive)
    started: Callable[[], list[Target]] = started.targets


def candidates(base_url: str | None, token: str | None, around: Surroundings | None = None) -> Iterator[Candidate]:
    """Places to try, best first. Those named by the caller or the environment exclude all others."""
    around = around or Surroundings()
    environ = around.environ
    if base_url:
        yield from _given(parse_url(base_url, token or _token_for(base_url, around)))
    elif url := environ.get(URL_VARIABLE):
        yield from _given(parse_url(url, token or environ.get(TOKEN_VARIABLE)))
    else:
        for target in (*jupyter_servers(around), *around.started(), *local_servers(around)):
            kind: Literal["jupyter", "local"] = "jupyter" if target.scheme == "token" else "local"
            yield Candidate(replace(target, token=token or target.token), kind)


def _given(target: Target) -> Iterator[Candidate]:
    """The URL itself, then the extension of a Jupyter Server at that URL."""
    yield Candidate(target, "given", sure=True)
    yield Candidate(target.mounted(), "given")


def _token_for(base_url: str, around: Surroundings) -> str | None:
    """The token that belongs to a URL given without one; one that belongs elsewhere is not sent there."""
    wanted = parse_url(base_url)
    if wanted.token:
        return wanted.token
    named = around.environ.get(URL_VARIABLE)
    if (named is None or parse_url(named).url == wanted.url) and (token := around.environ.get(TOKEN_VARIABLE)):
        return token
    known = (*local_servers(around), *jupyter_servers(around))
    return next((t.token for t in known if t.url in {wanted.url, wanted.mounted().url}), None)


def jupyter_servers(around: Surroundings) -> Iterator[Target]:
    """The Jupyter Server that started this kernel (or the terminal this runs in), as the extension's URL.

    jupyter_client tells a kernel its starter's pid in ``JPY_PARENT_PID``; a Jupyter Server writes its URL and token
    to ``jpserver-<pid>.json``. Below JupyterHub the token is the one that the hub gave the user's server.
    """
    environ = around.environ
    hub_token = environ.get("JUPYTERHUB_API_TOKEN")
    started_by = environ.get("JPY_PARENT_PID", "")
    pids = [int(pid) for pid in (started_by, str(around.parent_pid)) if pid.isdigit()]
    for pid in dict.fromkeys(pids):
        info = _read_json(_runtime_dir(around) / f"jpserver-{pid}.json")
        if info is not None and around.alive(pid) and (target := _jupyter_target(info, hub_token)):
            yield target
            return
    if hub_url := _hub_url(environ):
        yield replace(parse_url(hub_url, hub_token).mounted(), token=hub_token)
    elif terminal := environ.get("JUPYTER_SERVER_URL"):
        yield from _terminal_server(terminal, around)


def _jupyter_target(info: Mapping[str, Any], hub_token: str | None) -> Target | None:
    url = str(info.get("url") or "")
    token = str(info.get("token") or "") or hub_token
    if url.startswith("http+unix://"):
        parts = urlsplit(url)
        base = parse_url(f"http://localhost{parts.path}").mounted()
        return replace(base, token=token, socket=unquote(parts.netloc))
    if not url.startswith(("http://", "https://")):
        return None
    return replace(parse_url(url).mounted(), token=token)


def _hub_url(environ: Mapping[str, str]) -> str | None:
    """The single-user server's own address, from inside its container or machine."""
    if not environ.get("JUPYTERHUB_API_TOKEN"):
        return None
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX")
    service = urlsplit(environ.get("JUPYTERHUB_SERVICE_URL", ""))
    if prefix is None or service.port is None:
        return None
    host = service.hostname if service.hostname not in {None, "", "0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104
    return f"{service.scheme or 'http'}://{host}:{service.port}{prefix}"


def _terminal_server(url: str, around: Surroundings) -> Iterator[Target]:
    wanted = parse_url(url).url
    for path in sorted(_runtime_dir(around).glob("jpserver-*.json")):
        info = _read_json(path)
        if info is not None and around.alive(_pid_in(path)) and parse_url(str(info.get("url"))).url == wanted:
            target = _jupyter_target(info, around.environ.get("JUPYTERHUB_API_TOKEN"))
            if target is not None:
                yield target


def local_servers(around: Surroundings) -> Iterator[Target]:
    """Standalone servers of this user, newest first, from the files they keep while they run."""
    folder = (around.data_dir or user_data_dir()) / "servers"
    files = [(path.stat().st_mtime_ns, path) for path in folder.glob("*.json")] if folder.is_dir() else []
    for _, path in sorted(files, reverse=True):
        info = _read_json(path)
        if info is None or not around.alive(_pid_in(path)) or not isinstance(info.get("url"), str):
            continue
        token = info.get("token")
        yield parse_url(info["url"], token if isinstance(token, str) else None)


def explain(tried: list[tuple[Candidate, SandboxAgentError]]) -> SandboxAgentError:
    """The one error for a ``connect()`` that found nothing."""
    given = [error for candidate, error in tried if candidate.kind == "given"]
    if given:
        url = tried[0][0].target.url
        nothing = ProtocolMismatch(
            f"there is no Sandbox Agent API at {url}", hint=f"a Jupyter Server? {EXTENSION_HINT}"
        )
        return next((error for error in given if not _absent(error)), nothing)
    lines = [_reason(candidate, error) for candidate, error in tried]
    missing = any(candidate.kind == "jupyter" and _absent(error) for candidate, error in tried)
    return NoServerFound(lines, hint=EXTENSION_HINT) if missing else NoServerFound(lines)


def goes_on(candidate: Candidate, error: SandboxAgentError) -> bool:
    """Whether ``error`` at ``candidate`` is a reason to try the next one."""
    if not candidate.sure:
        return True
    return _absent(error)


def _absent(error: SandboxAgentError) -> bool:
    """Somebody answered, but not this API."""
    refused = isinstance(error, (TokenInvalid, PermissionDenied))
    return isinstance(error, (Problem, ProtocolMismatch)) and not refused


def _reason(candidate: Candidate, error: SandboxAgentError) -> str:
    url = candidate.target.url
    if candidate.kind == "jupyter" and _absent(error):
        return f"the Jupyter Server at {url.rpartition('/')[0]}/ does not have the Sandbox Agent extension"
    if isinstance(error, ServerUnreachable):
        return f"{url}: {error.reason}"
    return f"{url}: {error}"


def pid_alive(pid: int) -> bool:
    """Whether a process of that id runs (its owner does not matter)."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def user_data_dir() -> Path:
    """Where the servers of this user keep their files, honouring ``XDG_DATA_HOME``."""
    import platformdirs  # noqa: PLC0415 - only where it is looked for

    return Path(platformdirs.user_data_dir("sandbox-agent", appauthor=False))


def _runtime_dir(around: Surroundings) -> Path:
    if around.runtime_dir is not None:
        return around.runtime_dir
    try:
        from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415 - an optional dependency
    except ImportError:
        named = around.environ.get("JUPYTER_RUNTIME_DIR")
        return Path(named) if named else Path.home() / ".local" / "share" / "jupyter" / "runtime"
    return Path(jupyter_runtime_dir())


def _pid_in(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        decoded = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return decoded if isinstance(decoded, dict) else None
