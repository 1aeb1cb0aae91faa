"""Requests that wait, in a real server: seen, shared, left, cut short; none of them holds up anybody else."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hosts.app_server import AppServer, label_file, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

COUNT = 6
INFO = [{"name": "bright", "idx": 1}, {"name": "dark", "idx": 4}]
SLOW = "1.1"  # mm; a study of 2 mm voxels takes a second or more so
SOON = 30.0  # seconds in which a small thing happens on a busy machine


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, scratch = tmp_path_factory.mktemp("studies"), tmp_path_factory.mktemp("temporary")
    write_studies(folder, COUNT)
    server = AppServer(folder, tmp_path_factory.mktemp("server"), TMPDIR=str(scratch))
    server.folder, server.temporary = folder, scratch
    file = label_file(tmp_path_factory.mktemp("drawn"), "case_1", {1: 1, 4: 4})
    server.client().save_label("case_1", file, params={"label_info": INFO})
    assert delete(server, "/prelabels/").status_code == 200  # the job would compute beside us
    yield server
    server.stop()


def delete(server: AppServer, path: str):
    import requests

    return requests.delete(server.url + path, timeout=SOON)


def ask(server: AppServer, study: str, name: str = "", **params):
    """The raw response of an infer request that bears a name."""
    import requests

    return requests.post(
        f"{server.url}/infer/in_context", params={"image": study, "output": "json"},
        files={"params": (None, json.dumps(params))}, headers={"Iris-Request": name} if name else {},
        timeout=300,
    )  # fmt: skip


def waiting(server: AppServer, names: set[str]) -> list[dict] | None:
    """The places of these requests once all of them wait for their turn, and no more for a label."""
    places = server.get("/queue/")["requests"]
    there = {place["id"] for place in places if place["state"] != "reading"}
    return places if there >= names else None


def leave_all(server: AppServer) -> None:
    for place in server.get("/queue/")["requests"]:
        delete(server, f"/queue/{place['id']}")


def worker_of(server: AppServer) -> int | None:
    """The worker process of a server, while it has one."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"apps.iris_app.worker" in command and parent == server.process.pid:
            return int(path.parent.name)
    return None


def test_an_idle_queue_is_empty_and_no_worker_is_there(server):
    assert server.get("/queue/") == {"length": 0, "requests": []}
    assert worker_of(server) is None
    assert delete(server, "/queue/nobody").status_code == 404


def test_twenty_who_ask_for_one_study_at_once_get_the_same_computing(server):
    with ThreadPoolExecutor(20) as people:
        answers = list(people.map(lambda _: ask(server, "case_2", spacing=SLOW), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json()) for answer in answers}) == 1  # `seconds` is of one computing
    assert server.get("/queue/")["length"] == 0


def test_a_request_has_a_place_and_can_be_taken_out_by_its_name_without_harm_to_others(server):
    with ThreadPoolExecutor(3) as people:
        first = people.submit(ask, server, "case_3", "first", spacing=SLOW)
        server.until(lambda: waiting(server, {"first"}))
        second = people.submit(ask, server, "case_4", "second", spacing=SLOW)
        third = people.submit(ask, server, "case_4", "third", spacing=SLOW)
        places = {p["id"]: p for p in server.until(lambda: waiting(server, {"first", "second", "third"}))}
        assert [places[name]["position"] for name in ("first", "second", "third")] == [0, 1, 1]
        assert server.get("/queue/third")["study"] == "case_4"
        assert delete(server, "/queue/second").json()["state"] == "cancelled"
        assert second.result().status_code == 409 and "taken out" in second.result().json()["detail"]
        assert delete(server, "/queue/second").status_code == 404
        assert delete(server, "/queue/first").status_code == 200  # while it is being computed
        assert first.result().status_code == 409
        assert third.result().status_code == 200


def test_a_hundred_who_wait_and_go_away_leave_an_empty_queue_and_no_file(server):
    params = json.dumps({"spacing": SLOW, "result_extension": ".nrrd"})
    body = f'--b\r\nContent-Disposition: form-data; name="params"\r\n\r\n{params}\r\n--b--\r\n'
    before, clients = set(server.temporary.iterdir()), []
    for number in range(100):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(
            f"POST /infer/in_context?image=case_{3 + number % 4}&output=image HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            .encode()
        )
        clients.append(client)
    server.until(lambda: server.get("/queue/")["length"] > 40)  # those for case_4 are answered at once
    started = time.monotonic()
    assert server.get("/prelabels/")["state"]
    assert time.monotonic() - started < SOON
    for client in clients:
        client.close()
    server.until(lambda: server.get("/queue/")["length"] == 0)
    assert ask(server, "case_2", spacing=SLOW).status_code == 200  # it is kept
    server.until(lambda: set(server.temporary.iterdir()) <= before)


@pytest.mark.parametrize("limit", [0, -3, 1e12, "soon", "nan"])
def test_a_time_limit_that_cannot_be_meant_is_refused_in_a_sentence(server, limit):
    answer = ask(server, "case_5", time_limit=limit, spacing=SLOW)
    assert answer.status_code == 422 and "time_limit" in answer.json()["detail"]


def test_a_request_whose_time_is_up_is_told_so_and_leaves_the_queue(server):
    started = time.monotonic()
    answer = ask(server, "case_5", time_limit=0.3, spacing="0.9")
    assert answer.status_code == 422 and "time limit of 0.3 s" in answer.json()["detail"]
    assert time.monotonic() - started < SOON
    server.until(lambda: server.get("/queue/")["length"] == 0)


