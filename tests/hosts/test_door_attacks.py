"""The server under attack: nothing of the list gets in, and no file lies where none lay before."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import psutil
import pytest

from apps.iris_app.cli.archive import Archive
from iris_core.volume_io.suffix import suffix_of
from tests.hosts import attacks
from tests.hosts.app_server import AppServer, require_programs, write_studies
from tests.hosts.raw_request import Reply, Request, send

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

TOKEN = "a-token-that-no-answer-and-no-log-may-show"
FEWEST = 150  # attacks over routes and methods alone


def routes_of_the_application() -> set[str]:
    """Paths of all routes, ours and the host's, as their tables have them."""
    from fastapi.routing import iter_route_contexts

    from apps.iris_app import front

    tables = [*iter_route_contexts(front.own.routes), *iter_route_contexts(front.host.routes)]
    paths = {str(route.path) for route in tables}
    return {p if p != "/static" else "/static/{path}" for p in paths} | {p.rstrip("/") or "/" for p in paths}


@pytest.fixture(scope="module")
def canary(tmp_path_factory) -> Path:
    """A folder with the studies, an empty folder beside them, and one for temporary files."""
    root = tmp_path_factory.mktemp("canary")
    for name in ("empty", "temporary"):
        (root / name).mkdir()
    write_studies(root / "studies", 2)
    return root


@pytest.fixture(scope="module")
def server(canary, tmp_path_factory):
    server = AppServer(
        canary / "studies", tmp_path_factory.mktemp("server"), "--verbose",
        token=TOKEN, TMPDIR=str(canary / "temporary"),
    )  # fmt: skip
    yield server
    server.stop()


@pytest.fixture(scope="module")
def image(canary) -> bytes:
    return (canary / "studies" / "case_1.nii.gz").read_bytes()


def seen(root: Path) -> set[str]:
    """All files but those that the server itself keeps renewing."""
    own = (".iris", "datastore_v2.json", ".lock")
    return {str(p.relative_to(root)) for p in root.rglob("*") if not {*own} & {*p.relative_to(root).parts}}


