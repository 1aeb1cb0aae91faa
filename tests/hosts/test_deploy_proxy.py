"""The proxy's configuration in docs/deploy, run by nginx with TLS before a real server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

import pytest

from tests.hosts.app_server import ROOT, AppServer, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

NAME, TOKEN = "iris.example", "a-token-that-stands-in-addresses"
MAIN = """
pid {folder}/nginx.pid; daemon off; error_log {folder}/error.log crit;
events {{}}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {server}
}}
"""


@pytest.fixture
def proxied(tmp_path):
    """A server behind nginx: its port, the certificate, and the folder with the logs."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if nginx is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed")
    words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={NAME} -addext subjectAltName=DNS:{NAME}"
    words += f" -keyout {tmp_path}/key.pem -out {tmp_path}/certificate.pem"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    write_studies(tmp_path / "studies", 1)
    server = AppServer(
        tmp_path / "studies", tmp_path / "server", "--allow-host", NAME, token=TOKEN, FORWARDED_ALLOW_IPS="*"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = (ROOT / "docs/deploy/nginx.conf").read_text()
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"), ("${IRIS_NAME}", NAME),
        ("/run/secrets/certificate", f"{tmp_path}/certificate.pem"),
        ("/run/secrets/key", f"{tmp_path}/key.pem"),
        ("/var/log/nginx", str(tmp_path)), ("http://iris:8000", f"http://127.0.0.1:{server.port}"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "nginx.conf").write_text(MAIN.format(folder=tmp_path, server=text))
    proxy = subprocess.Popen([nginx, "-c", f"{tmp_path}/nginx.conf", "-e", f"{tmp_path}/start.log"])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port, tmp_path / "certificate.pem", tmp_path
    finally:
        proxy.terminate()
        proxy.wait()
        server.stop()


def curl(port: int, certificate, path: str, *words: str) -> str:
    """Status, then the head of an answer from the server under its name."""
    command = ["curl", "-s", "-D", "-", "-o", "/dev/null", "--cacert", str(certificate), "--max-time", "60"]
    command += ["--resolve", f"{NAME}:{port}:127.0.0.1", *words, f"https://{NAME}:{port}{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.lower()


def test_a_team_reaches_the_server_through_the_proxy_and_nobody_else_does(proxied):
    port, certificate, folder = proxied

    login = curl(port, certificate, f"/?token={TOKEN}")
    assert " 303" in login and "; secure" in login and "strict-transport-security" in login
    assert " 401" in curl(port, certificate, "/info/")
    assert " 200" in curl(port, certificate, f"/t/{TOKEN}/info/")
    cookie = ("-H", f"Cookie: iris_token={TOKEN}")
    own, other = f"https://{NAME}:{port}", "https://evil.example"
    assert " 200" in curl(port, certificate, "/prelabels/", *cookie, "-X", "POST", "-H", f"Origin: {own}")
    assert " 403" in curl(port, certificate, "/prelabels/", *cookie, "-X", "POST", "-H", f"Origin: {other}")
    assert " 400" in curl(port, certificate, "/info/", *cookie, "-H", "Host: evil.example")
    assert " 404" in curl(port, certificate, "/datastore/%2e%2e/reload", *cookie, "--path-as-is")

    from monailabel.client import MONAILabelClient

    client = MONAILabelClient(f"https://127.0.0.1:{port}/t/{TOKEN}", tmpdir=str(folder))
    assert client.info()["name"] == "Iris" and client.next_sample("first", {})["id"] == "case_1"

    def logged() -> str:
        return "".join((folder / name).read_text() for name in ("access.log", "error.log", "start.log"))

    end = time.monotonic() + 20
    while logged().count("\n") < 9 and time.monotonic() < end:  # a line is written after the answer is sent
        time.sleep(0.1)
    assert logged().count("\n") >= 9 and TOKEN not in logged()
