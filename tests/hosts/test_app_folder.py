"""The app in a real server on a folder of studies: Slicer's requests, references, pre-labels, mistakes."""

from __future__ import annotations

import os
import threading
import time

import nibabel as nib
import numpy as np
import pytest

from iris_core.metrics import dice
from iris_core.stored.checksum import checksum
from iris_core.volume_io import read_label
from tests.hosts.app_server import AppServer, drawn, label_file, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

SLICER = {"result_extension": ".nrrd", "result_dtype": "uint8"}
COUNT = 6
SECONDS = float(os.environ.get("IRIS_CLIENT_SECONDS", "6"))  # that four people ask without a pause


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    write_studies(folder, COUNT)
    return folder


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    server = AppServer(folder, tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def labelled(server, tmp_path_factory):
    """The server after Slicer has submitted case_1 with the names Bright = 1 and dark = 2."""
    before = server.get("/info/")
    refused = server.post_infer("case_2")
    info = [{"name": "Bright", "idx": 1}, {"name": "dark", "idx": 2}]
    file = label_file(tmp_path_factory.mktemp("drawn"), "case_1", {1: 1, 4: 2})
    server.client().save_label("case_1", file, params={"label_info": info})
    server.before, server.refused, server.after = before, refused, server.get("/info/")
    return server


def test_before_any_label_the_viewer_is_told_what_to_do(labelled):
    assert labelled.before["models"]["in_context"]["labels"] == {}
    assert labelled.before["models"]["in_context"]["type"] == "segmentation"
    assert labelled.refused.status_code == 422
    assert "label one study" in labelled.refused.json()["detail"]


def test_names_of_a_submitted_label_are_in_the_next_info(labelled):
    assert labelled.after["models"]["in_context"]["labels"] == {"Bright": 1, "dark": 2}
    assert labelled.after["labels"] == ["Bright", "dark"]


def test_slicers_sequence_gives_names_values_and_the_grid_of_the_image(labelled, folder):
    client = labelled.client()
    shown = client.info()["models"]["in_context"]["config"]
    params = {key: value[0] if isinstance(value, list) else value for key, value in shown.items()}
    study = client.next_sample("first", {})["id"]

    file, told = client.infer("in_context", study, params | SLICER)

    assert study == "case_2" and file.endswith(".nrrd")
    label = read_label(file)
    image = nib.load(folder / f"{study}.nii.gz")
    assert label.array.dtype == np.uint8 and label.shape == image.shape
    assert np.allclose(label.affine, image.affine, atol=1e-4)
    truth = np.asarray(drawn(study, {1: 1, 4: 2}).dataobj)
    for value, name in ((1, "Bright"), (2, "dark")):
        assert told["label_names"][name] == value
        assert dice(label.array == value, truth == value) > 0.7


def test_every_other_study_gets_an_original_that_slicer_can_name(labelled):
    labelled.until(lambda: labelled.idle(COUNT - 1))
    originals = labelled.until(lambda: len(labelled.originals()) == COUNT - 1 and labelled.originals())
    info = originals["case_3"]["info"]
    assert info["params"]["label_names"] == {"Bright": 1, "dark": 2}
    assert {entry["name"] for entry in info["label_info"]} <= {"Bright", "dark"}


def test_a_finished_prelabel_is_answered_at_once(labelled):
    labelled.until(lambda: labelled.idle(COUNT - 1))
    started = time.perf_counter()
    response = labelled.post_infer("case_4", **SLICER)
    assert response.status_code == 200 and time.perf_counter() - started < 1.0


def test_four_clients_at_once_get_the_answer_of_their_own_request(labelled):
    labelled.until(lambda: labelled.idle(COUNT - 1))
    requests_ = [(name, classes) for name in _others() for classes in ("all", "Bright", "dark")]

    def ask(name: str, classes: str) -> bytes:
        return labelled.post_infer(name, "image", classes=classes, **SLICER).content

    alone = {request: ask(*request) for request in requests_}
    end, wrong, asked = time.monotonic() + SECONDS, [], []

    def person(number: int) -> None:
        turn = number
        while time.monotonic() < end:
            request = requests_[turn % len(requests_)]
            asked.append(request)
            if ask(*request) != alone[request]:
                wrong.append(request)
            turn += 2 * number + 1

    people = [threading.Thread(target=person, args=(number,)) for number in range(4)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    assert wrong == [] and len(set(alone.values())) == len(requests_)
    assert len(asked) > 4 * SECONDS


def test_info_answers_quickly_while_a_study_is_computed(labelled):
    """Departs from the host, whose infer route stops every other request."""
    response = []
    ask = threading.Thread(target=lambda: response.append(labelled.post_infer("case_5", spacing="0.6")))
    ask.start()
    seconds = []
    while ask.is_alive():
        started = time.perf_counter()
        labelled.get("/info/")
        seconds.append(time.perf_counter() - started)
        time.sleep(0.05)
    ask.join()
    assert response[0].status_code == 200, response[0].text
    assert response[0].json()["seconds"] > 1.0, "too quick to show anything"
    assert np.percentile(seconds, 95) < 0.2, f"{len(seconds)} requests: {np.percentile(seconds, 95):.3f} s"


@pytest.mark.parametrize(
    ("image", "params", "status", "said"),
    [
        ("nobody", {}, 404, "no study nobody"),
        ("case_2", {"image": "/etc/hostname"}, 422, "image is refused"),
        ("case_2", {"label_tag": "../x"}, 422, "label_tag is refused"),
        ("case_2", {"label_tag": "banana"}, 422, "original or final"),
        ("case_2", {"save_label": "maybe"}, 422, "true or false"),
        ("case_2", {"banned_references": "nobody"}, 422, "no study of the datastore"),
        ("case_2", {"banned_references": ["../x"]}, 422, "no study of the datastore"),
        ("case_2", {"result_dtype": "../x"}, 422, "one of uint8"),
        ("case_2", {"result_compress": "maybe"}, 422, "one of true"),
        ("case_2", {"session_id": "x"}, 422, "sessions"),
        ("case_2", {"client_id": ["x"]}, 422, "client_id is refused"),
        ("case_2", {"classes": "spleen"}, 422, "one of Bright, dark"),
        ("case_2", {"strategy": "magic"}, 422, "one of auto, one-shot"),
        ("case_2", {"pinned_references": "case_3"}, 422, "no final label"),
        ("case_2", {"result_extension": ".docx"}, 422, ".nii.gz"),
        ("case_1", {}, 422, "only labelled study is this one"),
    ],
)
def test_a_mistake_comes_back_as_a_sentence(labelled, image, params, status, said):
    response = labelled.post_infer(image, **params)
    assert response.status_code == status
    assert said.lower() in response.json()["detail"].lower()


@pytest.mark.parametrize("params", ["[1]", "{", "3"])
def test_params_that_are_no_json_object_are_told_in_a_sentence(labelled, params):
    import requests

    response = requests.post(
        f"{labelled.url}/infer/in_context?image=case_2", files={"params": (None, params)}, timeout=60
    )
    assert response.status_code == 422 and "JSON object" in response.json()["detail"]


def test_a_request_without_an_image_is_told_in_a_sentence(labelled):
    response = labelled.post_infer("")
    assert response.status_code == 422 and "No image" in response.json()["detail"]


def test_an_uploaded_file_is_no_study(labelled, folder):
    import requests

    with open(folder / "case_2.nii.gz", "rb") as file:
        response = requests.post(
            f"{labelled.url}/infer/in_context", files={"file": ("x.nii.gz", file), "params": (None, "{}")}
        )
    assert response.status_code == 422 and "Files are not taken here" in response.json()["detail"]


@pytest.mark.parametrize(
    ("study", "tag", "name", "status", "said"),
    [
        ("nobody", "final", "x.nii.gz", 404, "no study nobody"),
        ("case_1", "final", "x.md", 422, "x.md: unknown kind of file"),
        ("case_1", "final", "x.nii.gz", 422, "x.nii.gz"),
        ("case_1", "../../final", "x.nii.gz", 422, "must be a word"),
    ],
)
def test_a_label_that_cannot_be_read_is_refused_and_the_one_before_stays(
    labelled, folder, study, tag, name, status, said
):
    import requests

    final = folder / "labels/final/case_1.nii.gz"
    before = checksum(final)
    response = requests.put(
        f"{labelled.url}/datastore/label", params={"image": study, "tag": tag},
        files={"label": (name, b"no image")}, data={"params": "{}"}, timeout=60,
    )  # fmt: skip
    assert response.status_code == status and said in response.json()["detail"]
    assert checksum(final) == before and labelled.get("/info/")["unusable_references"] == {}


def test_a_final_label_is_never_overwritten_and_the_viewer_is_told(labelled, folder, tmp_path):
    file = label_file(tmp_path, "case_6", {1: 7, 4: 3})
    info = [{"name": "DARK", "idx": 3}, {"name": "bright", "idx": 7}]
    labelled.client().save_label("case_6", file, params={"label_info": info})
    final = folder / "labels/final/case_6.nii.gz"
    before = checksum(final)
    assert labelled.get("/info/")["labels"] == ["Bright", "dark"]

    response = labelled.post_infer("case_6", save_as="final")

    assert response.status_code == 200 and checksum(final) == before
    assert any("never overwritten" in w for w in response.json()["warnings"])


def test_a_new_reference_refreshes_the_untouched_studies_and_spares_an_edited_original(labelled, folder):
    labelled.until(lambda: labelled.idle(COUNT - 2))
    labelled.until(
        lambda: {"case_1", "case_6"} == set(labelled.post_infer("case_2").json()["references_used"]["dark"])
    )
    edited = folder / "labels/original/case_3.nii.gz"
    nib.save(drawn("case_3", {1: 1}), edited)
    kept = checksum(edited)
    old = checksum(folder / "labels/original/case_4.nii.gz")

    (folder / "labels.json").write_text('{"Bright": 1, "dark": 2}')
    dropped = folder / "labels/final/case_5.nii.gz"
    nib.save(drawn("case_5", {1: 1, 4: 2}), dropped)

    labelled.until(lambda: checksum(folder / "labels/original/case_4.nii.gz") != old)
    labelled.until(lambda: labelled.idle(COUNT - 3))
    assert checksum(edited) == kept
    assert labelled.get("/info/")["labels"] == ["Bright", "dark"]
    used = labelled.post_infer("case_2").json()["references_used"]["dark"]
    assert set(used) == {"case_1", "case_5", "case_6"}


def test_an_unreadable_reference_is_named_and_left_out_and_a_removed_one_forgotten(labelled, folder):
    dropped = folder / "labels/final/case_5.nii.gz"
    dropped.write_bytes(b"no image")
    warnings = labelled.post_infer("case_2").json()["warnings"]
    assert any(w.startswith("case_5 is left out: ") for w in warnings)
    assert "case_5" in labelled.get("/info/")["unusable_references"]

    dropped.unlink()
    labelled.until(lambda: "case_5" not in labelled.get("/info/")["unusable_references"])


def test_the_job_can_be_watched_cancelled_and_resumed(labelled):
    import requests

    assert requests.delete(f"{labelled.url}/prelabels/").json()["state"] == "cancelled"
    labelled.until(lambda: labelled.get("/prelabels/")["state"] == "cancelled")
    requests.post(f"{labelled.url}/prelabels/")
    labelled.until(lambda: labelled.get("/prelabels/")["state"] == "idle")
    told = labelled.get("/prelabels/")
    assert told["done"] == told["total"] > 0


def test_strategies_give_an_unlabelled_study_and_an_unknown_one_a_sentence(labelled):
    import requests

    unlabelled = {"case_2", "case_3", "case_4", "case_5"}
    for strategy in ("next", "random", "first"):
        assert labelled.client().next_sample(strategy, {})["id"] in unlabelled
    response = requests.post(f"{labelled.url}/activelearning/magic", json={})
    assert response.status_code == 422 and "next, random, first" in response.json()["detail"]


def _others() -> list[str]:
    return ["case_2", "case_3", "case_4", "case_5"]
