"""Every error the API answers, as one exception tree (RFC 9457 problem details).

Services raise these; the server writes them as ``application/problem+json``; the client raises the same classes
for the documents it receives, so a caller catches one tree on either side of the wire.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

import msgspec

TYPE_PREFIX = "urn:sandbox-agent:error:"


class SandboxAgentError(Exception):
    """Root of every error this project raises on purpose."""


class Problem(SandboxAgentError):
    """An error with a problem document.

    ``slug`` is the last segment of the document's ``type``. ``extensions`` are the extra members of the document
    (camelCase keys, JSON values); ``hint`` is a member too: the command or change that would fix the fault.
    """

    slug: ClassVar[str] = "stream_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Error"
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, detail: str, *, hint: str | None = None, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.extensions = {key: value for key, value in extensions.items() if value is not None}

    def __str__(self) -> str:
        return f"{self.detail} (hint: {self.hint})" if self.hint else self.detail

    def document(self) -> dict[str, Any]:
        """The RFC 9457 document: ``type``, ``title``, ``status``, ``detail``, then the extensions."""
        body: dict[str, Any] = {
            "type": TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            body["hint"] = self.hint
        return body | self.extensions

    def encode(self) -> bytes:
        """The document as JSON; names that are not UTF-8 as escapes, which only this encoder writes."""
        try:
            return msgspec.json.encode(self.document())
        except UnicodeEncodeError:
            return json.dumps(self.document()).encode()


class InvalidRequest(Problem):
    slug, status, title = "invalid_request", 400, "Invalid Request"


class EndpointNotFound(InvalidRequest):
    """No route has this path (the contract gives it the type of an invalid request)."""

    status, title = 404, "Not Found"


class MethodNotAllowed(InvalidRequest):
    """The route exists, but not for this method; ``Allow`` names those it has (RFC 9110, 15.5.6)."""

    status, title = 405, "Method Not Allowed"


class PayloadTooLarge(InvalidRequest):
    status, title = 413, "Payload Too Large"


class PreconditionFailed(Problem):
    """What ``If-Match`` or ``If-None-Match`` asked for does not hold; extension ``etag`` is what there is."""

    slug, status, title = "precondition_failed", 412, "Precondition Failed"


class RangeNotSatisfiable(Problem):
    """The range lies outside of what there is; extension ``size`` is its bytes."""

    slug, status, title = "range_not_satisfiable", 416, "Range Not Satisfiable"

    def __init__(self, detail: str, *, hint: str | None = None, **extensions: Any) -> None:
        super().__init__(detail, hint=hint, **extensions)
        self.headers = (("Content-Range", f"bytes */{self.extensions.get('size', '*')}"),)


class NoSpace(Problem):
    """The disk or the user's quota is full."""

    slug, status, title = "no_space", 507, "Insufficient Storage"


class FileFault(Problem):
    """A disk or a file system failed; extensions ``path`` and ``code``."""

    slug, status, title = "file_fault", 500, "File Fault"


class UnsupportedAgent(Problem):
    slug, status, title = "unsupported_agent", 400, "Unsupported Agent"


class ModeNotSupported(Problem):
    slug, status, title = "mode_not_supported", 400, "Mode Not Supported"


class TokenInvalid(Problem):
    slug, status, title = "token_invalid", 401, "Token Invalid"
    headers = (("WWW-Authenticate", "Bearer"),)


class PermissionDenied(Problem):
    slug, status, title = "permission_denied", 403, "Permission Denied"


class NotFound(Problem):
    slug, status, title = "not_found", 404, "Not Found"


class SessionNotFound(Problem):
    slug, status, title = "session_not_found", 404, "Session Not Found"


class AgentNotInstalled(Problem):
    slug, status, title = "agent_not_installed", 404, "Agent Not Installed"


class NotAcceptable(Problem):
    slug, status, title = "not_acceptable", 406, "Not Acceptable"


class Conflict(Problem):
    slug, status, title = "conflict", 409, "Conflict"


class SessionAlreadyExists(Problem):
    slug, status, title = "session_already_exists", 409, "Session Already Exists"


class UnsupportedMediaType(Problem):
    slug, status, title = "unsupported_media_type", 415, "Unsupported Media Type"


class InstallFailed(Problem):
    slug, status, title = "install_failed", 500, "Install Failed"


