"""How long a server's answers take while it reads labels, computes studies and keeps people waiting.

    python -m benchmarks.server_load WORK [--seconds 60] [--clients 60] [--json FILE]

Starts `iris serve` on made-up studies below WORK: small ones, and one of 512 x 512 x 400 voxels whose label
of 40 classes is replaced again and again, so that it is being read all the time. The pre-label job works, and
as many clients as asked for wait for answers that have to be computed. Meanwhile four people ask for /info/,
the next study, /prelabels/ and /datastore/ without a pause. Prints the percentiles of each, and beside them
those of a server that does nothing at all: on a busy machine its answers are late too.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE, CLASSES = (512, 512, 400), 40
SMALL, COUNT = (40, 40, 36), 8
ROUTES = {
    "/info/": ("GET", "/info/"),
    "next": ("POST", "/activelearning/next"),
    "/prelabels/": ("GET", "/prelabels/"),
    "/datastore/": ("GET", "/datastore/?output=all"),
}
READY = 180.0  # seconds


def write_studies(folder: Path, shape: tuple[int, int, int] = SHAPE) -> Callable[[int], None]:
    """Writes small studies, of which one is labelled, and a large one.

    Args:
        folder: made where it is missing.
        shape: of the large study.

    Returns:
        A function that replaces the large study's label; its argument makes each one another.
    """
    final = folder / "labels" / "final"
    final.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(0)
    for number in range(COUNT):
        image = chance.normal(100, 10, SMALL).astype(np.float32)
        image[10:25, 10:25, 10:20] += 80
        nib.save(nib.Nifti1Image(image, np.diag([2, 2, 2, 1])), folder / f"small_{number}.nii.gz")
    label = np.zeros(SMALL, np.uint8)
    label[10:25, 10:25, 10:20] = 1
    nib.save(nib.Nifti1Image(label, np.diag([2, 2, 2, 1])), final / "small_0.nii.gz")
    large = np.zeros(shape, np.int16)
    large[:: max(1, shape[0] // 50)] = 50
    nib.save(nib.Nifti1Image(large, np.diag([0.8, 0.8, 1, 1])), folder / "large.nii")
    names = {f"class {n}": n for n in range(1, CLASSES + 1)}
    (folder / "labels.json").write_text(json.dumps(names))
    planes = (np.arange(shape[2]) * CLASSES // shape[2] + 1).astype(np.uint8)
    label = np.broadcast_to(planes, shape).copy()

    def replace(turn: int) -> None:
        label[0, 0, 0] = turn % CLASSES + 1
        new = folder / ".large.nii.gz"
        nib.save(nib.Nifti1Image(label, np.diag([0.8, 0.8, 1, 1])), new)
        new.replace(final / "large.nii.gz")

    return replace


@contextlib.contextmanager
def served(folder: Path, log: Path) -> Iterator[tuple[int, int]]:
    """`iris serve` on a folder: its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "iris_core.cli", "serve", str(folder), "--port", str(port)]
    with open(log, "wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        end = time.monotonic() + READY
        while not _classes(port):  # a request that comes before the first label is read need not wait
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.3)
        yield port, server.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


class _Nothing(http.server.BaseHTTPRequestHandler):
    """Answers a request with an empty object and does no more."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        """Says nothing."""


def _serve_nothing(port: multiprocessing.Value) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    port.value = server.server_address[1]
    server.serve_forever()


@contextlib.contextmanager
def control() -> Iterator[int]:
    """A server that does nothing, in a process of its own: its port."""
    context = multiprocessing.get_context("spawn")
    port = context.Value("i", 0)
    process = context.Process(target=_serve_nothing, args=(port,), daemon=True)
    process.start()
    while not port.value and process.is_alive():
        time.sleep(0.05)
    try:
        yield port.value
    finally:
        process.kill()
        process.join()


def measured(
    port: int,
    nothing: int,
    replace: Callable[[int], None],
    seconds: float,
    clients: int,
    *,
    leave: bool = True,
) -> dict[str, list[float]]:
    """The seconds that each answer took, by route, and by "nothing" those of the control.

    Args:
        port: of the server.
        nothing: port of the control.
        replace: makes the server read a label again.
        seconds: that it takes.
        clients: that wait meanwhile.
        leave: the clients go away at the end.
    """
    sys.setswitchinterval(0.0005)  # else the threads here make each other's answers late
    waiting = [_waiting(port, number) for number in range(clients)]
    patience = time.monotonic() + READY
    while _queue_length(port) <= clients // 2 and time.monotonic() < patience:
        time.sleep(0.2)  # who comes while a label is read stands in the queue only after it
    end = time.monotonic() + seconds
    found: dict[str, list[float]] = {name: [] for name in [*ROUTES, "nothing"]}

    def probe(name: str, where: int, method: str, path: str) -> None:
        while time.monotonic() < end:
            started = time.perf_counter()
            status = _asked(where, method, path)
            found[name].append(time.perf_counter() - started)
            if status != 200:
                raise RuntimeError(f"{method} {path} gave {status}")
            time.sleep(0.02)

    def rewrite() -> None:
        os.nice(5)
        number = 0
        while True:
            replace(number)
            number += 1

    writer = multiprocessing.get_context("fork").Process(target=rewrite, daemon=True)
    writer.start()
    people = [threading.Thread(target=probe, args=(n, port, *ROUTES[n])) for n in ROUTES]
    people.append(threading.Thread(target=probe, args=("nothing", nothing, "GET", "/")))
    for thread in people:
        thread.start()
    for thread in people:
        thread.join()
    writer.kill()
    writer.join()
    for client in waiting:
        client.close() if leave else client.detach()
    return found


def _waiting(port: int, number: int) -> socket.socket:
    """A client that waits for an answer that has to be computed: no two ask for the same."""
    params = json.dumps({"spacing": f"{0.8 + 0.01 * number:.2f}", "pinned_references": "small_0"})
    body = f'--b\r\nContent-Disposition: form-data; name="params"\r\n\r\n{params}\r\n--b--\r\n'
    path = f"/infer/in_context?image=small_{1 + number % (COUNT - 1)}&output=json"
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return client


def _classes(port: int) -> list[str]:
    """The classes that the server knows; none where there is no server yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/info/", timeout=60) as answer:
            return list(json.load(answer)["models"]["in_context"]["labels"])
    except OSError:
        return []


def _queue_length(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/queue/", timeout=60) as answer:
        return json.load(answer)["length"]


def _asked(port: int, method: str, path: str) -> int | None:
    """The status of an answer; None where there is no server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        headers = {"Content-Type": "application/json"} if method == "POST" else {}
        connection.request(method, path, body="{}" if method == "POST" else None, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except ConnectionError:
        return None
    finally:
        connection.close()


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder that is made, and removed again")
    parser.add_argument("--seconds", type=float, default=60.0, help="(default: 60)")
    parser.add_argument("--clients", type=int, default=60, help="that wait (default: 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True)
    try:
        replace = write_studies(arguments.work / "studies")
        with served(arguments.work / "studies", arguments.work / "log") as (port, _), control() as nothing:
            found = measured(port, nothing, replace, arguments.seconds, arguments.clients)
    finally:
        shutil.rmtree(arguments.work)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for name, taken in found.items():
        half, most, worst = np.percentile(taken, [50, 95, 100]) * 1000
        times = f"median {half:4.0f} ms, 95 % {most:4.0f}, worst {worst:5.0f}"
        print(f"{name:12s} {len(taken):5d} answers: {times}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
