"""The standalone server: one process, one loop, the same handlers as inside Jupyter behind its own access rules."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tornado import netutil, web
from tornado.httpserver import HTTPServer
from traitlets import Bool, Int, List, TraitError, Unicode
from traitlets.config import Config, Configurable

from sandbox_agent.problems import Problem, SandboxAgentError, StoreUnavailable
from sandbox_agent.sandbox import Sandbox
from sandbox_agent.server import discovery, logs, mount
from sandbox_agent.server.access import AccessRules, Cors, is_loopback
from sandbox_agent.server.allocator import keep_blocks
from sandbox_agent.server.ending import end_within
from sandbox_agent.server.fastpath import FrontDoor
from sandbox_agent.server.handler import Api, ApiHandler
from sandbox_agent.server.settings import DATABASE, ServiceSettings, private_dir, user_data_dir
from sandbox_agent.server.sse import Streams
from sandbox_agent.supervisor import descriptors

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

STOP_SECONDS = 4.5
END_SECONDS = 15.0
_NO_LIMIT = 1 << 62


class CannotStart(SandboxAgentError):
    """The server cannot start, for a reason its user can change."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class StandaloneHandler(ApiHandler):
    """Access by bearer token, Host and Origin; CORS as configured."""

    @property
    def rules(self) -> AccessRules:
        rules: AccessRules = self.settings["access_rules"]
        return rules

    async def authenticate(self) -> None:
        request = self.request
        if self._preflight():
            self.rules.check_host(request.headers.get("Host"))
        elif self._public() or self.lent_to() is not None:
            self.rules.check_host(request.headers.get("Host"))
            self.rules.check_origin(request.method or "", request.headers)
        else:
            method, uri, headers = request.method or "", request.uri or "", request.headers
            self.rules.check(method, uri, headers, websocket=self.is_socket(), linked=self.is_linked())

    def _public(self) -> bool:
        """The routes that say so, and paths that are none of the API's."""
        if self.routes:
            return all(route.public for route in self.routes.values())
        return not self.request.path.startswith("/v1/") and self.request.path != "/v1"

    def _preflight(self) -> bool:
        """A browser asking whether it may ask; it sends no credentials with that (Fetch standard, CORS preflight)."""
        headers = self.request.headers
        return self.request.method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers

    def host_headers(self) -> None:
        origin = self.request.headers.get("Origin")
        for name, value in self.rules.cors.response_headers(origin):
            self.set_header(name, value)
        if origin is not None and self._preflight():
            for name, value in self.rules.cors.preflight_headers(origin):
                self.set_header(name, value)


class StandaloneServer(ServiceSettings, Configurable):
    """`sandbox-agent server`: its settings, and the server they make."""

    host = Unicode("127.0.0.1", help="Address to bind.").tag(config=True)
    port = Int(2468, min=0, max=65535, help="Port to bind; 0 takes a free one.").tag(config=True)
    token = Unicode(help="Bearer token that clients must send.").tag(config=True)
    no_token = Bool(False, help="Serve without a token.").tag(config=True)
    allow_hosts = List(Unicode(), help="Further names this server is reached by.").tag(config=True)
    cors_allow_origins = List(Unicode(), help="Origins that may call this server; * for any.").tag(config=True)
    cors_allow_methods = List(Unicode(), help="Methods those origins may use.").tag(config=True)
    cors_allow_headers = List(Unicode(), help="Headers those origins may send.").tag(config=True)
    cors_allow_credentials = Bool(False, help="Whether those origins may send credentials.").tag(config=True)
    log_level = Unicode("warning", help="What to log: debug, info, warning or error.").tag(config=True)
    parent_pid = Int(0, help="Stop when this process, which must be the parent, has ended. 0: do not watch.").tag(
        config=True
    )

    @classmethod
    def configured(cls, config_file: str | None, settings: Mapping[str, Any]) -> StandaloneServer:
        """From a configuration file (section ``server``) and what the command line gave. Raises ``CannotStart``."""
        known = cls.class_traits(config=True)
        values = dict(_server_section(Path(config_file))) if config_file else {}
        for name in values:
            if name not in known:
                raise CannotStart(
                    f"{config_file}: unknown setting server.{name}", hint=f"one of {', '.join(sorted(known))}"
                )
        values |= settings
        if config_file:
            values.setdefault("agents_config", config_file)
        try:
            return cls(config=Config({cls.__name__: Config(values)}))
        except TraitError as error:
            raise CannotStart(f"invalid setting: {error}") from error

    def rules(self) -> AccessRules:
        """Raises ``CannotStart`` when neither a token is given nor the lack of one."""
        if not self.token and not self.no_token:
            raise CannotStart(
                "a token is needed to start the server",
                hint="give --token TOKEN or set SANDBOX_AGENT_TOKEN; --no-token serves whoever can reach the port",
            )
        if self.token and self.no_token:
            raise CannotStart("--token and --no-token exclude each other")
        return AccessRules(
            token=self.token or None,
            host=self.host,
            allow_hosts=tuple(self.allow_hosts),
            cors=Cors(
                tuple(self.cors_allow_origins),
                tuple(self.cors_allow_methods),
                tuple(self.cors_allow_headers),
                self.cors_allow_credentials,
            ),
        )

    def base_dir(self) -> Path:
        return Path(self.data_dir).expanduser() if self.data_dir else user_data_dir()

    def store_location(self, port: int) -> Path | str:
        """The store of the server at ``port``.

        One store has one server. So that servers on several ports go side by side, and each finds its sessions when
        it comes back, every port has a store of its own, unless the data directory is chosen. Raises ``OSError``.
        """
        if self.store:
            return self.store
        base = private_dir(self.base_dir())
        folder = base if self.data_dir else private_dir(base / "ports" / str(port))
        return folder / DATABASE

    def bind(self) -> list[socket.socket]:
        """Raises ``CannotStart``."""
        try:
            return netutil.bind_sockets(self.port, address=self.host.strip("[]"))
        except socket.gaierror as error:
            raise CannotStart(f"cannot resolve the host {self.host}: {error.strerror}") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotStart(
                f"cannot listen on {self.host} port {self.port}: {reason.lower()}",
                hint="give another --port, or --port 0 for a free one",
            ) from error


