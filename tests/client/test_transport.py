"""How the HTTP library is asked, and what its exceptions mean."""

from __future__ import annotations

import httpx2
import pytest

from sandbox_agent.client.effects import Request, TransportFault
from sandbox_agent.client.errors import ClientError
from sandbox_agent.client.target import Target, parse_url
from sandbox_agent.client.transport import client_options, fault_of, request_options


def test_no_proxy_is_asked_for_a_server_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment would be handed the token."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    assert client_options(parse_url("http://127.0.0.1:1"), verify=True)["trust_env"] is False
    assert client_options(parse_url("https://hub.example"), verify=True)["trust_env"] is True


def test_certificates_are_checked_wherever_there_are_some() -> None:
    assert client_options(parse_url("https://localhost:1"), verify=True)["verify"] is True
    assert client_options(parse_url("http://localhost:1"), verify=True)["verify"] is False


def test_the_token_goes_into_a_header_and_redirects_are_not_followed() -> None:
    """Following one could take the token elsewhere."""
    options = client_options(Target("http://h", "t"), verify=True)
    assert options["headers"]["Authorization"] == "Bearer t"
    assert options["follow_redirects"] is False


@pytest.mark.parametrize(
    ("error", "unsent"),
    [
        (httpx2.ConnectError("refused"), True),
        (httpx2.ConnectTimeout("slow"), True),
        (httpx2.ReadError("reset"), False),
        (httpx2.WriteError("pipe"), False),
        (httpx2.ReadTimeout("slow"), False),
        (httpx2.RemoteProtocolError("closed"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_connection_never_made_counts_as_unsent(error: Exception, unsent: bool) -> None:
    fault = fault_of(error, "http://h")
    assert isinstance(fault, TransportFault)
    assert (fault.unsent, fault.url) == (unsent, "http://h")
    assert fault.reason


def test_a_request_that_cannot_be_made_is_not_tried_again() -> None:
    """A token with a line feed, say: no waiting helps."""
    assert isinstance(fault_of(httpx2.LocalProtocolError("Illegal header value"), "http://h"), ClientError)


def test_waiting_for_bytes_is_bounded_as_the_request_says() -> None:
    timeout = request_options(Request("GET", "/x", read_timeout=7.0))["timeout"]
    assert (timeout.read, timeout.connect) == (7.0, 5.0)
    assert request_options(Request("GET", "/x", read_timeout=None))["timeout"].read is None
