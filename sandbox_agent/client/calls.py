"""One request and its typed answer: problems raised, retried where that is safe (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from sandbox_agent.client.backoff import Backoff
from sandbox_agent.client.effects import Sleep, TransportFault, now, send
from sandbox_agent.client.errors import START_HINT, ProtocolMismatch, ServerUnreachable
from sandbox_agent.problems import (
    InvalidRequest,
    NotFound,
    PermissionDenied,
    SessionNotFound,
    TokenInvalid,
    from_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.client.effects import Program, Reply, Request
    from sandbox_agent.problems import Problem

T = TypeVar("T")

# What proxies and hubs answer while the server behind them is away (RFC 9110 15.6.3-15.6.5, RFC 6585 4 and 4.3;
# 424 is JupyterHub's word for a user's server that is not running).
AWAY: Final = frozenset({408, 424, 425, 429, 502, 503, 504})

BRIEF: Final = 10.0
"""Seconds for which a plain call tries again: long enough for a server to be restarted."""

FOREVER: Final = None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """``repeatable``: sending it twice is the same as once, so a reply that was lost may be asked for again."""

    request: Request
    decode: Callable[[Reply], T]
    repeatable: bool = True


def perform(call: Call[T], patience: float | None = BRIEF) -> Program[T]:
    """Send ``call`` until it is answered, for ``patience`` seconds (``None``: without end, ``0``: once).

    Raises the server's problem, or :class:`ServerUnreachable`.
    """
    backoff = Backoff()
    started = yield from now()
    while True:
        error: Exception
        try:
            reply = yield from send(call.request)
        except TransportFault as fault:
            error, again = unreachable(fault), fault.unsent or call.repeatable
        else:
            if reply.ok:
                return call.decode(reply)
            error, again = problem_of(reply), call.repeatable and is_away(reply)
        pause = backoff.delay()
        spent = (yield from now()) - started
        if not again or (patience is not None and spent + pause > patience):
            raise error
        yield Sleep(pause)


def gone(call: Call[None]) -> Program[None]:
    """Remove something; a lost answer is no reason to say that it was not there."""
    try:
        yield from perform(replace(call, repeatable=False))
    except ServerUnreachable:
        try:
            yield from perform(replace(call, repeatable=True))
        except (NotFound, SessionNotFound):
            return


def unreachable(fault: TransportFault) -> ServerUnreachable:
    """The typed error for a fault of the transport."""
    hint = f"is it running? {START_HINT}" if fault.unsent else None
    if "CERTIFICATE_VERIFY_FAILED" in fault.reason:
        hint = "give `verify` the path of its certificate"
    return ServerUnreachable(fault.url, fault.reason, hint=hint)


def is_away(reply: Reply) -> bool:
    """Whether something in front of the server answered because the server is not there just now."""
    return reply.status in AWAY and not is_problem(reply)


def is_problem(reply: Reply) -> bool:
    return reply.media_type == "application/problem+json"


def problem_of(reply: Reply) -> Problem:
    """The exception for an answer that is not a success, whoever wrote it."""
    if reply.redirects:
        where = reply.headers.get("location", "elsewhere").partition("?")[0]
        if "login" in where:
            return TokenInvalid("the server wants a login", hint="give its token")
        return InvalidRequest(f"the server redirects to {where}", hint="use that URL")
    document = _document(reply)
    if reply.status == HTTPStatus.FORBIDDEN and not is_problem(reply):
        detail = str(document.get("message") or "the server refused")
        return PermissionDenied(detail, hint="is the token right?")
    if "detail" not in document and (message := document.get("message")):
        document = {"detail": str(message)}
    return from_document(reply.status, document)


def _document(reply: Reply) -> dict[str, Any]:
    if not reply.media_type.endswith("json"):
        return {}
    try:
        document = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def decoder(kind: type[T]) -> Callable[[Reply], T]:
    """Decodes a reply's body as ``kind``; :class:`ProtocolMismatch` where it is something else."""
    strict = msgspec.json.Decoder(kind)

    def decode(reply: Reply) -> T:
        try:
            return strict.decode(reply.body)
        except msgspec.DecodeError as error:  # ValidationError is one
            if b"\\ud" in reply.body and not isinstance(error, msgspec.ValidationError):
                return _loosely(reply.body, kind)
            raise ProtocolMismatch(
                f"the answer is not a {kind.__name__}: {error}",
                hint="is this URL a Sandbox Agent server of the same version?",
            ) from error

    return decode


def _loosely(body: bytes, kind: type[T]) -> T:
    """Decode JSON that may hold lone surrogates, which names of files that are not UTF-8 are shown with."""
    return msgspec.convert(json.loads(body), kind)


def ignore(_reply: Reply) -> None:
    """For answers without a body."""