def _server_section(path: Path) -> Mapping[str, Any]:
    try:
        data = path.read_bytes()
        document = tomllib.loads(data.decode()) if path.suffix == ".toml" else msgspec.json.decode(data)
    except OSError as error:
        raise CannotStart(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, msgspec.DecodeError) as error:
        raise CannotStart(f"{path} is malformed: {error}") from error
    section = document.get("server", {}) if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise CannotStart(f"{path} must hold an object with an object under 'server'")
    return section


def url_of(host: str, port: int) -> str:
    """Where the server is reached from this machine."""
    name = host.strip("[]")
    name = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - named, not bound
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def run_server(server: StandaloneServer) -> int:
    """Serve until SIGTERM, SIGINT or the parent's end; the exit status. Raises ``CannotStart``."""
    logs.configure(server.log_level, (server.token,))
    rules = server.rules()
    descriptors.raise_limit()
    sockets = server.bind()
    try:
        asyncio.run(_Running(server, rules, sockets).serve())
    except StoreUnavailable as error:
        raise CannotStart(error.detail, hint=error.hint) from error
    except Problem as error:
        raise CannotStart(error.detail, hint=error.hint) from error
    except OSError as error:
        raise CannotStart(f"cannot use the data directory: {error}") from error
    finally:
        for sock in sockets:
            sock.close()
    return 0


class _Running:
    """One life of the server."""

    def __init__(self, server: StandaloneServer, rules: AccessRules, sockets: list[socket.socket]) -> None:
        self._server = server
        self._rules = rules
        self._sockets = sockets
        self._port: int = sockets[0].getsockname()[1]
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        self._watch()
        settings = self._server
        sandbox = Sandbox(settings.sandbox_config(settings.store_location(self._port), adopt_orphans=True))
        logs.hide(sandbox.secrets)
        await sandbox.start()
        api = Api(
            sandbox,
            Streams(settings.heartbeat_seconds),
            settings.max_body_bytes or None,
            settings.max_upload_bytes or None,
        )
        sandbox.desktop_offer.base_url = url_of(settings.host, self._port)
        http = self._http(api)
        keep_blocks()
        gc.freeze()  # what is there by now stays: to look through all of it stops every stream for 20 ms
        try:
            announced = self._announce()
            await self._stop.wait()
        finally:
            discovery.withdraw(announced)
            await self._shut_down(http, api)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if parent := self._server.parent_pid:
            if os.getppid() != parent:
                self._stop.set()
                return
            watched = os.pidfd_open(parent)
            loop.add_reader(watched, self._parent_ended, watched)

    def _parent_ended(self, watched: int) -> None:
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)
        self._stop.set()

    def _http(self, api: Api) -> HTTPServer:
        handlers: list[Any] = list(mount.rules(StandaloneHandler, api))
        application = web.Application(handlers, log_function=_log_request, access_rules=self._rules)
        http = HTTPServer(FrontDoor(application, api, self._rules), max_body_size=_NO_LIMIT)
        http.add_sockets(self._sockets)
        return http

    def _announce(self) -> Path:
        settings = self._server
        url = url_of(settings.host, self._port)
        path = discovery.announce(settings.base_dir(), url, settings.token or None)
        if settings.no_token and not is_loopback(settings.host):
            print(  # noqa: T201 - for whoever started it
                f"warning: without a token, whoever can reach {settings.host}:{self._port} can run commands here",
                file=sys.stderr,
                flush=True,
            )
        print(f"Sandbox Agent listening on {url}", flush=True)  # noqa: T201 - clients wait for this line
        return path

    async def _shut_down(self, http: HTTPServer, api: Api) -> None:
        end_within(END_SECONDS)
        http.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await api.sandbox.stop()
        await asyncio.gather(api.streams.stop(), api.sockets.stop())
        await http.close_all_connections()


def _log_request(handler: web.RequestHandler) -> None:
    """At debug level, without the query: it may hold a token."""
    request = handler.request
    log.debug("%s %s %d %.1f ms", request.method, request.path, handler.get_status(), 1000 * request.request_time())
