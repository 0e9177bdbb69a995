"""Who is let in: this computer under its own names, with the token, from a page of this server, and only to look."""

import http.client
from urllib.parse import urlsplit

import pytest

from rhotem.cli.main import app
from rhotem.core import InputError, MissingDependencyError
from rhotem.library.view.guard import Guard
from rhotem.library.view.server import make_server

GUARD = Guard(token="secret")
HERE = {"Host": "127.0.0.1:5006"}


@pytest.mark.parametrize(
    ("method", "address", "headers", "cookie", "status"),
    [
        ("GET", "/", HERE, "secret", None),
        ("GET", "/?token=secret", HERE, "", None),
        ("GET", "/static/js/bokeh.min.js?v=1", HERE, "secret", None),
        ("GET", "/", {"Host": "localhost:8000"}, "secret", None),
        ("GET", "/", {"Host": "[::1]:5006"}, "secret", None),
        ("GET", "/ws", HERE | {"Origin": "http://127.0.0.1:5006"}, "secret", None),
        # no token, a wrong one, the token where it introduces nobody
        ("GET", "/", HERE, "", 403),
        ("GET", "/?token=secreu", HERE, "", 403),
        ("GET", "/ws?token=secret", HERE | {"Origin": "http://127.0.0.1:5006"}, "", 403),
        ("GET", "/static/js/bokeh.min.js?token=secret", HERE, "", 403),
        # a name that a name server may give to this computer
        ("GET", "/", {"Host": "evil.example:5006"}, "secret", 403),
        ("GET", "/", {"Host": "127.0.0.1.evil.example"}, "secret", 403),
        ("GET", "/", {"Host": "evil.example@127.0.0.1"}, "secret", 403),
        ("GET", "/", {"Host": "[::1"}, "secret", 403),
        ("GET", "/", {}, "secret", 403),
        # a page of another origin, of another port of this computer, of a file
        ("GET", "/ws", HERE | {"Origin": "http://evil.example"}, "secret", 403),
        ("GET", "/ws", HERE | {"Origin": "http://127.0.0.1:9999"}, "secret", 403),
        ("GET", "/ws", HERE | {"Origin": "null"}, "secret", 403),
        ("GET", "/ws", HERE, "secret", 403),
        ("GET", "/", HERE | {"Origin": "http://evil.example"}, "secret", 403),
        # addresses that are none
        ("GET", "/", HERE | {"Origin": "http://[evil"}, "secret", 400),
        ("GET", "//[", HERE, "secret", 400),
        # nothing is taken, and nothing else is there
        ("POST", "/", HERE, "secret", 405),
        ("PUT", "/static/js/x.js", HERE, "secret", 405),
        ("GET", "/etc/passwd", HERE, "secret", 404),
        ("GET", "/static/js/../../../../etc/passwd", HERE, "secret", 404),
        ("GET", "/static/js/%2e%2e/%2e%2e/etc/passwd", HERE, "secret", 404),
        ("GET", "/static/extensions/x/y.js", HERE, "secret", 404),
        ("GET", "/autoload.js", HERE, "secret", 404),
        ("GET", "/metadata", HERE, "secret", 404),
    ],
)
def test_requests(method, address, headers, cookie, status):
    refused = GUARD.refusal(method, address, headers, cookie)
    assert (refused and refused[0]) == status


def test_two_servers_have_two_cookies_and_tokens():
    one, other = Guard(), Guard()
    assert one.cookie != other.cookie and one.token != other.token and len(one.token) >= 32


