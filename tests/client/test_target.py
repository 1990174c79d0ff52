"""Server URLs as users write them."""

# ruff: noqa: S105 - made-up tokens

from __future__ import annotations

import pytest

from sandbox_agent.client.errors import ClientError
from sandbox_agent.client.target import Target, parse_url


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:2468", "http://127.0.0.1:2468"),
        (" http://127.0.0.1:2468/ ", "http://127.0.0.1:2468"),
        ("https://hub.example/user/ann/lab/tree/x.ipynb?token=t", "https://hub.example/user/ann"),
        ("http://localhost:8888/tree", "http://localhost:8888"),
        ("http://h/base/sandbox-agent/", "http://h/base/sandbox-agent"),
        ("http://[::1]:9/", "http://[::1]:9"),
        ("http://user:secret@h:1/", "http://h:1"),
    ],
)
def test_a_pasted_url_is_understood(given: str, url: str) -> None:
    """With or without slash, from the address bar of JupyterLab, with what Jupyter prints after it."""
    assert parse_url(given).url == url


def test_the_token_in_a_url_is_taken_out_of_it() -> None:
    assert parse_url("http://h:1/lab?token=abc").token == "abc"
    assert parse_url("http://h:1/?token=abc", "given").token == "given"
    assert parse_url("http://h:1/?token=").token is None


@pytest.mark.parametrize("given", ["127.0.0.1:2468", "ftp://h", "http://", "", "h"])
def test_what_is_no_url_is_said(given: str) -> None:
    with pytest.raises(ClientError, match="http"):
        parse_url(given)


def test_an_error_about_a_url_shows_no_secret() -> None:
    with pytest.raises(ClientError) as caught:
        parse_url("ftp://user:secret@h/?token=secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.8.8.8:1", True),
        ("http://[::1]:1", True),
        ("https://localhost", True),
        ("http://x.localhost", True),
        ("http://192.168.1.2", False),
        ("https://example.org", False),
        ("http://localhost.example.org", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, local: bool) -> None:
    assert parse_url(url).local is local


def test_a_token_is_not_shown() -> None:
    target = Target("http://h", "secret")
    assert "secret" not in repr(target)
    assert target.headers() == {"Authorization": "Bearer secret"}


def test_the_extension_is_below_the_jupyter_server() -> None:
    """Jupyter Server's own scheme is `token`; some of its identity providers know no other."""
    target = parse_url("http://h/user/a/?token=t").mounted()
    assert target.url == "http://h/user/a/sandbox-agent"
    assert target.headers() == {"Authorization": "token t"}


def test_without_a_token_nothing_is_said() -> None:
    assert Target("http://h").headers() == {}
