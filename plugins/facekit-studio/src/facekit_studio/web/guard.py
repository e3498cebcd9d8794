"""Who may speak to the studio: Host, Origin and token are checked before anything else is looked at."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facekit_studio.web.responses import RequestError, error_answer

logger = logging.getLogger("facekit_studio.web")

TOKEN_HEADER = "X-Facekit-Token"

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""On every answer: nothing from elsewhere, nothing kept, not shown in others' frames, and the token in no Referer."""

_LOCAL = ("localhost", "127.0.0.1", "::1")
_ANY = ("0.0.0.0", "::")


class Guard:
    """Lets requests through to the studio that come from its own page.

    A page of another site reaches this server too, from the browser of the person at the computer: by its address (then
    ``Origin`` is foreign), or by a name that its owner points here (then ``Host`` is foreign). The port in ``Host`` is
    free, so that a tunnel may have another.
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str) -> None:
        self._app = app
        self._token = token.encode()
        self._names = {*_LOCAL, host.lower(), *_own_names(host)}
        self._any_address = host in _ANY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        try:
            self._check(Headers(scope=scope), scope["path"])
        except RequestError as error:
            answer = error_answer(error)
            answer.headers["Connection"] = "close"  # a body that may follow is not read
            await answer(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            # The studio has answered with 500, and passes on what happened for somebody to tell it. The connection is
            # as good as before.
            logger.exception("%s %s failed", scope["method"], scope["path"])

    def _check(self, headers: Headers, path: str) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            raise RequestError("this server does not go by that name", status=403, where="Host")
        origins = headers.getlist("origin")
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            raise RequestError("requests of other sites are refused", status=403, where="Origin")
        if path != "/" and not path.startswith("/page/"):
            tokens = headers.getlist(TOKEN_HEADER)
            if len(tokens) != 1 or not secrets.compare_digest(tokens[0].encode(), self._token):
                raise RequestError(
                    "the token is missing or wrong",
                    status=401,
                    where=TOKEN_HEADER,
                    remedy="open the address that `facekit studio` printed; each start has another",
                )

    def _is_ours(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        return name in self._names or (self._any_address and _is_address(name))


def host_name(host: str) -> str | None:
    """Return what a ``Host`` header says without its port, in small letters; None where it is malformed."""
    name, port = host.lower(), ""
    if name.startswith("["):
        name, bracket, rest = name[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:]
    elif ":" in name:
        name, _, port = name.partition(":")
    if not name or (port and not (port.isascii() and port.isdigit())):
        return None
    return name


def _is_address(name: str) -> bool:
    # No name server stands between an address and this computer, so nobody can point it elsewhere.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names(host: str) -> Iterable[Any]:
    """Return this computer's names, where the server is bound to more than the computer itself."""
    return () if host in _LOCAL else (socket.gethostname().lower(), socket.getfqdn().lower())