def tasks_of(server: AppServer) -> list[str]:
    """The processes in which the host tunes, scores or runs a batch."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    commands = (" ".join(process.cmdline()) for process in children)
    return [command for command in commands if "monailabel.interfaces.utils.app" in command]


def inside(request: Request) -> Request:
    """The same request from somebody who has the token."""
    login = (("Authorization", f"Bearer {TOKEN}"),)
    return Request(request.method, request.target, (*request.headers, *login), request.body)


def refused(reply: Reply) -> bool:
    """A clear no. A path that cannot stand in HTTP at all ends the connection."""
    return 400 <= reply.status < 500


def survivors(port: int, requests: list[Request], shown: tuple[str, ...]) -> list[str]:
    """The requests that were not refused, or whose answer shows what it must not."""
    wrong = []
    for request in map(inside, requests):
        reply = send(port, request)
        if not refused(reply):
            wrong.append(f"{reply.status} for {request}: {reply.body[:120]!r}")
        leaked = [text for text in shown if text.encode() in reply.head.encode() + reply.body]
        wrong += [f"{text} is shown for {request}" for text in leaked]
    return wrong


def kinds_of_attack(port: int, image: bytes) -> dict[str, list[Request]]:
    return {
        "routes and methods": list(attacks.forbidden(routes_of_the_application())),
        "ids and tags": list(attacks.hostile_ids(image)),
        "uploads": list(attacks.hostile_uploads(image)),
        "bodies": list(attacks.hostile_bodies(image)),
        "hosts": list(attacks.hostile_hosts(port)),
        "origins": list(attacks.hostile_origins(port)),
        "paths": list(attacks.hostile_paths()),
        "archive": list(attacks.hostile_archive_paths()),
    }


KINDS = ("routes and methods", "ids and tags", "uploads", "bodies", "hosts", "origins", "paths", "archive")


def test_the_list_of_open_routes_is_that_of_the_application():
    """A route that the gate lets through and that nobody has thought of here is found."""
    from apps.iris_app.door.allowed import allowed

    routes = routes_of_the_application()
    open_now = {(m, p) for p in routes for m in attacks.METHODS if allowed(m, attacks.filled(p))[0]}
    shorter = {(m, p) for m, p in open_now if (m, f"{p}/") in open_now}
    assert open_now - shorter == attacks.OPEN
    assert len(list(attacks.forbidden(routes))) >= FEWEST


@pytest.mark.parametrize("kind", KINDS)
def test_no_attack_gets_in_or_learns_a_path_of_the_server(server, canary, image, kind):
    before = seen(canary)
    requests = kinds_of_attack(server.port, image)[kind]

    assert survivors(server.port, requests, (str(canary), TOKEN)) == []

    assert seen(canary) == before and list((canary / "empty").iterdir()) == []
    assert tasks_of(server) == []
    assert set(server.get("/datastore/?output=all")["objects"]) == {"case_1", "case_2"}
    assert server.get("/prelabels/")["state"] != "cancelled"


def test_without_the_token_nothing_is_answered_at_all(server, image):
    requests = [Request(m, attacks.filled(p)) for m, p in sorted(attacks.OPEN)]
    for wrong in ("Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"):
        header = (("Authorization", wrong),)
        replies = [send(server.port, Request(r.method, r.target, header)) for r in requests]
        assert {reply.status for reply in replies} == {401}
    others = (
        *(Request("GET", path) for path in ("/info/", "/?token=x", "/t/x/info/", "/t//info/", "/t/")),
        *(
            Request("GET", path)
            for path in (f"/t/{TOKEN}x/info/", f"/info/?token={TOKEN}", f"/t/x/t/{TOKEN}/")
        ),
        Request("GET", f"//t/{TOKEN}/info/"),
        Request("POST", f"/?token={TOKEN}"),
        *(Request("GET", "/info/", (("Cookie", c),)) for c in ("iris_token=x", f"other={TOKEN}", TOKEN)),
    )
    assert {str(r): send(server.port, r).status for r in others} == {str(r): 401 for r in others}


def test_the_cookie_comes_once_and_leaves_no_token_in_the_address(server):
    reply = send(server.port, Request("GET", f"/?token={TOKEN}&x=1"))
    head = reply.head.lower()
    assert reply.status == 303 and "location: /?x=1\r" in head
    assert f"set-cookie: iris_token={TOKEN}; httponly; path=/; samesite=strict" in head
    assert "cache-control: no-store" in head
    assert send(server.port, Request("GET", "/info/", (("Cookie", f"iris_token={TOKEN}"),))).status == 200
    evil = send(server.port, Request("GET", f"//evil.example/?token={TOKEN}"))
    assert evil.status == 401


def test_no_log_holds_the_token(server, canary):
    """Not the console's, not the server's own, and not where a failure prints its request."""
    headers = (("Referer", f"{server.url}/"), ("Cookie", f"iris_token={TOKEN}"))
    for target in (f"/t/{TOKEN}/info/", f"/?token={TOKEN}", f"/t/{TOKEN}/nowhere", f"/t/{TOKEN}/train/"):
        send(server.port, Request("GET", target, headers))
    send(server.port, Request("GET", f"/t/{TOKEN}/\x00"))
    server.post_infer("case_1", note=f"please hide {TOKEN}")
    told = json.dumps({"client_id": f"please hide {TOKEN}"}).encode()
    send(server.port, inside(Request("POST", "/activelearning/first", attacks.JSON, told)))
    logs = [server.log, *(canary / "studies/.iris/app/logs").iterdir()]
    assert not [path for path in logs if TOKEN in path.read_text()]
    shown = send(server.port, inside(Request("GET", "/logs/?text=true")))
    assert shown.status == 200 and TOKEN.encode() not in shown.body and str(canary).encode() not in shown.body
    process = psutil.Process(server.process.pid)
    children = process.children(recursive=True)
    assert not [p for p in (process, *children) if TOKEN in " ".join(p.cmdline())]
    assert not [p for p in children if TOKEN in json.dumps(p.environ())]


def test_slicers_sequence_works_with_the_token_in_the_servers_address(server, canary, tmp_path):
    from monailabel.client.client import MONAILabelClientException

    from tests.hosts.app_server import label_file

    client = server.client()
    assert client.auth_enabled() is False
    assert client.info()["name"] == "Iris"
    sample = client.next_sample("first", {})
    assert sample["id"] in ("case_1", "case_2") and "path" not in sample
    info = [{"name": "bright", "idx": 1}, {"name": "dark", "idx": 4}]
    client.save_label("case_1", label_file(tmp_path, "case_1", {1: 1, 4: 4}), params={"label_info": info})
    assert set(client.info()["labels"]) == {"bright", "dark"}
    file, told = client.infer("in_context", "case_2", {"result_extension": ".nrrd", "result_dtype": "uint8"})
    assert Path(file).stat().st_size and str(canary) not in json.dumps(told)
    assert suffix_of(Path(client.download_label("case_1", "final"))) == ".nii.gz"
    assert client.datastore()["objects"].keys() == {"case_1", "case_2"}
    assert client.upload_image(str(canary / "studies/case_1.nii.gz"), "case 3")["image"] == "case 3"
    assert "case 3" in client.datastore()["objects"]
    with pytest.raises(MONAILabelClientException, match="already"):
        client.upload_image(str(canary / "studies/case_1.nii.gz"), "case 3")
    assert client.train_status(check_if_running=True) is False


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    require_programs("Orthanc")
    from apps.iris_app.cli.dicom_series import series_files
    from tests.hosts.test_app_dicom import scene

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    archive = Archive(tmp_path_factory.mktemp("archive"), port)
    for file in series_files(scene(0, "CT")[0], "CT", "patient", "study"):
        archive.add(file)
    yield archive
    archive.stop()


@pytest.mark.dicomweb
def test_nothing_but_dicomweb_of_an_archive_can_be_reached(archive, tmp_path, image):
    """The whole list once more, on an archive."""
    (tmp_path / "empty").mkdir()
    server = AppServer(
        archive.dicomweb, tmp_path / "server", token=TOKEN,
        MONAI_LABEL_DICOMWEB_CACHE_PATH=str(tmp_path / "cache"), IRIS_STATE=str(tmp_path / "state"),
    )  # fmt: skip
    try:
        asked = send(server.port, inside(Request("GET", "/proxy/dicom/qido/studies?limit=10&offset=0")))
        (study,) = json.loads(asked.body)
        uid = study["0020000D"]["Value"][0]
        for path in (f"qido/studies/{uid}/series", f"wado/studies/{uid}/metadata"):
            assert send(server.port, inside(Request("GET", f"/proxy/dicom/{path}"))).status == 200
        before = archive.get("/statistics")
        for kind, requests in kinds_of_attack(server.port, image).items():
            assert survivors(server.port, requests, (str(tmp_path), TOKEN)) == [], kind
        assert archive.get("/statistics") == before and list((tmp_path / "empty").iterdir()) == []
    finally:
        server.stop()