class AgentProcessExited(Problem):
    """The agent's process ended; extensions ``agent``, ``exitCode``, ``signal``, ``stderr`` (its last lines)."""

    slug, status, title = "agent_process_exited", 500, "Agent Process Exited"


class NotImplementedHere(Problem):
    """The system the server runs on has no way to do it."""

    slug, status, title = "not_implemented", 501, "Not Implemented"


class StreamError(Problem):
    """The agent answered with an error, or not in its protocol; extension ``error`` is its JSON-RPC error."""

    slug, status, title = "stream_error", 502, "Stream Error"


class Timeout(Problem):
    slug, status, title = "timeout", 504, "Timeout"


class StoreUnavailable(Problem):
    """The store of journals and records cannot be opened: in use by another server, no right, damaged."""

    slug, status, title = "store_unavailable", 503, "Store Unavailable"


class DesktopProblem(Problem):
    """Root of the desktop's problems; extension ``code`` repeats the last segment of the type."""

    def __init__(self, detail: str, *, hint: str | None = None, **extensions: Any) -> None:
        extensions.setdefault("code", self.slug)
        super().__init__(detail, hint=hint, **extensions)


class DesktopInvalidAction(DesktopProblem):
    """Well-formed, but it makes no sense: outside the screen, an unknown key, nothing to scroll."""

    slug, status, title = "desktop_invalid_action", 400, "Desktop Invalid Action"


class WindowNotFound(DesktopProblem):
    slug, status, title = "window_not_found", 404, "Window Not Found"


class NoFocusedWindow(DesktopProblem):
    slug, status, title = "no_focused_window", 404, "No Focused Window"


class NodeNotFound(DesktopProblem):
    """No such node of the accessibility tree, or not any more."""

    slug, status, title = "node_not_found", 404, "Node Not Found"


class AppNotFound(DesktopProblem):
    slug, status, title = "app_not_found", 404, "App Not Found"


class DesktopRuntimeInactive(DesktopProblem):
    slug, status, title = "desktop_runtime_inactive", 409, "Desktop Runtime Inactive"


class DesktopRuntimeStarting(DesktopProblem):
    slug, status, title = "desktop_runtime_starting", 409, "Desktop Runtime Starting"


class StreamAlreadyActive(DesktopProblem):
    slug, status, title = "stream_already_active", 409, "Stream Already Active"


class StreamNotActive(DesktopProblem):
    slug, status, title = "stream_not_active", 409, "Stream Not Active"


class ClipboardFailed(DesktopProblem):
    slug, status, title = "clipboard_failed", 500, "Clipboard Failed"


class DesktopUnsupportedPlatform(DesktopProblem):
    slug, status, title = "desktop_unsupported_platform", 501, "Desktop Unsupported Platform"


class DesktopScreenshotFailed(DesktopProblem):
    slug, status, title = "desktop_screenshot_failed", 502, "Desktop Screenshot Failed"


class DesktopInputFailed(DesktopProblem):
    slug, status, title = "desktop_input_failed", 502, "Desktop Input Failed"


class DesktopDependenciesMissing(DesktopProblem):
    """Programs are not installed; extensions ``missingDependencies``, ``installCommand``, ``processes``."""

    slug, status, title = "desktop_dependencies_missing", 503, "Desktop Dependencies Missing"


class DesktopRuntimeFailed(DesktopProblem):
    """A part of the desktop does not run; extensions ``processes``, and those of missing dependencies."""

    slug, status, title = "desktop_runtime_failed", 503, "Desktop Runtime Failed"


class InternalError(Problem):
    """A fault of ours: logged with its trace, told without it."""


def _leaves(root: type[Problem]) -> list[type[Problem]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _leaves(child))]


def from_document(status: int, document: dict[str, Any]) -> Problem:
    """The exception a received problem document stands for; the closest class where type or status is unknown."""
    slug = str(document.get("type", "")).removeprefix(TYPE_PREFIX)
    known = _leaves(Problem)
    match = next((p for p in known if (p.slug, p.status) == (slug, status)), None)
    match = (
        match
        or next((p for p in known if p.slug == slug), None)
        or next((p for p in known if p.status == status), None)
    )
    extra = {k: v for k, v in document.items() if k not in {"type", "title", "status", "detail", "hint"}}
    detail = str(document.get("detail") or document.get("title") or f"request failed with status {status}")
    hint = document.get("hint")
    return (match or Problem)(detail, hint=hint if isinstance(hint, str) else None, **extra)
