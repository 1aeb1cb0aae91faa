"""What people submit to a real server: refused in a sentence or kept for good, whatever they send."""

from __future__ import annotations

import gzip
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests

from iris_core.stored.checksum import checksum
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_label, write_label
from tests.hosts import attacks
from tests.hosts.app_server import AppServer, drawn, label_file, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

NAMES = [{"name": "Bright", "idx": 1}, {"name": "dark", "idx": 2}]
ODD = "case é, (1) [x]"


class Desk:
    """A server and its folder, with the requests of people who label."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        self.server = AppServer(folder, scratch)
        self.url = self.server.url

    def put(self, study: str, file: Path, who: str = "", status: int = 200, **query) -> dict:
        params = {"label_info": NAMES} | ({"client_id": who} if who else {})
        headers = {"If-Match": query.pop("if_match")} if "if_match" in query else {}
        with open(file, "rb") as label:
            response = requests.put(
                f"{self.url}/datastore/label", params={"image": study, **query}, headers=headers,
                files={"label": (file.name, label)}, data={"params": json.dumps(params)}, timeout=120,
            )  # fmt: skip
        assert response.status_code == status, response.text
        assert str(self.folder) not in response.text and str(self.scratch) not in response.text
        return response.json()

    def history(self, study: str) -> list[dict]:
        response = requests.get(f"{self.url}/history/{requests.utils.quote(study)}", timeout=60)
        assert response.status_code == 200, response.text
        return response.json()["versions"]

    def restore(self, study: str, version: int, status: int = 200) -> dict:
        url = f"{self.url}/history/{requests.utils.quote(study)}"
        response = requests.post(url, params={"version": version}, timeout=60)
        assert response.status_code == status, response.text
        return response.json()

    def label(self, name: str, array: np.ndarray, affine: np.ndarray) -> Path:
        path = self.scratch / name
        nib.save(nib.Nifti1Image(array, affine), path)
        return path

    def given(self, study: str, tag: str = "final"):
        return requests.get(f"{self.url}/datastore/label", params={"label": study, "tag": tag}, timeout=60)

    def delete(self, path: str, **query) -> requests.Response:
        return requests.delete(f"{self.url}/datastore/{path}", params=query, timeout=60)

    def final(self, study: str) -> Path | None:
        return next((self.folder / "labels" / "final").glob(f"{study}.*"), None)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    write_studies(folder, 6)
    shutil.copy(folder / "case_1.nii.gz", folder / f"{ODD}.nii.gz")
    two_forms = nib.load(folder / "case_6.nii.gz")
    moved = two_forms.affine.copy()
    moved[:3, 3] += 25.0
    two_forms.set_sform(two_forms.affine, 1)
    two_forms.set_qform(moved, 1)
    nib.save(two_forms, folder / "moved.nii.gz")
    (folder / "moved.nii.gz").rename(folder / "case_6.nii.gz")
    desk = Desk(folder, tmp_path_factory.mktemp("desk"))
    yield desk
    desk.server.stop()


@pytest.fixture(scope="module")
def exact(desk):
    """The label of case_1 in values 1 and 2, and its affine."""
    label = drawn("case_1", {1: 1, 4: 2})
    return np.asarray(label.dataobj).astype(np.uint8), label.affine


def turned(affine: np.ndarray) -> np.ndarray:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    return turn @ affine


def test_a_label_of_another_place_kind_or_size_is_refused_and_nothing_changes(desk, exact):
    array, affine = exact
    desk.put("case_1", desk.label("good.nii.gz", array, affine))
    before, kept = checksum(desk.final("case_1")), desk.history("case_1")
    half, mirrored, shift = affine.copy(), affine.copy(), affine.copy()
    half[0, 3] += 0.5 * np.linalg.norm(affine[:3, 0])
    mirrored[0] *= -1
    shift[:3, 3] += affine[:3, 0]
    rgb = np.zeros(array.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    noise = np.random.default_rng(0).integers(0, 2000, array.shape).astype(np.int16)
    wrong = {
        "half.nii.gz": (array, half, "grid"), "mirrored.nii.gz": (array, mirrored, "grid"),
        "turned.nii.gz": (array, turned(affine), "grid"), "shift.nii.gz": (array, shift, "grid"),
        "shorter.nii.gz": (array[:-1], affine, "grid"), "flat.nii.gz": (array[..., 0], affine, "3D"),
        "four.nii.gz": (np.stack([array] * 3, -1), affine, "3D"), "rgb.nii.gz": (rgb, affine, "numbers"),
        "odds.nii.gz": ((array * 0.4).astype(np.float32), affine, "label map"),
        "image.nii.gz": (noise, affine, "image"), "below.nii.gz": (-array.astype(np.int8), affine, "range"),
        "empty.nii.gz": (array * 0, affine, "nothing is drawn"),
    }  # fmt: skip
    for name, (values, place, said) in wrong.items():
        detail = desk.put("case_1", desk.label(name, values, place), status=422)["detail"]
        assert said in detail and "not saved" in detail, detail
    assert checksum(desk.final("case_1")) == before and desk.history("case_1") == kept


def test_a_good_label_with_names_that_cannot_be_meant_is_refused(desk, exact):
    array, affine = exact
    file = desk.label("named.nii.gz", array, affine)
    infos = (
        "x", {"name": "x", "idx": 1}, [1], [{"name": "x"}], [{"idx": 1}], [{"name": "x", "idx": -1}],
        [{"name": "x", "idx": 1.5}], [{"name": "x", "idx": "\u00b2"}], [{"name": "a\nb", "idx": 1}],
        [{"name": "x" * 300, "idx": 1}], [{"name": "x", "idx": 1, "color": "red"}],
        [{"name": ["x"], "idx": 1}],
        [{"name": "x", "idx": 10**12}], [{"name": "x", "idx": True}], [{"name": "x", "idx": 1}] * 2000,
    )  # fmt: skip
    before = desk.history("case_1")
    for params in (*({"label_info": info} for info in infos), *attacks.NAMES):
        with open(file, "rb") as label:
            answer = requests.put(
                f"{desk.url}/datastore/label?image=case_1", files={"label": (file.name, label)},
                data={"params": json.dumps(params)}, timeout=120,
            )  # fmt: skip
        assert answer.status_code == 422, (params, answer.text)
    assert desk.history("case_1") == before


def header_of(shape, affine) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.uint8)
    header.set_sform(affine, 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + b"\0" * 4


def test_bombs_and_headers_that_point_elsewhere_are_refused_at_once(desk, exact):
    array, affine = exact
    fields = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {' '.join(map(str, array.shape))}\nspace directions: (-2,0,0) (0,-2,0) (0,0,2)\n"
        "space origin: (0,0,0)\n"
    )
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\n"
    zeros = b"\0" * (64 << 20)
    files = {
        "long.nii.gz": gzip.compress(header_of(array.shape, affine) + zeros, 1),
        "huge.nii.gz": gzip.compress(header_of((30000, 30000, 30000), affine) + b"\0" * 9, 1),
        "short.nii.gz": gzip.compress(header_of(array.shape, affine) + b"\1" * 9, 1),
        "bomb.nrrd": fields.encode() + b"encoding: gzip\n\n" + gzip.compress(zeros, 1),
        "away.nrrd": fields.encode() + b"encoding: raw\ndata file: /etc/passwd\n\n",
        "Away.nrrd": fields.encode() + b"encoding: raw\nDATAFILE: /etc/passwd\n\n",
        "list.nrrd": fields.encode() + b"encoding: raw\ndata file: LIST\n/etc/passwd\n\n",
        "text.nrrd": fields.encode() + b"encoding: ascii\n\n1 1 1",
        "twice.nrrd": fields.encode() + b"sizes: 4 4 4\nencoding: raw\n\n",
        "away.mha": (meta + "ElementDataFile = /etc/passwd\n").encode(),
        "away.mhd": (meta + "ElementDataFile = /etc/passwd\n").encode(),
        "pair.nii.gz": gzip.compress(header_of(array.shape, affine).replace(b"n+1", b"ni1"), 1),
        "label.exe": b"MZ",
        "cut.nii.gz": gzip.compress(header_of(array.shape, affine) + b"\1" * array.size)[:-9],
    }  # fmt: skip
    for name, content in files.items():
        path = desk.scratch / name
        path.write_bytes(content)
        detail = desk.put("case_2", path, status=422)["detail"]
        assert "root:" not in detail and "not saved" in detail
    assert desk.final("case_2") is None and desk.history("case_2") == []


def test_a_crop_on_the_images_lattice_is_laid_into_its_grid(desk, exact):
    array, affine = exact
    first = np.array([1, 2, 1])
    drawn_in = np.zeros_like(array)
    drawn_in[4:9, 5:9, 3:8] = 1
    part = drawn_in[1:-1, 2:-1, 1:-2]
    place = affine.copy()
    place[:3, 3] = (affine @ [*first, 1])[:3]
    segments = desk.scratch / "crop.seg.nrrd"
    write_label(LabelVolume(part, place, {1: "Bright"}, {1: (10, 200, 10)}), segments)
    nrrd = desk.scratch / "crop.nrrd"
    write_label(LabelVolume(part, place), nrrd)
    for file in (desk.label("crop.nii.gz", part, place), nrrd, segments):
        desk.put("case_3", file)
        saved = read_label(desk.final("case_3"))
        assert saved.shape == array.shape and np.array_equal(saved.array > 0, drawn_in > 0)
    assert saved.names[1] == "Bright"
    assert len(list((desk.folder / "labels/final").glob("case_3.*"))) == 1


def test_a_label_on_either_form_of_the_image_is_accepted(desk):
    label = drawn("case_6", {1: 1, 4: 2})
    array = np.asarray(label.dataobj).astype(np.uint8)
    moved = label.affine.copy()
    moved[:3, 3] += 25.0
    for place in (label.affine, moved):
        desk.put("case_6", desk.label("form.nii.gz", array, place))
    moved[:3, 3] += 25.0
    desk.put("case_6", desk.label("form.nii.gz", array, moved), status=422)


def test_a_study_without_the_structures_may_be_empty_when_that_is_said(desk, exact):
    array, affine = exact
    file = desk.label("none.nii.gz", array * 0, affine)
    desk.put("case_5", file, status=422)
    desk.put("case_5", file, allow_empty="true")
    desk.server.until(lambda: "case_5" not in desk.server.get("/info/")["unusable_references"])
    assert not read_label(desk.final("case_5")).values


def test_who_replaces_an_unseen_version_is_warned_and_everything_can_be_restored(desk, exact):
    array, affine = exact
    files = []
    for number in range(3):
        other = array.copy()
        other[0, 0, number] = 1
        files.append(desk.label(f"v{number}.nii.gz", other, affine))
    words = [checksum(file) for file in files]
    assert desk.put("case_4", files[0], "anna")["warnings"] == []
    (warning,) = desk.put("case_4", files[1], "ben")["warnings"]
    assert "not seen" in warning and "POST /history/case_4?version=1" in warning
    assert desk.put("case_4", files[2], "ben")["warnings"] == []
    assert desk.put("case_4", files[0], "anna")["warnings"] != []
    assert desk.put("case_4", files[1], "carl", seen=words[0])["warnings"] == []
    refused = desk.put("case_4", files[2], "anna", status=412, if_match=f'"{words[0]}"')
    assert "nothing is saved" in refused["detail"] and checksum(desk.final("case_4")) == words[1]
    desk.put("case_4", files[2], "anna", if_match=f'"{words[1]}"')

    kept = [(words[0], "anna"), (words[1], "ben"), (words[2], "ben"), (words[1], "carl"), (words[2], "anna")]
    versions = desk.history("case_4")
    assert [(version["checksum"], version["user"].split()[-1]) for version in versions] == kept
    current = [version["version"] for version in versions if version["current"]]
    assert current == [5]
    desk.restore("case_4", 1)
    assert checksum(desk.final("case_4")) == words[0]
    desk.restore("case_4", 9, status=404)
    assert len(desk.history("case_4")) == 5


def test_a_deleted_label_is_kept_its_image_stays_and_one_request_brings_it_back(desk, exact):
    array, affine = exact
    word = checksum(file := desk.label("kept.nii.gz", array, affine))
    desk.put("case_2", file)
    for path, query in (("label", {"tag": "final"}), ("", {"type": "label_tag"})):
        response = desk.delete(path, id="case_2", **query)
        assert response.status_code == 200, response.text
        assert desk.final("case_2") is None and (desk.folder / "case_2.nii.gz").is_file()
        (version,) = desk.history("case_2")
        assert version["checksum"] == word and not version["current"]
        desk.restore("case_2", version["version"])
        assert checksum(desk.final("case_2")) == word
    for query in ({"id": "case_2"}, {"id": "case_2", "type": "image"}, {"id": "case_2", "type": ""}):
        assert desk.delete("", **query).status_code in (405, 422)
    assert (desk.folder / "case_2.nii.gz").is_file() and desk.final("case_2")


def test_a_history_of_an_odd_id_is_found_and_of_no_other_path(desk, exact):
    array, affine = exact
    desk.put(ODD, desk.label("odd.nii.gz", array, affine))
    (version,) = desk.history(ODD)
    assert desk.restore(ODD, version["version"])["image"] == ODD
    for path in ("nobody", "..%2f..", "a%2fb", "%00", "a\\b", "x" * 300):
        response = requests.get(f"{desk.url}/history/{path}", timeout=60)
        assert response.status_code in (404, 422), (path, response.text)


def test_of_many_submitted_at_once_the_last_counts_and_all_are_kept(desk, exact):
    array, affine = exact
    files = []
    for number in range(8):
        other = array.copy()
        other[0, number, 0] = 1
        files.append(desk.label(f"many{number}.nii.gz", other, affine))
    known = {version["checksum"] for version in desk.history("case_1")}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: desk.put("case_1", pair[1], f"user{pair[0]}"), enumerate(files)))
    versions = desk.history("case_1")
    assert {v["checksum"] for v in versions} == known | {checksum(file) for file in files}
    (current,) = [v for v in versions if v["current"]]
    assert checksum(desk.final("case_1")) == current["checksum"]
    assert len({v["version"] for v in versions}) == len(versions)


def test_names_come_back_with_a_label_that_is_moved_out_and_back(desk, exact):
    array, affine = exact
    desk.put("case_2", desk.label("named.nii.gz", array, affine))
    final, aside = desk.final("case_2"), desk.scratch / "aside.nii.gz"
    shutil.move(final, aside)
    objects = "/datastore/?output=all"
    desk.server.until(lambda: "final" not in desk.server.get(objects)["objects"]["case_2"]["labels"])
    shutil.copy(aside, final)
    labels = desk.server.until(
        lambda: desk.server.get(objects)["objects"]["case_2"]["labels"].get("final")
    )
    assert {entry["name"] for entry in labels["info"]["label_info"]} == {"Bright", "dark"}
    shutil.copy(label_file(desk.scratch, "case_5", {1: 1, 4: 2}), final.with_name("case_5.nii.gz"))
    desk.server.until(lambda: desk.server.get("/info/")["prelabels"])
    assert not any(name.startswith("label_") for name in desk.server.get("/info/")["labels"])


def test_a_label_is_given_as_it_was_saved_with_its_checksum(desk):
    response, final = desk.given("case_2"), desk.final("case_2")
    assert response.status_code == 200 and response.content == final.read_bytes()
    assert response.headers["ETag"].strip('"') == checksum(final)
    assert desk.given("case_2", "none").status_code == 404
