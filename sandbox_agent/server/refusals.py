"""Exceptions as the problems they are told as. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado import web

from sandbox_agent.problems import (
    EndpointNotFound,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    PermissionDenied,
    Problem,
    TokenInvalid,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBLEM_MEDIA = "application/problem+json"
_BY_STATUS: Mapping[int, tuple[type[Problem], str]] = {
    400: (InvalidRequest, "the request is malformed"),
    401: (TokenInvalid, "authentication is required"),
    403: (PermissionDenied, "the request is refused"),
    404: (EndpointNotFound, "endpoint not found"),
    405: (MethodNotAllowed, "the method is not allowed here"),
    413: (PayloadTooLarge, "the request body is too large"),
}


def problem_of(error: BaseException | None, status: int = 500) -> Problem:
    """The problem an exception is told as; nothing of an unexpected one leaks."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPError):
        status = error.status_code
    known = _BY_STATUS.get(status)
    if known is None:
        return InternalError("an internal error occurred; the server's log has the details")
    told = error.get_message() if isinstance(error, web.HTTPError) else ""
    return known[0](told or known[1])