def test_a_worker_that_is_killed_while_ten_wait_is_missed_by_nobody(server):
    with ThreadPoolExecutor(10) as people:
        answers = [
            people.submit(ask, server, f"case_{2 + n % 5}", f"w{n}", spacing="1.2", classes=classes)
            for n, classes in enumerate(["bright"] * 5 + ["dark"] * 5)
        ]
        server.until(lambda: server.get("/queue/")["length"] >= 8 and worker_of(server))
        os.kill(worker_of(server), signal.SIGKILL)
        assert {answer.result().status_code for answer in answers} == {200}


def test_a_label_that_comes_while_requests_wait_counts_for_those_behind(server, tmp_path):
    with ThreadPoolExecutor(2) as people:
        first = people.submit(ask, server, "case_3", "before", spacing="1.3")
        server.until(lambda: waiting(server, {"before"}))
        second = people.submit(ask, server, "case_4", "behind", spacing="1.3")
        server.until(lambda: waiting(server, {"behind"}))
        file = label_file(tmp_path, "case_6", {1: 1, 4: 4})
        server.client().save_label("case_6", file, params={"label_info": INFO})
        assert first.result().status_code == second.result().status_code == 200
    again = ask(server, "case_4", spacing="1.3").json()
    assert set(again["references_used"]["bright"]) == {"case_1", "case_6"}


def test_next_hands_no_submitted_study_out_and_waits_for_no_label(server):
    import requests

    given = set()
    for _ in range(4):
        given.add(requests.post(f"{server.url}/activelearning/next", json={}, timeout=SOON).json()["id"])
    assert given == {"case_2", "case_3", "case_4", "case_5"}


def test_labels_that_are_replaced_without_pause_keep_nobody_waiting(server, tmp_path):
    """Every label that may be a reference but one is another file at each look."""
    file = label_file(tmp_path, "case_6", {1: 1, 4: 4})
    server.client().save_label("case_6", file, params={"label_info": INFO})
    final = server.folder / "labels/final"
    restless, ended = final / "case_6.nii.gz", threading.Event()
    label = restless.read_bytes()

    def replace() -> None:
        while not ended.wait(0.02):
            part = final / ".part"
            part.write_bytes(label)
            part.replace(restless)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        with ThreadPoolExecutor(3) as people:
            answers = [people.submit(ask, server, f"case_{n}", f"r{n}", spacing="1.4") for n in (2, 3, 4)]
            server.until(lambda: server.get("/queue/")["length"] == 3, SOON)
            told = [answer.result() for answer in answers]
    finally:
        ended.set()
        thread.join()
    assert [answer.status_code for answer in told] == [200] * 3, [answer.text for answer in told]
    assert all("case_1" in answer.json()["references_used"]["bright"] for answer in told)


def test_a_server_that_is_asked_to_end_sends_waiting_requests_away_and_ends(tmp_path):
    folder = tmp_path / "studies"
    write_studies(folder, 4)
    server = AppServer(folder, tmp_path / "server", TMPDIR=str(tmp_path))
    try:
        file = label_file(tmp_path, "case_1", {1: 1, 4: 4})
        server.client().save_label("case_1", file, params={"label_info": INFO})
        delete(server, "/prelabels/")
        answers: list[int] = []

        def person(study: str) -> None:
            try:
                answers.append(ask(server, study, spacing="0.8").status_code)
            except OSError:  # closed before it was answered
                answers.append(0)

        people = [threading.Thread(target=person, args=(f"case_{n}",)) for n in (2, 3, 4, 4)]
        for each in people:
            each.start()
        server.until(lambda: server.get("/queue/")["length"] == 4)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(SOON)
        for each in people:
            each.join(SOON)
        assert len(answers) == 4 and set(answers) <= {0, 409}
        server.until(lambda: worker_of(server) is None, SOON)
    finally:
        server.stop()


def test_where_users_have_names_only_ones_own_request_can_be_taken_out(monkeypatch):
    import asyncio
    from types import SimpleNamespace

    from fastapi import HTTPException

    from apps.iris_app.door.users.identity import USER_KEY
    from apps.iris_app.lib.options import Options
    from apps.iris_app.routes import queue
    from apps.iris_app.waiting.line import Line
    from apps.iris_app.waiting.order import Waiter

    never = threading.Event()
    computer = SimpleNamespace(
        annotate=lambda *_: never.wait(SOON) and "", stop=never.set, close=lambda: None
    )  # fmt: skip
    line = Line(computer, lambda *_: None)
    monkeypatch.setattr(queue, "app_instance", lambda: SimpleNamespace(service=SimpleNamespace(line=line)))
    line.join("case", Options(), "key", Waiter("ann", "hers"))

    def taken_out(by: str) -> dict:
        return asyncio.run(queue.leave("hers", SimpleNamespace(scope={USER_KEY: by})))

    for stranger in ("bob", ""):
        with pytest.raises(HTTPException) as refused:
            taken_out(stranger)
        assert refused.value.status_code == 403 and line.place("hers")
    assert taken_out("ann")["state"] == "cancelled" and not line.place("hers")


def test_a_label_that_is_read_for_too_long_is_waited_for_no_longer(monkeypatch):
    import asyncio
    from types import SimpleNamespace

    from apps.iris_app.routes import infer
    from apps.iris_app.waiting.order import LeftQueue

    monkeypatch.setattr(infer, "PATIENCE", 0.05)

    async def looked(seconds: float, left: bool) -> bool:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if left:
            answer.set_exception(LeftQueue("taken out"))
        service = SimpleNamespace(lookout=SimpleNamespace(look=lambda: asyncio.sleep(seconds)))
        return await infer._looked(service, answer)

    assert asyncio.run(looked(0.0, False)) is False and asyncio.run(looked(SOON, False)) is True
    with pytest.raises(LeftQueue, match="taken out"):
        asyncio.run(looked(SOON, True))
