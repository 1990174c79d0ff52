"""S1, S2, S3: the access rules as a table: who is let in, who is refused, and with what."""

from __future__ import annotations

import pytest

from sandbox_agent.problems import PermissionDenied, Problem, TokenInvalid
from sandbox_agent.server.access import AccessRules, Cors, is_loopback

LOCAL = "127.0.0.1:2468"
TOKEN = "s3cret"  # noqa: S105 - only a test's
ANY = "0.0.0.0"  # noqa: S104 - a value, nothing is bound


def outcome(rules: AccessRules, method: str = "GET", uri: str = "/v1/health", **headers: str) -> type[Problem] | None:
    """What ``check`` raises; header names are written with underscores."""
    websocket, linked = (headers.pop(kind, "") == "yes" for kind in ("websocket", "linked"))
    given = {"Host": LOCAL} | {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        rules.check(method, uri, given, websocket=websocket, linked=linked)
    except Problem as problem:
        return type(problem)
    return None


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, TokenInvalid),
        ("", TokenInvalid),
        ("Bearer", TokenInvalid),
        ("Bearer wrong", TokenInvalid),
        ("Bearer s3cret-and-more", TokenInvalid),
        ("Bearer s3cre", TokenInvalid),
        ("Basic s3cret", TokenInvalid),
        ("Bearer s3crét", TokenInvalid),
        ("Bearer s3cret", None),
        ("bearer s3cret", None),
    ],
)
def test_only_the_whole_token_as_a_bearer_is_let_in(authorization: str | None, expected: type[Problem] | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert outcome(AccessRules(token=TOKEN), **headers) is expected


def test_a_token_in_the_url_counts_on_websockets_and_linked_pages_only() -> None:
    rules = AccessRules(token=TOKEN)
    for kind in ("websocket", "linked"):
        assert outcome(rules, uri="/v1/x?access_token=s3cret", **{kind: "yes"}) is None
        assert outcome(rules, uri="/v1/x?access_token=wrong", **{kind: "yes"}) is TokenInvalid
    assert outcome(rules, uri="/v1/x?access_token=s3cret") is TokenInvalid


@pytest.mark.parametrize("host", ["evil.example", "evil.example:2468", "127.0.0.1.evil.example", "", "[::1", "a b"])
def test_bound_to_loopback_a_foreign_host_is_refused_even_with_the_token(host: str) -> None:
    rules = AccessRules(token=TOKEN, host="127.0.0.1")
    assert outcome(rules, Host=host, Authorization="Bearer s3cret") is PermissionDenied


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1", "127.8.8.8:1", "[::1]:2468", "LOCALHOST"])
def test_bound_to_loopback_every_loopback_name_is_ours(host: str) -> None:
    assert outcome(AccessRules(), Host=host) is None


def test_allow_host_adds_a_name_whatever_its_port() -> None:
    rules = AccessRules(allow_hosts=("Box.example",))
    assert outcome(rules, Host="box.example:8080") is None
    assert outcome(rules, Host="other.example") is PermissionDenied


def test_bound_elsewhere_any_host_is_ours_until_one_is_named() -> None:
    assert outcome(AccessRules(host=ANY), Host="2468-abc.provider.dev") is None
    named = AccessRules(host=ANY, allow_hosts=("abc.provider.dev",))
    assert outcome(named, Host="abc.provider.dev") is None
    assert outcome(named, Host="evil.example") is PermissionDenied


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, None),
        (f"http://{LOCAL}", None),
        ("null", PermissionDenied),
        ("", PermissionDenied),
        ("http://127.0.0.1:8888", PermissionDenied),
        ("http://localhost:2468", PermissionDenied),
        ("https://evil.example", PermissionDenied),
        ("http://[bad", PermissionDenied),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_unsafe_requests_are_taken_from_our_own_origin_only(
    method: str, origin: str | None, expected: type[Problem] | None
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert outcome(AccessRules(), method, **headers) is expected


def test_websocket_upgrades_are_held_to_the_origin_though_they_are_gets() -> None:
    assert outcome(AccessRules(), Origin="https://evil.example") is None
    assert outcome(AccessRules(), Origin="https://evil.example", websocket="yes") is PermissionDenied


def test_an_origin_behind_tls_is_the_same_when_the_host_is() -> None:
    rules = AccessRules(host=ANY)
    assert outcome(rules, "POST", Host="box.dev", Origin="https://box.dev") is None
    assert outcome(rules, "POST", Host="box.dev:443", Origin="https://box.dev") is None
    assert outcome(rules, "POST", Host="box.dev", Origin="https://box.dev:444") is PermissionDenied


def test_an_allowed_origin_may_do_what_our_own_may() -> None:
    rules = AccessRules(cors=Cors(origins=("https://App.example/",)))
    assert outcome(rules, "POST", Origin="https://app.example") is None
    assert outcome(rules, "POST", Origin="https://other.example") is PermissionDenied


def test_cors_headers_are_for_allowed_origins_and_never_a_wildcard_with_credentials() -> None:
    assert Cors().response_headers("https://a.example") == []
    listed = Cors(origins=("https://a.example",))
    assert ("Access-Control-Allow-Origin", "https://a.example") in listed.response_headers("https://a.example")
    assert listed.response_headers("https://b.example") == [("Vary", "Origin")]
    exposed = dict(listed.response_headers("https://a.example"))["Access-Control-Expose-Headers"]
    assert {"ETag", "Next-Cursor"} <= set(exposed.split(", "))
    assert ("Access-Control-Allow-Origin", "*") in Cors(origins=("*",)).response_headers("https://a.example")
    trusting = Cors(origins=("*",), credentials=True).response_headers("https://a.example")
    assert ("Access-Control-Allow-Origin", "https://a.example") in trusting
    assert ("Access-Control-Allow-Credentials", "true") in trusting


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("localhost", True),
        ("app.localhost", True),
        ("::1", True),
        ("127.1.2.3", True),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_what_the_machine_itself_is_called(name: str, expected: bool) -> None:
    assert is_loopback(name) is expected
