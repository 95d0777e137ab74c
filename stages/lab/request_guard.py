"""Request guard before every route: refuse foreign hosts and origins, limit bodies, set security headers.

A foreign page must not reach a server on loopback: neither by a form or script of another origin (Origin,
Sec-Fetch-Site), nor under a host name that its owner points here (DNS rebinding; Host).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stages.lab.errors import TooLargeError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
BODY = 256 * 1024  # bytes, for routes without a limit of their own


class Guard:
    """ASGI middleware. `hosts` are allowed names in addition to loopback's; `limits` are bytes of a body per path, BODY
    elsewhere."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str], limits: Mapping[str, int]) -> None:
        self.app = app
        self.limits = limits
        self.hosts = {*LOOPBACK, *(f"[{host}]" if ":" in host else host for host in hosts)}
        self.anywhere = bool(
            {"0.0.0.0", "[::]"} & self.hosts
        )  # it listens on every address: any name may be right

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no route here speaks WebSocket
        headers = Headers(scope=scope)
        limit = self.limits.get(scope["path"], BODY)
        refusal = self.refusal(headers, limit)
        if refusal is not None:
            await JSONResponse({"error": refusal[1]}, refusal[0], headers=HEADERS)(
                scope, receive, send
            )
            return
        await self.app(scope, limit_body(receive, limit), with_headers(send))

    def refusal(self, headers: Headers, limit: int) -> tuple[int, str] | None:
        """Status and reason if a request is refused, else None."""
        host = headers.get("host", "")
        if not self.anywhere and without_port(host) not in self.hosts:
            known = " or ".join(sorted(self.hosts))
            return 400, f"Host: expected {known}, got {host[:80]!r}: open the lab by that name"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return (
                403,
                f"Origin: expected this page's own, got {origin[:80]!r}: use the lab's own page",
            )
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return 403, "Sec-Fetch-Site: expected same-origin: use the lab's own page"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            return 413, f"expected at most {limit} bytes here, got {length[:20]}: send less"
        return None


def without_port(host: str) -> str:
    """The name in a Host header, lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def limit_body(receive: Receive, limit: int) -> Receive:
    """`receive` that raises TooLargeError after more than `limit` bytes, whatever the header says."""
    seen = 0

    async def guarded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLargeError(f"expected at most {limit} bytes here, got more: send less")
        return message

    return guarded


def with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return guarded
