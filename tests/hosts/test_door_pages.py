"""Pages in a real browser: those of other origins get nothing, and our own need nothing from the internet."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.hosts.app_server import AppServer, require_programs, write_studies
from tests.hosts.test_app_ohif import FLAGS, SLOW

pytestmark = [pytest.mark.hosts, pytest.mark.browser]

TOKEN = "a-token-that-the-browser-keeps-in-a-cookie"

# Everything a page can try: to list, to read, to write, to change, with and without credentials.
TRIES = """async (server) => {
    const got = {};
    const attempt = async (name, call) => {
        try {
            const answer = await call();
            const text = answer.text ? await answer.text() : String(answer);
            got[name] = `${answer.status} ${answer.type} ${text.slice(0, 80)}`;
        } catch (error) { got[name] = 'refused'; }
    };
    const image = new FormData();
    image.append('file', new Blob(['x']), 'x.nii.gz');
    for (const credentials of ['include', 'omit']) {
        const ask = (path, options = {}) => () => fetch(server + path, {credentials, ...options});
        await attempt(`list ${credentials}`, ask('/datastore/?output=all'));
        await attempt(`read ${credentials}`, ask('/datastore/image?image=case_1'));
        await attempt(`info ${credentials}`, ask('/info/'));
        const put = {method: 'PUT', body: image};
        await attempt(`upload ${credentials}`, ask('/datastore/image?image=evil', put));
        await attempt(`stop ${credentials}`, ask('/prelabels/', {method: 'DELETE'}));
        await attempt(`train ${credentials}`, ask('/train/in_context', {
            method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}));
    }
    const blind = {mode: 'no-cors', credentials: 'include'};
    const plain = {method: 'POST', headers: {'Content-Type': 'text/plain'}, body: '{}'};
    await attempt('blind read', async () => (await fetch(server + '/info/', blind)));
    const train = server + '/train/in_context';
    await attempt('blind train', async () => (await fetch(train, {...blind, ...plain})));
    const resume = {...blind, method: 'POST'};
    await attempt('blind resume', async () => (await fetch(server + '/prelabels/', resume)));
    await attempt('script', () => new Promise((resolve, reject) => {
        const script = document.createElement('script');
        script.src = server + '/info/'; script.onload = () => resolve('loaded'); script.onerror = reject;
        document.body.append(script);
    }));
    await attempt('picture', () => new Promise((resolve, reject) => {
        const picture = new Image();
        picture.onload = () => resolve('loaded'); picture.onerror = reject;
        picture.src = server + '/favicon.ico';
    }));
    await attempt('socket', () => new Promise((resolve, reject) => {
        const socket = new WebSocket(server.replace('http', 'ws') + '/info/');
        socket.onopen = () => resolve('open'); socket.onerror = reject;
    }));
    const frame = document.createElement('iframe');
    frame.src = server + '/';
    document.body.append(frame);
    await new Promise(done => { frame.onload = done; setTimeout(done, 3000); });
    await attempt('frame', () => frame.contentDocument.body.innerText);
    const form = document.createElement('form');
    const action = server + '/prelabels/';
    Object.assign(form, {method: 'POST', action, target: 'other', enctype: 'text/plain'});
    const inner = document.createElement('iframe');
    inner.name = 'other';
    document.body.append(inner, form);
    form.submit();
    await new Promise(done => { inner.onload = done; setTimeout(done, 3000); });
    return got;
}"""


class Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body></body>")

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def elsewhere():
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    write_studies(folder, 2)
    return folder


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    require_programs("chromium")
    server = AppServer(folder, tmp_path_factory.mktemp("server"), token=TOKEN)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(executable_path=program, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """A page of somebody who has logged in with the token."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{server.address}/?token={TOKEN}")
    assert page.url == f"{server.address}/"
    yield page
    context.close()


def test_the_cookie_logs_in_and_no_script_can_read_it(page, server):
    assert page.goto(f"{server.address}/info/").status == 200
    assert TOKEN not in page.evaluate("() => document.cookie + location.href")
    (cookie,) = page.context.cookies(server.address)
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("iris_token", True, "Strict")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_can_neither_list_nor_read_nor_write(page, server, elsewhere, folder, name):
    """From another port of the same address, whose requests carry the cookie, and from another name."""
    before = sorted(folder.glob("*.nii.gz"))
    page.goto(f"http://{name}:{elsewhere}/")

    got = page.evaluate(TRIES, server.address)

    assert {name: told for name, told in got.items() if told != "refused" and "opaque" not in told} == {}
    assert sorted(folder.glob("*.nii.gz")) == before and not list(folder.glob("*evil*"))
    assert server.get("/prelabels/")["state"] != "cancelled"
    assert server.get("/train/") == {"detail": "No Train Tasks Found"}


