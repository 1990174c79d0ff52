"""S11: whatever a generator makes of our own OpenAPI: no fault of the server, and every answer as described."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx2
import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error

from sandbox_agent.files.archives import UPLOAD_TYPES

from ..support.archives import Entry, tar
from ..support.contract import check, ours
from ..support.server import DEADLINE, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

    from ..support.server import Server

SCALE = float(os.environ.get("SANDBOX_AGENT_TEST_SCALE", "1"))
STREAMS = {"/v1/acp/{server_id}", "/v1/fs/watch"}


@schemathesis.serializer(*UPLOAD_TYPES)
def archive(_: Any, value: Any) -> bytes:
    """Whatever is generated as an archive: some of it the content of a good one, the rest no archive at all."""
    noise = value if isinstance(value, bytes) else str(value).encode(errors="replace")
    return noise if len(noise) % 2 else tar(Entry("generated", noise))


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that cannot touch any file but those below a folder of its own: what is generated deletes, too."""
    root = tmp_path_factory.mktemp("root")
    with serve(tmp_path_factory.mktemp("server"), "--root", str(root)) as server:
        yield server


schema: Any = schemathesis.openapi.from_dict(ours())


@pytest.mark.slow
@schema.parametrize()
@hypothesis.settings(
    max_examples=int(25 * SCALE),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_generated_requests_are_answered_as_described(case: Case, confined: Server) -> None:
    if case.method.upper() == "GET" and case.path in STREAMS:
        case.headers = {**(case.headers or {}), "Accept": "application/json"}  # a stream has no end to wait for
    if case.path.endswith(("/events", "/transcript")):
        case.headers = {**(case.headers or {}), "Accept": "application/json"}
    if case.path == "/v1/desktop/start" and isinstance(case.body, dict):
        case.body.pop("stateDir", None)  # which would be made, wherever it is
    response = case.call(base_url=confined.url, timeout=60)
    case.validate_response(response, checks=[not_a_server_error])
    if case.path == "/v1/desktop/start" and response.status_code == 200:
        httpx2.post(f"{confined.url}/v1/desktop/stop", timeout=DEADLINE).raise_for_status()  # generated waits are long
    media = (response.headers.get("content-type") or [""])[0]
    check(
        case.method.upper(), response.request.path_url.partition("?")[0], response.status_code, media, response.content
    )


@pytest.mark.slow
def test_nothing_generated_was_a_fault_of_the_server(confined: Server) -> None:
    assert "Traceback" not in (log := confined.log()), log[-3000:]
    assert confined.process.poll() is None
