"""Who may ask the server for what: the person who was told the token, from a page of this server, and nothing else."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

#: What is served, beside files of Bokeh: the page, its socket, its icon.
PATHS = ("/", "/ws", "/favicon.ico")
#: Folders of Bokeh's own scripts.
STATIC = "/static/js/"
#: Names under which this computer calls itself: no name server can give them to others.
LOCAL = ("localhost", "127.0.0.1", "::1")
#: Headers of every answer: nothing is loaded from elsewhere, nobody frames the page, no address leaks.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Checks of one request, whatever it asks for.

    Parameters
    ----------
    names : collection of str
        Host names under which the server may be called; any port, so that a tunnel may have another.
    token : str, optional
        The secret; None: a new one.
    """

    def __init__(self, names: Collection[str] = LOCAL, token: str | None = None) -> None:
        self.names = {name.lower() for name in names}
        self.token = token or secrets.token_urlsafe(24)

    @property
    def cookie(self) -> str:
        """Name of the cookie that holds the token; another server on this computer has another."""
        return f"rhotem-view-{hashlib.sha256(self.token.encode()).hexdigest()[:8]}"

    def refusal(self, method: str, address: str, headers: dict[str, str], cookie: str) -> tuple[int, str] | None:
        """Status and reason if a request is refused; None if it may pass.

        Parameters
        ----------
        method : str
        address : str
            As it was asked for: path and query.
        headers : dict
            ``Host``, ``Origin``, as far as they are there.
        cookie : str
            Value of the cookie; "": none.
        """
        try:
            path = urlsplit(address).path
            from_here = urlsplit(headers.get("Origin", "")).netloc.lower()
        except ValueError:
            return 400, "no address"
        host = headers.get("Host", "")
        if _name(host) not in self.names:
            return 403, "this server is not called so; open the address that rhotem view prints"
        origin = headers.get("Origin")
        if origin is not None and from_here != host.lower():
            return 403, "a page of another origin asks"
        if path == "/ws" and origin is None:
            return 403, "a socket without an origin"
        if method != "GET":
            return 405, "nothing is taken here"
        if not self.knows(cookie) and not (path == "/" and self.introduces(address)):
            return 403, "open the address with the token that rhotem view prints"
        if path not in PATHS and not (path.startswith(STATIC) and ".." not in path and "%" not in path):
            return 404, "there is no such thing here"
        return None

    def introduces(self, address: str) -> bool:
        """Whether an address brings the token."""
        return any(self.knows(value) for value in parse_qs(urlsplit(address).query).get("token", ()))

    def knows(self, value: str) -> bool:
        """Whether it is the token, in a time that tells nothing."""
        return hmac.compare_digest(value.encode(), self.token.encode())


def _name(host: str) -> str:
    """Host name of a ``Host`` header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower() if host and "@" not in host else ""
    except ValueError:
        return ""