@pytest.mark.parametrize("path", ["/", "/logs/", "/logs/?lines=5&refresh=10"])
def test_our_pages_ask_nothing_of_the_internet(page, server, path):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.address + path)
    assert "Iris" in page.content() and page.inner_text("body").strip()
    assert [url for url in asked if not url.startswith(server.address)] == []


def test_the_page_says_where_slicer_finds_the_server_and_opens_the_log(page, server):
    page.goto(server.address)
    text = page.inner_text("body")
    assert f"{server.address}/t/TOKEN" in text and "2, of which 0 have a final label" in text
    page.click("text=its last lines")
    assert page.url == f"{server.address}/logs/" and "Timeloop" in page.inner_text("pre")


def test_the_field_of_ohif_has_the_servers_address(page, server):
    """Its plugin takes the address from a cookie, which our script sets before it looks."""
    page.route(re.compile(r"^(?!http://127\.0\.0\.1|blob:|data:)"), lambda route: route.abort())
    page.goto(f"{server.address}/ohif/?token={TOKEN}", wait_until="commit", timeout=SLOW)
    page.wait_for_function("() => document.cookie.includes('MONAILABEL_SERVER_URL')", timeout=SLOW)
    assert page.url.startswith(f"{server.address}/ohif/") and TOKEN not in page.url
    kept = page.evaluate("() => unescape(document.cookie.match(/MONAILABEL_SERVER_URL=([^;]*)/)[1])")
    assert kept == f"{server.address}/"


def test_a_page_of_an_origin_that_is_allowed_may_use_the_server(browser, elsewhere, tmp_path):
    write_studies(tmp_path / "studies", 1)
    origin = f"http://localhost:{elsewhere}"
    server = AppServer(tmp_path / "studies", tmp_path / "server", "--allow-origin", origin, token=TOKEN)
    try:
        page = browser.new_context().new_page()
        page.goto(f"{origin}/")
        asked = """async ([url, token]) => (await fetch(
            url, {method: 'DELETE', headers: {Authorization: 'Bearer ' + token}})).status"""
        assert page.evaluate(asked, [f"{server.address}/prelabels/", TOKEN]) == 200
        with pytest.raises(Exception, match="Failed to fetch"):
            page.goto(f"http://127.0.0.1:{elsewhere}/")
            page.evaluate(asked, [f"{server.address}/prelabels/", TOKEN])
    finally:
        server.stop()


def test_a_certificate_of_our_own_makes_the_server_speak_tls(tmp_path):
    import requests

    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        ["openssl", *words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    write_studies(tmp_path / "studies", 1)
    server = AppServer(
        tmp_path / "studies", tmp_path / "server", "--certificate", certificate, "--key", key, token=TOKEN
    )
    try:
        url = f"https://localhost:{server.port}"
        answer = requests.get(f"{url}/?token={TOKEN}", verify=certificate, allow_redirects=False, timeout=30)
        assert answer.status_code == 303 and "Secure" in answer.headers["set-cookie"]
        with pytest.raises((requests.ConnectionError, ssl.SSLError)):
            requests.get(f"http://localhost:{server.port}/info/", timeout=30)
        assert server.client().info()["name"] == "Iris"
    finally:
        server.stop()


def test_a_second_server_ends_with_the_process_of_the_first(server, folder, tmp_path):
    """Both find the lock free before either serves: the one that serves later ends, whatever its state is."""
    import os
    import sys

    script = (
        "import sys\nfrom apps.iris_app.serving import serving_lock\n"
        "serving_lock.ServingLock.require_free = lambda self: None\n"
        "from iris_core.cli.main import main\nsys.exit(main(['serve', sys.argv[1], '--port', '0']))\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=200,
        env=os.environ | {"IRIS_STATE": str(tmp_path / "another")},
    )  # fmt: skip
    assert done.returncode == 2 and f"process {server.process.pid}, since" in done.stdout + done.stderr
    assert time.monotonic() - started < 200 and server.get("/info/")["name"] == "Iris"
