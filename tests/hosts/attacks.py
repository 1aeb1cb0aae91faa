"""Requests that nobody with good intentions sends, over all routes and methods that the application has."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator

from tests.hosts.raw_request import Request, form

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "BREW")
JSON = (("Content-Type", "application/json"),)
DEEP = "[" * 100_000 + "]" * 100_000

# What passes the gate: whoever adds a route adds it here, and the attacks below reach it.
OPEN = {
    ("GET", "/"), ("GET", "/favicon.ico"), ("GET", "/logs/"), ("GET", "/info/"), ("GET", "/ohif/{path:path}"),
    ("POST", "/activelearning/{strategy}"), ("POST", "/infer/in_context"),
    ("GET", "/prelabels/"), ("POST", "/prelabels/"), ("DELETE", "/prelabels/"),
    ("DELETE", "/datastore/"), ("DELETE", "/datastore/label"), ("GET", "/history/{study}"),
    ("POST", "/history/{study}"), ("GET", "/queue/"), ("GET", "/queue/{name}"), ("DELETE", "/queue/{name}"),
    ("GET", "/datastore/"), ("PUT", "/datastore/"), ("GET", "/datastore/image"), ("PUT", "/datastore/image"),
    ("GET", "/datastore/image/info"), ("GET", "/datastore/label"), ("PUT", "/datastore/label"),
    ("GET", "/datastore/label/info"), ("GET", "/train/"), ("POST", "/train/"), ("DELETE", "/train/"),
    ("POST", "/train/in_context"), ("GET", "/batch/infer"), ("DELETE", "/batch/infer"),
    ("POST", "/batch/infer/in_context"),
}  # fmt: skip

# Texts that no id of a study is, as they stand in a query.
IDS = (
    "../x", "..%2fx", "%2e%2e%2fx", "..%5cx", "..\\x", "....//x", "..;/x", "/etc/passwd", "%2Fetc%2Fpasswd",
    "C:%5CWindows%5Cx", "x%00.nii.gz", "x%0d%0aSet-Cookie:%20a=b", "%c0%ae%c0%ae%c0%afx", "%u002e%u002e/x",
    "%252e%252e%252fx", "%25252e%25252e%25252fx", "..%c0%afx", "x/../../y", ".", "..", "...%2f", "x" * 300,
    "%F0%9F%92%80" * 100, "%E2%80%AEx", "%ED%A0%80", "%EF%BC%8E%EF%BC%8E%EF%BC%8Fx", "a%2Fb", "nobody",
    "case_1&image=../x&label=../x", "%7e/x", "$(id)", "file:///etc/passwd", "*", "%1b[31m", "%00", "CON%3a",
)  # fmt: skip

# Ids under which a gate may let an upload pass, because nothing is wrong with them as a name.
HARMLESS = {"nobody"}

# Texts behind the name of a device.
DEVICES = (
    "cuda:;id", "cpu:../../x", "auto:zzz", "cuda:", "cuda:0\n", "cuda:-1", "cuda:999", "cuda:\u0661", "cpu:0",
    "cuda:0;id", "CUDA", "cudax", "",
)  # fmt: skip

HOSTS = (
    "evil.example", "127.0.0.1.evil.example", "evil.example:8000", "localhost.evil.example", "localhost.",
    "127.0.0.1@evil.example", "user:pass@127.0.0.1", "[::ffff:127.0.0.1.evil]", "[::2]", "0.0.0.0", "",
    "127.0.0.1, evil.example", "127.0.0.1/evil", "2130706433", "0x7f.1", "localhost:8000:9", "*",
    "\tevil.example",
)  # fmt: skip

ORIGINS = (
    "http://evil.example", "https://evil.example", "null", "http://localhost:1", "http://127.0.0.1:1",
    "http://127.0.0.1.evil.example", "file://", "chrome-extension://abcdef", "http://[::1]:1", "",
    "http://127.0.0.1:{port}/", "http://evil.example@127.0.0.1:{port}", "https://127.0.0.1:{port}",
    "http://127.0.0.1:{port}, http://evil.example", "ftp://127.0.0.1:{port}", "//127.0.0.1:{port}",
)  # fmt: skip

ARCHIVE = (
    "", "system", "instances/../../system", "qido/../system", "qido/%2e%2e/system", "qido/%2e%2e%2fsystem",
    "qido/..%2f..%2fsystem", "qido/%252e%252e/system", "wado/..;/system", "wado/studies/../../../system",
    "wado/studies/1.2/series/../../../../system", "stow/..\\..\\system", "qido//system", "/system",
    "qido/.", "qido/studies/%2e%2e/%2e%2e/system", "studies/1..2/metadata", "studies/1.2/archive",
    "studies/1.2/zip", "patients", "statistics", "tools/execute-script", "changes", "modalities", "peers",
    "app/explorer.html", "qido/studies?x=%ED%A0%80", "qido/studies%3F/../../system", "qido/studies/*",
    "qido/studies;/x", "wado/http://evil.example/", "//evil.example/x", "@evil.example/",
    "wado?objectUID=1.2", "servers", "studies/1.2/series/1.3/instances/1.4/bulk/../../../../system",
    "instances/abc/file", "qido/studies\x00",
)  # fmt: skip

PATHS = (
    "//datastore/", "/./datastore/", "/x/../datastore/", "/%64atastore/", "/datastore/%2e%2e/reload",
    "/datastore;x", "/datastore/..;/reload", "/DATASTORE/", "/datastore//image?image=case_1", "/info%00",
    "/info/%20", "/reload", "/openapi.json", "/docs", "/redoc", "/static/ohif/index.html",
    "/static/../app.py", "/logs/gpu", "/logs/../reload", "/logs/%2e%2e/app.log", "/ohif/../../app.py",
    "/ohif/%2e%2e/%2e%2e/app.py", "/ohif/..%2f..%2fapp.py", "/.env", "/ohif//etc/passwd", "/ohif/..",
    "/ohif/.git/config", "/datastore/dataset", "/model/in_context",
    "/model/info/in_context", "/session/x", "/scoring/dice", "/scoring/", "/batch/infer/nothing",
    "/train/nothing", "/train/..%2f", "/activelearning/..%2fnext", "/activelearning/next/../../reload",
    "/infer/nothing", "/t/", "/t/x/", "/infer/wsi/in_context", "/infer/wsi_v2/in_context", "/auth/",
    "/datastore/updatelabelinfo", "/\xff", "*", "http://evil.example/info/../reload", "/" + "x" * 20_000,
    "/activelearning/" + "x" * 300, "/info/\xff", "/..",
)  # fmt: skip


def filled(path: str) -> str:
    """A path of a route table with words in the place of its parameters."""
    return re.sub(r"\{[^}]*\}", "x", path)


# Options whose value names something that there is not, or is no name at all.
NAMES: tuple[dict[str, object], ...] = (
    *({"label_tag": value} for value in ("../x", "..", "x" * 300, "final\0", "a/b", 3, ["final"], {"a": 1})),
    *({name: "../x"} for name in ("tag", "image", "label", "id", "study")),
    *({"client_id": value} for value in ("x" * 300, "a\nb", "a\0b", 7, ["x"], {"a": 1}, True)),
)


def forbidden(routes: set[str]) -> Iterator[Request]:
    """Every method on every route, unless it is open."""
    for path in sorted(routes):
        forms = {path, f"{path}/", path.rstrip("/")}  # the last slash may be missing
        yield from (Request(m, filled(path)) for m in METHODS if not any((m, f) in OPEN for f in forms))


def hostile_ids(image: bytes) -> Iterator[Request]:
    """Every text on every open route that names a study or a tag."""
    headers, body = form(file=("x.nii.gz", image), label=("x.nii.gz", image), params="{}")
    for text in IDS:
        for name, route in (("image", "/datastore/image"), ("image", "/datastore/image/info")):
            yield Request("GET", f"{route}?{name}={text}")
        for route in ("/datastore/label", "/datastore/label/info"):
            yield Request("GET", f"{route}?label={text}&tag=final")
            yield Request("GET", f"{route}?label=case_1&tag={text}")
        yield Request("POST", f"/infer/in_context?image={text}", *form(params="{}"))
        yield Request("PUT", f"/datastore/label?image={text}", headers, body)
        yield Request("DELETE", f"/datastore/?id={text}")
        yield Request("DELETE", f"/datastore/?id={text}&type=label")
        yield Request("DELETE", f"/datastore/?id={text}&type=label_tag")
        yield Request("DELETE", f"/datastore/label?id={text}&tag=final")
        yield Request("GET", f"/history/{text}")
        yield Request("POST", f"/history/{text}?version=1")
        if text not in HARMLESS:
            yield Request("PUT", f"/datastore/label?image=case_1&tag={text}", headers, body)
            yield Request("PUT", f"/datastore/image?image={text}", headers, body)
            yield Request("PUT", f"/datastore/?image={text}", headers, body)


def hostile_uploads(image: bytes) -> Iterator[Request]:
    """Images that are none, and names of files that lead elsewhere."""
    names = ("../x.sh", "/tmp/x", "x", "x.nii.gz.exe", "x.zip", "x.html", "..\\x.py", "x.tar.gz", "")
    for name in names:
        yield Request("PUT", "/datastore/image?image=fresh", *form(file=(name, image)))
    for content in (b"", b"junk", image[:100], huge_image(), b"PK\x03\x04" + image):
        yield Request("PUT", "/datastore/image?image=fresh", *form(file=("x.nii.gz", content)))
    for name, content in files_that_lie(image).items():
        yield Request("PUT", "/datastore/image?image=fresh", *form(file=(name, content)))
    for name in ("..", ".", "/", "a\x00b.nii.gz", "x" * 300 + ".nii.gz", "", "x.sh", "..\\x.nii.gz"):
        yield Request("PUT", "/datastore/label?image=case_1", *form(label=(name, b"junk"), params="{}"))
    yield Request("DELETE", "/datastore/?id=case_1&type=image")
    yield Request("DELETE", "/datastore/?id=case_1")
    yield Request("POST", "/history/case_1?version=../x")
    yield Request("GET", "/history/case_1?version=-1")
    for name in (".nii.gz", "../.nii.gz", "../../..nii.gz", "a\x00b.nii.gz"):
        yield Request("PUT", "/datastore/image", *form(file=(name, image)))
    yield Request("PUT", "/datastore/image?image=case_1", *form(file=("x.nii.gz", image)))
    yield Request("PUT", "/datastore/image?image=CASE_1", *form(file=("x.nii.gz", image)))
    yield Request("PUT", "/datastore/image?image=fresh", *form(file="no file"))
    yield Request("PUT", "/datastore/image?image=fresh", (("Content-Type", "multipart/form-data"),), b"x")
    yield Request("POST", "/infer/in_context?image=case_1", *form(file=("x.nii.gz", image), params="{}"))
    yield Request("POST", "/infer/in_context?session_id=x", *form(params="{}"))
    yield Request("POST", "/infer/in_context?image=case_1&output=dicom_seg", *form(params="{}"))


def huge_image() -> bytes:
    """A NIfTI header of 30000 x 30000 x 30000 voxels, and nothing behind it."""
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    return header.binaryblock + b"\0" * 100


def files_that_lie(image: bytes) -> dict[str, bytes]:
    """Images that unpack to more or less than their header says, or whose voxels lie elsewhere."""
    whole, zeros = gzip.decompress(image), bytes(64 << 20)
    fields = (
        b"NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 4 4\n"
        b"space directions: (-2,0,0) (0,-2,0) (0,0,2)\nspace origin: (0,0,0)\n"
    )
    voxels = bytes(range(64))
    return {
        "long.nii.gz": gzip.compress(whole + zeros, 1), "long.nii": whole + zeros[: 2 << 20],
        "two.nii.gz": image + gzip.compress(zeros, 1), "short.nii.gz": gzip.compress(whole[:-9]),
        "cut.nii.gz": image[:-9], "tail.nii.gz": image + zeros[: 4 << 20],
        "long.nrrd": fields + b"encoding: gzip\n\n" + gzip.compress(voxels + zeros, 1),
        "short.nrrd": fields + b"encoding: gzip\n\n" + gzip.compress(voxels[:-9]),
        "away.nrrd": fields + b"encoding: raw\ndata file: /etc/passwd\n\n",
        "list.nrrd": fields + b"encoding: raw\ndatafile: LIST\n/etc/passwd\n\n",
        "skip.nrrd": fields + b"encoding: raw\nbyte skip: -1\n\n" + voxels,
        "text.nrrd": fields + b"encoding: ascii\n\n" + b"1 2 " * 32,
        "twice.nrrd": fields + b"sizes: 9 9 9\nencoding: raw\n\n" + voxels,
    }  # fmt: skip


def hostile_bodies(image: bytes) -> Iterator[Request]:
    """JSON that breaks readers, on every open route that takes JSON or options."""
    texts = (
        DEEP, '{"a":' * 5000 + "1" + "}" * 5000, "[1]", "3", "{", '"x"', '{"a": "\\ud800"}', '{"a": NaN}',
        "\xff\xfe",
    )  # fmt: skip
    for route in ("/activelearning/next", "/train/", "/train/in_context", "/batch/infer/in_context"):
        yield from (Request("POST", route, JSON, text.encode("latin-1")) for text in texts)
        yield Request("POST", route, (("Content-Type", "text/plain"),), b"{}")
        yield Request("POST", route, (("Content-Type", "application/x-www-form-urlencoded"),), b"a=b")
        yield Request("POST", route, JSON, b'{"a": "' + b"x" * (2 << 20) + b'"}')
    for text in texts[:8]:
        yield Request("POST", "/infer/in_context?image=case_1", *form(params=text))
        yield Request("PUT", "/datastore/label?image=case_1", *form(params=text, label=("x.nii.gz", b"junk")))
    for named in NAMES:
        text = json.dumps(named)
        yield Request("POST", "/activelearning/next", JSON, text.encode())
        yield Request("POST", "/infer/in_context?image=case_1", *form(params=text))
        yield Request("PUT", "/datastore/label?image=case_1", *form(params=text, label=("x.nii.gz", b"junk")))
        yield Request("PUT", "/datastore/image?image=fresh", *form(params=text, file=("x.nii.gz", image)))
    options = (
        {"bundle_path": "/tmp"}, {"gpus": "0;id"}, {"model": "other"}, {"images": ["../x"]}, {"method": "x"},
        {"label_tag": "../../x"}, {"device": ["x"]}, {"device": "cuda;id"}, {"label_tag": "final"},
        *({"device": text} for text in DEVICES),
    )  # fmt: skip
    for route in ("/train/", "/train/in_context", "/batch/infer/in_context"):
        yield from (Request("POST", route, JSON, json.dumps(option).encode()) for option in options)
    yield Request("POST", "/train/in_context?run_sync=true", JSON, b"{}")
    yield Request("POST", "/train/in_context?enqueue=true", JSON, b"{}")
    yield Request("POST", "/batch/infer/in_context?images=../x", JSON, b"{}")
    yield Request("GET", "/datastore/?output=train")


def hostile_origins(port: int) -> Iterator[Request]:
    """Pages of other origins, on reading and on changing routes."""
    for origin in ORIGINS:
        headers = (("Origin", origin.format(port=port)),)
        yield Request("GET", "/info/", headers)
        yield Request("DELETE", "/prelabels/", headers)
        yield Request("POST", "/train/in_context", (*headers, ("Content-Type", "text/plain")), b"{}")
        yield Request("OPTIONS", "/datastore/image", (*headers, ("Access-Control-Request-Method", "PUT")))
    for site, mode in (("cross-site", "no-cors"), ("same-site", "no-cors"), ("cross-site", "cors")):
        marks = (("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", "image"))
        yield Request("GET", "/datastore/image?image=case_1", marks)
    framed = (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe"))
    yield Request("GET", "/", framed)


def hostile_hosts(port: int) -> Iterator[Request]:
    """Names that are not the server's."""
    yield from (Request("GET", "/info/", (("Host", host),)) for host in HOSTS)
    twice = (("Host", f"127.0.0.1:{port}"), ("Host", "evil.example"))
    yield Request("GET", "/info/", twice)
    yield Request("GET", "/info/", (("Host", "evil.example"), ("X-Forwarded-Host", "127.0.0.1")))


def hostile_paths() -> Iterator[Request]:
    """Paths that lead round a list of paths, and methods in disguise."""
    yield from (Request("GET", path) for path in PATHS)
    yield from (Request("POST", path, JSON, b"{}") for path in PATHS)
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "_method"):
        yield Request("POST", "/datastore/image?image=case_1", ((name, "PUT"),))
    upgrade = (("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"), ("Sec-WebSocket-Version", "13"))
    yield Request("GET", "/ws", upgrade)
    yield Request("GET", "/datastore/image?image=case_1&image=../x")
    yield Request("GET", "/datastore/label?label=case_1&tag=final&tag=../x")
    yield Request("GET", "/info/?token=x")


def hostile_archive_paths() -> Iterator[Request]:
    """Ways from DICOMweb into the rest of an archive."""
    for path in ARCHIVE:
        yield Request("GET", f"/proxy/dicom/{path}")
        yield Request("POST", f"/proxy/dicom/{path}", JSON, b"{}")
    for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        yield Request(method, "/proxy/dicom/wado/studies/1.2")