class Client:
    """Plain HTTP, byte by byte as it is written."""

    def __init__(self, address):
        parts = urlsplit(address)
        self.host, self.port, self.query = parts.hostname, parts.port, parts.query
        self.cookie = ""

    def ask(self, address, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        said = {"Cookie": self.cookie} if self.cookie else {}
        connection.request(method, address, body, said | {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer, answer.read()

    def enter(self):
        answer, _ = self.ask(f"/?{self.query}")
        assert answer.status == 302 and answer.headers["Location"] == "/"
        said = answer.headers["Set-Cookie"]
        assert "HttpOnly" in said and "SameSite=Strict" in said
        self.cookie = said.partition(";")[0]


@pytest.fixture
def client(address):
    return Client(address)


def test_the_page_names_no_other_host(client):
    assert client.ask("/")[0].status == 403
    client.enter()
    answer, page = client.ask("/")
    text = page.decode()
    assert answer.status == 200 and "virtual microscope" in text
    assert "http://" not in text.replace("http://www.w3.org/", "") and "https://" not in text and "cdn" not in text
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert client.query.partition("=")[2] not in text


def test_scripts_are_served_from_here(client):
    client.enter()
    answer, script = client.ask("/static/js/bokeh.min.js")
    assert answer.status == 200 and len(script) > 100_000


@pytest.mark.parametrize(
    "path",
    [
        "/static/js/../../server.py",
        "/static/js/%2e%2e/%2e%2e/server.py",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/lif/record.json",
    ],
)
def test_no_file_is_served(client, path):
    client.enter()
    answer, content = client.ask(path)
    assert answer.status == 404 and b"import" not in content and b"root:" not in content


def test_foreign_pages_and_names_are_refused(client):
    client.enter()
    assert client.ask("/", Host="evil.example")[0].status == 403
    assert client.ask("/", Origin="http://evil.example")[0].status == 403
    socket = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert client.ask("/ws", **socket, **key, Origin="http://evil.example")[0].status == 403


def test_uploads_are_refused(client):
    client.enter()
    assert client.ask("/", "POST", b"x" * 1000)[0].status == 405
    try:
        status = client.ask("/", "POST", b"x" * 10_000_000)[0].status
    except (ConnectionError, http.client.HTTPException):  # the server hangs up before all is sent
        status = 413
    assert status in (400, 405, 413)


def test_a_taken_port_is_said(address, library):
    from rhotem.library.view.entries import entries_in

    with pytest.raises(InputError, match=r"port \d+ is taken; give another with --port"):
        make_server(entries_in(library), port=urlsplit(address).port)


def test_bokeh_is_asked_for(monkeypatch):
    monkeypatch.setattr("rhotem.core.packages.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"rhotem view: needs bokeh.*rhotem\[view\]"):
        make_server([], port=0)


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    for arguments, said in (
        ([str(tmp_path)], "holds no entry"),
        ([str(tmp_path / "nowhere")], "no folder"),
    ):
        with pytest.raises(SystemExit) as stop:
            app(["view", *arguments, "--no-browser"])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and said in error and error.count("\n") == 1


def test_the_command_writes_a_report(library, tmp_path, capsys, monkeypatch):
    written = []
    monkeypatch.setattr("rhotem.library.view.report.write_report", lambda entry, path, others: written.append(entry.id))
    with pytest.raises(SystemExit) as stop:
        app(["view", str(library), "--report", str(tmp_path / "a.html")])
    assert stop.value.code == 2 and "say which with --entry" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        app(["view", str(library), "--entry", "lif", "--report", str(tmp_path / "a.html")])
    assert stop.value.code == 0 and written == ["lif"]
    with pytest.raises(SystemExit) as stop:  # a library lists the first digits of identifiers
        app(["view", str(library), "--entry", "li", "--report", str(tmp_path / "a.html")])
    assert stop.value.code == 0 and written == ["lif"] * 2
    capsys.readouterr()
    for name in ("", "magic"):
        with pytest.raises(SystemExit) as stop:
            app(["view", str(library), "--entry", name, "--report", str(tmp_path / "a.html")])
        assert stop.value.code == 2 and "name one" in capsys.readouterr().err


def test_ranges_are_numbers(tmp_path, capsys):
    for option, value in (("--foci", "1"), ("--thicknesses", "a,b"), ("--edges", "nan"), ("--largest", "C12")):
        with pytest.raises(SystemExit) as stop:
            app(["response", "LiF", option, value, "-o", str(tmp_path / "x")])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and "expected" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_response_is_made_and_reported(tmp_path, capsys):
    made, page = tmp_path / "lif", tmp_path / "lif.html"
    rings = ["--detector", "ADF=30-60", "--edges", "40", "--patterns", "30"]
    with pytest.raises(SystemExit) as stop:
        app(["response", "LiF", "--source", "free-atoms", "--phonons", "0", "--thicknesses", "0.4", "--foci", "0,1",
             "--largest", "C12=0.2nm", *rings, "--half", "-o", str(made)])  # fmt: skip
    assert stop.value.code == 0 and f"rhotem view {made}" in capsys.readouterr().out
    assert {path.name for path in made.iterdir()} == {"response.zarr", "patterns.zarr", "record.json"}
    with pytest.raises(SystemExit) as stop:
        app(["view", str(made), "--report", str(page)])
    assert stop.value.code == 0 and "LiF" in page.read_text()
