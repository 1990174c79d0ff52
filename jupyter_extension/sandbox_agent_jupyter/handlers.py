"""The API's handlers under Jupyter Server's own access policy: identity, authorizer, XSRF, origins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_core.utils import ensure_async
from jupyter_server._tz import utcnow
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from sandbox_agent.problems import PermissionDenied, TokenInvalid
from sandbox_agent.server.access import SAFE_METHODS
from sandbox_agent.server.handler import ApiHandler

if TYPE_CHECKING:
    from jupyter_server.auth.identity import User

    from sandbox_agent.server.call import Route

AUTH_RESOURCE = "sandbox_agent"
ACTIVITY_SETTING = "sandbox_agent_last_activity"
"""Jupyter Server counts every setting whose name ends like this when it tells how long it has been idle."""


class JupyterApiHandler(ApiHandler, JupyterHandler):  # type: ignore[misc]  # prepare takes none of their options
    """Access by whoever Jupyter Server knows and its authorizer lets."""

    auth_resource = AUTH_RESOURCE

    @property
    def user(self) -> User | None:
        """The caller, once Jupyter Server has looked; ``None`` when it knows none."""
        return getattr(self, "_jupyter_current_user", None)

    async def authenticate(self) -> None:
        if self.request.method == "OPTIONS":  # browsers send no credentials with the question whether they may ask
            return
        if self.lent_to() is not None:
            self.current_user = None  # the check of origins asks for one, who has not been looked for
            if not self.check_host() or not self.check_origin():
                raise PermissionDenied("requests from this origin are refused")
            return
        if self.is_socket() or self.is_linked():
            self._take_token()
        try:
            await JupyterHandler.prepare(self, _redirect_to_login=False)
        except web.HTTPError as error:
            # The XSRF check comes first there; but to somebody unknown that is not what is missing.
            if self.user is None and self.check_host():
                raise TokenInvalid("authentication with the Jupyter Server is required") from error
            raise PermissionDenied(error.log_message or "the request is refused by the Jupyter Server") from error
        if self.user is None:
            raise TokenInvalid("authentication with the Jupyter Server is required")
        if not self.check_origin():
            raise PermissionDenied("requests from this origin are refused")
        if self.request.method not in SAFE_METHODS or self.is_socket():
            self.note_activity()

    def _take_token(self) -> None:
        """A token in the URL as if it were a header: identity providers know one by the names they choose."""
        token = self.get_query_argument("access_token", "")
        if token and "Authorization" not in self.request.headers:
            self.request.headers["Authorization"] = f"token {token}"

    def note_activity(self) -> None:
        self.settings[ACTIVITY_SETTING] = utcnow()

    async def authorize(self, route: Route) -> None:
        if self.lent_to() is not None:  # its session's user was asked when that was made
            return
        action = route.authorizer_action()
        user = self.user
        allowed = user is not None and await ensure_async(
            self.authorizer.is_authorized(self, user, action, self.auth_resource)
        )
        if not allowed:
            raise PermissionDenied(f"the user may not {action} {self.auth_resource}")

    def caller(self) -> str | None:
        user = self.user
        return (user.display_name or user.name or user.username) if user else None

    # Jupyter Server asks that every method says how it is authenticated; ours are, in `authenticate`, which is
    # stricter than what these marks stand for.
    get = allow_unauthenticated(ApiHandler.get)
    post = allow_unauthenticated(ApiHandler.post)
    put = allow_unauthenticated(ApiHandler.put)
    patch = allow_unauthenticated(ApiHandler.patch)
    delete = allow_unauthenticated(ApiHandler.delete)
    head = allow_unauthenticated(ApiHandler.head)
    options = allow_unauthenticated(ApiHandler.options)
