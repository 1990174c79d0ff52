"""How sockets are opened, and what a terminal's messages mean."""

from __future__ import annotations

import ssl

import msgspec
import pytest

from sandbox_agent import ClientError
from sandbox_agent.client.effects import Request, TransportFault
from sandbox_agent.client.socket import address, certificates, fault_of, settings
from sandbox_agent.client.target import Target
from sandbox_agent.client.terminal import TerminalState


def test_the_address_is_the_servers() -> None:
    """Below the same base URL, over the same kind of connection; the token is in a header, never in the address."""
    request = Request("GET", "/v1/x", (("offset", "3"), ("path", "a b\udcff&c")))
    assert address(Target("http://h:1/user/x/sandbox-agent", "t"), request) == (
        "ws://h:1/user/x/sandbox-agent/v1/x?offset=3&path=a%20b%FF%26c"
    )
    assert address(Target("https://h"), Request("GET", "/v1/x")) == "wss://h/v1/x"
    assert settings(Target("http://h", "t", "token"), verify=True)["additional_headers"] == {"Authorization": "token t"}


def test_no_proxy_is_asked_for_a_server_on_this_machine() -> None:
    assert settings(Target("http://127.0.0.1:1"), verify=True)["proxy"] is None
    assert settings(Target("https://h"), verify=True)["proxy"] is True
    assert "proxy" not in settings(Target("http://h", socket="/run/x"), verify=True)


def test_certificates_are_checked_unless_that_is_refused() -> None:
    assert "ssl" not in settings(Target("http://h"), verify=True)
    assert settings(Target("https://h"), verify=True)["ssl"].verify_mode == ssl.CERT_REQUIRED
    assert certificates(verify=False).verify_mode == ssl.CERT_NONE
    own = ssl.create_default_context()
    assert certificates(own) is own


@pytest.mark.parametrize(
    ("error", "unsent", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), True, "refused"),
        (TimeoutError(), False, "too long"),
        (EOFError(), False, "EOFError"),
    ],
)
def test_what_went_wrong_is_told(error: Exception, unsent: bool, reason: str) -> None:
    fault = fault_of(error, Target("http://h"))
    assert isinstance(fault, TransportFault)
    assert fault.unsent is unsent
    assert reason in fault.reason


class TestTerminalState:
    def ready(self, offset: int, *, repaint: bool) -> str:
        frame = {"type": "ready", "processId": "p", "offset": offset, "repaint": repaint, "cols": 80, "rows": 24}
        return msgspec.json.encode(frame).decode()

    def offset(self, state: TerminalState) -> str | None:
        return dict(state.request().query).get("offset")

    def test_bytes_are_counted_from_where_they_begin(self) -> None:
        state = TerminalState("p")
        assert self.offset(state) is None
        assert state.accept(self.ready(100, repaint=False)) == ""
        assert state.accept(b"gr\xc3") + state.accept(b"\xbcn") == "grün"
        assert self.offset(state) == "105"

    def test_what_draws_the_screen_is_not_counted(self) -> None:
        state = TerminalState("p")
        state.accept(self.ready(100, repaint=True))
        assert state.accept(b"\x1b[2Jdrawn") == "\x1b[2Jdrawn"
        state.accept(b"x")
        assert self.offset(state) == "101"

    def test_one_of_its_own_is_heard_from_its_first_byte(self) -> None:
        assert self.offset(TerminalState("p", received=0)) == "0"

    def test_the_end_and_what_was_not_done(self) -> None:
        state = TerminalState("p")
        with pytest.raises(ClientError, match="does not read"):
            state.accept('{"type":"error","message":"the process does not read its input"}')
        state.accept(b"half \xc3")
        assert state.accept('{"type":"exit","exitCode":3}') == "\ufffd"
        assert (state.exited, state.exit_code) == (True, 3)
