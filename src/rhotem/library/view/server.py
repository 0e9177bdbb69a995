"""The server of the page: Bokeh's, behind a guard, on this computer."""

import errno
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rhotem.core import InputError
from rhotem.core.packages import require
from rhotem.library.view.desk import Desk
from rhotem.library.view.entries import Entry
from rhotem.library.view.guard import HEADERS, LOCAL, Guard

if TYPE_CHECKING:
    from bokeh.server.server import BaseServer

#: Where it listens.
ADDRESS, PORT = "127.0.0.1", 5006
#: Bytes of a message to the server, and of a body or the head of a request: sliders say less.
MESSAGE, BODY, HEAD = 256 * 1024, 16 * 1024, 32 * 1024


def needs() -> None:
    """Refuse without Bokeh.

    Raises
    ------
    MissingDependencyError
    """
    require("bokeh", extra="view", what="rhotem view")


def make_server(entries: Sequence[Entry], *, port: int = PORT, guard: Guard | None = None) -> "tuple[BaseServer, str]":
    """A server that is not started, and the address with the token that opens its page.

    Parameters
    ----------
    entries : sequence of Entry
        All that it can show: it reads no other file.
    port : int
        0: any that is free.
    guard : Guard, optional
        None: one with a new token for the names of this computer.

    Raises
    ------
    MissingDependencyError
        Without Bokeh.
    InputError
        If the port is taken or not allowed.
    """
    needs()
    from bokeh.server.server import BaseServer
    from bokeh.server.util import bind_sockets
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop

    from rhotem.library.view.page import Page

    chosen = guard or Guard(LOCAL)
    try:
        sockets, there = bind_sockets(ADDRESS, port)
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise InputError(f"port {port} {why}; give another with --port, or --port 0 for any") from None
    app = _guarded(lambda doc: _page(Page, doc, entries), chosen)
    http = HTTPServer(app, max_body_size=BODY, max_header_size=HEAD)
    http.add_sockets(sockets)
    return BaseServer(IOLoop.current(), app, http), f"http://{ADDRESS}:{there}/?token={chosen.token}"


def _page(page: Any, doc: Any, entries: Sequence[Entry]) -> None:
    """The page of a new window."""
    page(doc, entries)


def _guarded(build: Callable[[Any], None], guard: Guard) -> Any:
    """Bokeh's application, in which every request meets the guard first."""
    from bokeh.server.tornado import BokehTornado
    from tornado import web
    from tornado.httputil import HTTPHeaders

    class Refused(web.RequestHandler):
        def initialize(self, status: int, reason: str) -> None:
            self.set_status(status)
            self.reason = reason

        def prepare(self) -> None:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(f"{self.reason}\n")

    class Introduced(web.RequestHandler):
        def get(self) -> None:
            self.set_cookie(guard.cookie, guard.token, httponly=True, samesite="Strict")
            self.redirect("/")

    class Headers(web.OutputTransform):
        def transform_first_chunk(
            self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
        ) -> tuple[int, HTTPHeaders, bytes]:
            for name, value in HEADERS.items():
                headers[name] = value
            headers.pop("Server", None)
            return status_code, headers, chunk

    class Guarded(BokehTornado):
        def find_handler(self, request: Any, **settings: Any) -> Any:
            known = {name: request.headers[name] for name in ("Host", "Origin") if name in request.headers}
            cookie = request.cookies.get(guard.cookie)
            refused = guard.refusal(request.method, request.uri, known, cookie.value if cookie else "")
            if refused is not None:
                return self.get_handler_delegate(request, Refused, {"status": refused[0], "reason": refused[1]})
            if guard.introduces(request.uri):
                return self.get_handler_delegate(request, Introduced)
            return super().find_handler(request, **settings)

    # the guard has compared the origin with the host before Bokeh sees a request
    app = Guarded(
        build,
        extra_websocket_origins=["*"],
        websocket_max_message_size_bytes=MESSAGE,
        include_headers=[],
        include_cookies=[],
        use_index=False,
    )
    app.add_transform(Headers)
    return app


def serve(
    entries: Sequence[Entry], *, port: int = PORT, browser: bool = False, tell: Callable[[str], None] = print
) -> None:
    """Serve the page until interrupted; ``tell`` is told its address. Errors as `make_server`."""
    needs()
    _quiet()
    Desk(entries).see()  # nothing to show is said before; what is compiled is compiled now
    server, address = make_server(entries, port=port)
    try:
        server.start()
        tell(address)
        if browser:
            import webbrowser

            webbrowser.open(address)
        server.io_loop.start()
    finally:
        server.stop()


def _quiet() -> None:
    """Remarks of Bokeh and Tornado on every request stay away from the console."""
    for name in ("bokeh", "tornado.access", "tornado.general"):
        logging.getLogger(name).setLevel(logging.ERROR)
