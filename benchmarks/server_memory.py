"""How much memory `iris serve` holds, process by process, once there is nothing left to do.

    python -m benchmarks.server_memory WORK [--rest 30]

Starts a server on small made-up studies below WORK, lets it pre-label them, asks one study of the worker,
waits and prints RSS (what each process has in memory) and PSS (the same, with what several share divided
among them).
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
import urllib.request
from pathlib import Path

from benchmarks.server_load import served, write_studies


def memory(pid: int) -> dict[str, float]:
    """RSS and PSS of a process, MB."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, *rest = line.split()
        if name in ("Rss:", "Pss:"):
            found[name[:-1].upper()] = int(rest[0]) / 1024
    return found


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def report(title: str, pid: int) -> None:
    """Prints a line for each process, and their sum."""
    total = {"RSS": 0.0, "PSS": 0.0}
    print(title)
    for one in family(pid):
        words = Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        kind = next((w for w in ("prelabel_job", "worker", "monailabel") if w in words), words[:40])
        held = memory(one)
        total = {name: total[name] + held[name] for name in total}
        print(f"  {kind:14s} RSS {held['RSS']:6.0f} MB, PSS {held['PSS']:6.0f} MB")
    print(f"  {'in all':14s} RSS {total['RSS']:6.0f} MB, PSS {total['PSS']:6.0f} MB", flush=True)


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder that is made, and removed again")
    parser.add_argument("--rest", type=float, default=90.0, help="seconds of nothing to do (default: 90)")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True)
    try:
        write_studies(arguments.work / "studies", (64, 64, 40))
        with served(arguments.work / "studies", arguments.work / "log") as (port, pid):
            report("as it is ready", pid)
            while _told(port, "/prelabels/").get("state") != "idle":
                time.sleep(0.5)
            report("pre-labels done", pid)
            _ask(port)
            report("just after a person's request", pid)
            time.sleep(arguments.rest)
            report(f"{arguments.rest:.0f} s later", pid)
    finally:
        shutil.rmtree(arguments.work)


def _told(port: int, path: str) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
        return json.load(answer)


def _ask(port: int) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="params"\r\n\r\n{"spacing": "1.9"}\r\n--b--\r\n'
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/infer/in_context?image=small_1&output=json", data=form,
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )  # fmt: skip
    urllib.request.urlopen(request, timeout=300).read()


if __name__ == "__main__":
    main()
