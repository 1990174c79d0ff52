"""The key a session's agent gets for the desktop opens that route alone, and nothing once it is revoked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from sandbox_agent.sandbox import Sandbox, SandboxConfig
from sandbox_agent.server import mount
from sandbox_agent.server.access import AccessRules
from sandbox_agent.server.app import StandaloneHandler
from sandbox_agent.server.handler import Api

if TYPE_CHECKING:
    from pathlib import Path

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


async def test_a_key_opens_its_route_alone_until_it_is_revoked(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxConfig(store=f"sqlite:///{tmp_path / 'store.db'}"))
    await sandbox.start()
    application = Application(mount.rules(StandaloneHandler, Api(sandbox)), access_rules=AccessRules(token="server's"))  # noqa: S106 - of a test
    http, sockets = HTTPServer(application), bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    offer = sandbox.desktop_offer
    assert offer.server("ses_1") is None
    offer.base_url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    server, other = offer.server("ses_1"), offer.server("ses_2")
    assert server is not None
    assert other is not None
    key = {pair["name"]: pair["value"] for pair in server["headers"]}
    try:
        async with httpx2.AsyncClient(headers=key, timeout=60) as client:
            assert (await client.post(server["url"], json=PING)).json()["result"] == {}
            for path in ("/v1/health", "/v1/sessions", "/v1/desktop/status", "/v1/desktop/screenshot"):
                assert (await client.get(offer.base_url + path)).status_code == 401, path
            evil = await client.post(server["url"], json=PING, headers={"Host": "evil.example"})
            cross = await client.post(server["url"], json=PING, headers={"Origin": "http://evil.example"})
            assert (evil.status_code, cross.status_code) == (403, 403)
            wrong = await client.post(server["url"], json=PING, headers={"Authorization": "Bearer nonsense"})
            assert wrong.status_code == 401
            offer.revoke("ses_1")
            assert (await client.post(server["url"], json=PING)).status_code == 401
            again = {"Authorization": other["headers"][0]["value"]}
            assert (await client.post(server["url"], json=PING, headers=again)).status_code == 200
    finally:
        http.stop()
        await asyncio.gather(http.close_all_connections(), sandbox.stop())
