"""Any text in any place: the application answers each request with a sentence, never with a failure."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from iris_core.errors import InputError
from tests.hosts.app_server import ROOT, label_file, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

CASES = 5000

OPTIONS = (
    "strategy classes spacing save_as device pinned_references banned_references image model "
    "result_extension result_dtype result_compress label_tag save_label time_limit client_id session "
    "label_info timeout allow_empty user withhold_below"
).split()
NAMES = "image label tag id output params lines images allow_empty user".split()
STARTING = ("/train/in_context", "/batch/infer/in_context")  # whose right options would start a process
ROUTES = [
    ("POST", "/infer/in_context"), ("PUT", "/datastore/label"), ("GET", "/datastore/image"),
    ("GET", "/datastore/image/info"), ("GET", "/datastore/label"), ("GET", "/datastore/label/info"),
    ("PUT", "/datastore/image"), ("POST", "/activelearning/next"), ("POST", "/activelearning/first"),
    *(("POST", path) for path in STARTING), ("GET", "/datastore/"), ("GET", "/logs/"), ("GET", "/queue/"),
    ("GET", "/ohif/"), ("DELETE", "/datastore/label"), ("GET", "/history/"), ("POST", "/history/"),
]  # fmt: skip

SCRIPT = """
import sys
from monailabel.config import settings
settings.MONAI_LABEL_STUDIES, settings.MONAI_LABEL_APP_DIR = sys.argv[1], sys.argv[2]
from tests.hosts.test_door_fuzz import fuzz
fuzz(int(sys.argv[3]), sys.argv[4])
"""


def test_five_thousand_requests_with_any_text_give_no_failure(tmp_path):
    """In a process of its own: the host reads its settings when it is imported."""
    (study, *_) = write_studies(tmp_path / "studies", 2)
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.py").write_text("from apps.iris_app.lib.app import IrisApp\n\n__all__ = ['IrisApp']\n")
    (tmp_path / "temporary").mkdir()
    label = label_file(tmp_path, study, {1: 1, 4: 4})
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "studies"), str(app), str(CASES), label],
        cwd=ROOT, capture_output=True, text=True, timeout=1200,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    statuses = {int(k): n for k, n in json.loads(done.stdout.splitlines()[-1]).items()}
    assert sum(statuses.values()) >= CASES and max(statuses) < 500 and {200, 404, 422} <= set(statuses)
    studies = {"case_1", "case_2"}
    uploaded = {"x"}  # a request whose texts happen to be right adds its image under the name of its file
    files = {path.name.removesuffix(".nii.gz") for path in (tmp_path / "studies").glob("*.nii.gz")}
    known = set(json.loads((tmp_path / "studies/datastore_v2.json").read_text())["objects"])
    assert files - uploaded == studies == known - uploaded
    assert [p for p in (tmp_path / "temporary").iterdir() if p.suffix in (".gz", ".nrrd", ".nii")] == []


def fuzz(cases: int, label: str) -> None:
    """Asks the application of `iris serve` behind its door, without a network, and prints its statuses."""
    from hypothesis import HealthCheck, given, settings

    from apps.iris_app import front
    from apps.iris_app.computing.worker_client import WorkerClient
    from apps.iris_app.lib.service import Service

    Service._keep_job = lambda self: None  # nothing is computed: what a request says matters here
    WorkerClient.annotate = _no_worker
    statuses: dict[int, int] = {}
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_start(front.app))

    @settings(
        max_examples=cases, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    @given(**requests(Path(label).read_bytes()))
    def ask(route, rest, usual, query, params, raw, content):
        method, path = route
        told = str(params) if raw else json.dumps({"x": params} if path in STARTING else params)
        request = _request(method, path + rest, usual | query, told, content)
        status = loop.run_until_complete(_answer(front.app, request))
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500, (method, path, rest, usual, query, told)

    failed = 1
    try:
        ask()
        failed = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.write("\n" + json.dumps(statuses) + "\n")
    sys.stdout.flush()
    os._exit(failed)  # the host's threads would keep the process


def _no_worker(self, *words, **options):
    raise InputError("nothing is computed in this test")


def requests(label: bytes) -> dict:
    """Strategies for all parts of a request."""
    from hypothesis import strategies as st

    odd = [
        "",
        "..",
        "../x",
        "/etc/passwd",
        "case_1",
        "case_1\0",
        "final",
        "x" * 400,
        "\ud800",
        "\U0001d7cf",
        "%2e",
    ]
    word = st.one_of(st.text(st.characters(), max_size=60), st.sampled_from(odd))
    value = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), word),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(word, inner, max_size=4)),
        max_leaves=8,
    )
    options = st.dictionaries(st.one_of(st.sampled_from(OPTIONS), word), value, max_size=4)
    described = st.fixed_dictionaries({}, optional={name: value for name in ("name", "idx", "color", "tags")})
    listed = st.lists(st.one_of(value, described), max_size=3)
    named = st.fixed_dictionaries({"label_info": st.one_of(value, listed)})
    return {
        "route": st.sampled_from(ROUTES),
        "rest": st.one_of(st.just(""), st.just(""), st.just(""), word),
        "usual": st.sampled_from(
            [{}, {"image": "case_1"}, {"label": "case_1", "tag": "final"}, {"id": "case_1"}]
        ),
        "query": st.dictionaries(st.one_of(st.sampled_from(NAMES), word), word, max_size=2),
        "params": st.one_of(value, options, named),
        "raw": st.sampled_from([False, False, False, True]),
        "content": st.sampled_from([label, label, b"junk", b"", label[:200]]),
    }


def _request(method: str, path: str, query: dict, told: str, content: bytes) -> tuple[dict, bytes]:
    from urllib.parse import quote, urlencode

    from tests.hosts.raw_request import form

    headers, body = (("content-type", "application/json"),), told.encode("utf-8", "surrogatepass")
    if method == "PUT" or path.startswith("/infer/"):
        file = {"file": ("x.nii.gz", content)} if "image" in path else {"label": ("x.nii.gz", content)}
        headers, body = form(params=told, **(file if method == "PUT" else {}))
    pairs = [
        (k.encode("utf-8", "surrogatepass"), v.encode("utf-8", "surrogatepass")) for k, v in query.items()
    ]
    sent = [("Host", "127.0.0.1:8000"), *headers]
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": "",
        "path": path, "raw_path": quote(path, safe="/", errors="surrogatepass").encode(),
        "query_string": urlencode(pairs).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent],
        "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    return scope, body


async def _answer(app, request: tuple[dict, bytes]) -> int:
    """The status of an answer, which is taken to its end."""
    scope, body = request
    messages: list[dict] = []
    sent = False

    async def receive() -> dict:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)  # a client that waits for its answer
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        messages.append(message)

    await asyncio.wait_for(app(scope, receive, send), 60)
    return messages[0]["status"]


async def _start(app) -> None:
    """Starts the application as a server does."""
    started = asyncio.Event()
    begin = asyncio.Queue()
    await begin.put({"type": "lifespan.startup"})

    async def send(message: dict) -> None:
        assert message["type"] == "lifespan.startup.complete", message
        started.set()

    _start.running = asyncio.ensure_future(app({"type": "lifespan"}, begin.get, send))
    await asyncio.wait_for(started.wait(), 120)
