"""Sandbox Agent as an extension of Jupyter Server: the same API below `{base_url}sandbox-agent/`."""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_server._tz import utcnow
from jupyter_server.extension.application import ExtensionApp
from tornado.ioloop import PeriodicCallback
from traitlets import Bool, Unicode

from sandbox_agent.problems import Problem
from sandbox_agent.sandbox import Sandbox
from sandbox_agent.server import mount
from sandbox_agent.server.handler import Api
from sandbox_agent.server.settings import DATABASE, ServiceSettings, private_dir, user_data_dir
from sandbox_agent.server.sse import Streams
from sandbox_agent_jupyter import events
from sandbox_agent_jupyter.handlers import ACTIVITY_SETTING, JupyterApiHandler

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

ACTIVITY_MS = 30_000
PREFIX = "/sandbox-agent"
EVERY_ADDRESS = {"0.0.0.0", "::", "*"}  # noqa: S104 - what others bind to


class SandboxAgentApp(ServiceSettings, ExtensionApp):
    """Run coding agents and drive them over one HTTP API, from notebooks above all."""

    name = "sandbox_agent"
    extension_url = "/sandbox-agent/"
    load_other_extensions = True

    mount_at_root = Bool(
        False, help="Serve the API at {base_url}v1/ too, for clients that expect it at the root of a server."
    ).tag(config=True)
    base_url_path = Unicode(PREFIX, help="Where the API is served, below the server's base_url.").tag(config=True)

    sandbox: Sandbox
    _api: Api
    _ticker: PeriodicCallback | None = None

    def initialize_handlers(self) -> None:
        """Build the services and mount the routes; they start on the server's loop."""
        if (logger := self._server().event_logger) is not None:
            events.register(logger)
        config = self.sandbox_config(self.store or self._database(), adopt_orphans=False)
        self.sandbox = Sandbox(config, emit=self._emit)
        self._api = Api(
            self.sandbox,
            Streams(self.heartbeat_seconds),
            self.max_body_bytes or None,
            self.max_upload_bytes or None,
        )
        prefix = "/" + self.base_url_path.strip("/")
        self.handlers.extend(mount.rules(JupyterApiHandler, self._api, prefix))
        if self.mount_at_root:
            self.handlers.extend(mount.rules(JupyterApiHandler, self._api, root=False))

    def _server(self) -> ServerApp:
        server = self.serverapp
        if server is None:  # cannot be once the extension is linked
            raise RuntimeError("the extension is not linked to a server")
        return server

    def _database(self) -> Path:
        """The store of the server in this folder.

        A server finds its sessions when it comes back, whatever its port is then, so the folder it serves is what
        tells stores apart. One store has one server: a second one in the same folder gets the next.
        """
        if self.data_dir:
            folder = private_dir(Path(self.data_dir).expanduser())
        else:
            root = os.path.realpath(self._server().root_dir)
            digest = hashlib.sha256(root.encode(errors="surrogateescape")).hexdigest()[:16]
            folder = private_dir(private_dir(user_data_dir()) / "jupyter" / digest)
        first = path = folder / DATABASE
        number = 1
        while _in_use(path):
            number += 1
            path = first.with_name(f"{first.stem}-{number}{first.suffix}")
        if path != first:
            self.log.warning("Another server uses the sessions in %s; this one keeps its own in %s", first, path)
        return path

    def _emit(self, kind: str, data: dict[str, Any]) -> None:
        self._touch()
        if (logger := self._server().event_logger) is not None:
            events.emit(logger, kind, data)

    def _touch(self) -> None:
        self._server().web_app.settings[ACTIVITY_SETTING] = utcnow()

    def _tick(self) -> None:
        if self.sandbox.sessions.busy:
            self._touch()

    def current_activity(self) -> dict[str, Any] | None:
        """Told to Jupyter Server's own shutdown for lack of activity: a running turn is some."""
        return {"turns": True} if self.sandbox.running and self.sandbox.sessions.busy else None

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Start the services. Where they cannot, Jupyter still runs, and each request is told why."""
        self.sandbox.desktop_offer.base_url = self._own_url(serverapp)
        self._ticker = PeriodicCallback(self._tick, ACTIVITY_MS)
        self._ticker.start()
        try:
            await self.sandbox.start()
        except Problem as problem:
            serverapp.log.error("Sandbox Agent cannot start: %s", problem)  # noqa: TRY400 - said to its user, no trace

    def _own_url(self, serverapp: ServerApp) -> str | None:
        """Where agents on this machine reach the API; None on a Unix socket, which no URL leads to."""
        if serverapp.sock:
            return None
        address = urlsplit(serverapp.connection_url)
        if serverapp.ip in EVERY_ADDRESS:  # it then names the machine, which not every container resolves
            address = address._replace(netloc=f"127.0.0.1:{serverapp.port}")
        return address.geturl().rstrip("/") + "/" + self.base_url_path.strip("/")

    async def stop_extension(self) -> None:
        """End agents and streams with the server."""
        if self._ticker is not None:
            self._ticker.stop()
        await self.sandbox.stop()
        await self._api.streams.stop()
        await self._api.sockets.stop()


def _in_use(database: Path) -> bool:
    """Whether a server holds the store's lock."""
    try:
        lock = os.open(f"{database}-lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
