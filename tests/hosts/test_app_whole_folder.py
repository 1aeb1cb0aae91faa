"""Our folder datastore on a disk that fills up, and submissions cut short: the old label stays whole."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from apps.iris_app.history.history import MOST, History
from apps.iris_app.history.seen import Sender
from apps.iris_app.lib.state import State
from iris_core.errors import PassingError
from iris_core.stored.checksum import checksum

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

GRID = (24, 24, 24)
ANNA, BEN = Sender.of("anna", "", ""), Sender.of("ben", "", "")


class Ward:
    """A folder with one study, and the people's submissions to it.

    Args:
        root: the folder.
        scratch: where the files lie that they submit.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        from apps.iris_app.datastores.whole_folder import WholeFolder
        from apps.iris_app.submissions.submissions import Submissions

        self.root, self.scratch, self.state = root, scratch, State(root / ".iris")
        image = np.arange(np.prod(GRID), dtype=np.float32).reshape(GRID)
        nib.save(nib.Nifti1Image(image, np.eye(4)), root / "case_1.nii.gz")
        self.store = WholeFolder(
            str(root), auto_reload=False, remembered_info=History(self.state).remembered_info
        )
        self.submissions = Submissions(self.state, self.store, lambda study: False)
        self.final = root / "labels/final/case_1.nii.gz"

    def file(self, seed: int, shape=GRID) -> Path:
        array = np.random.default_rng(seed).integers(0, 2, shape).astype(np.uint8)
        nib.save(nib.Nifti1Image(array, np.eye(4)), self.scratch / f"{seed}.nii.gz")
        return self.scratch / f"{seed}.nii.gz"

    def submit(self, seed: int, sender: Sender = ANNA, **more):
        info = {"label_info": [{"name": "liver", "idx": 1}], "iris": {"checksum": "forged"}}
        return self.submissions.submit("case_1", "final", self.file(seed), info, sender, **more)

    def hidden(self) -> list[Path]:
        return [p for p in self.root.rglob(".*") if p.is_file() and p.name not in (".lock",)]


@pytest.fixture
def ward(tmp_path):
    (tmp_path / "studies").mkdir()
    return Ward(tmp_path / "studies", tmp_path)


def test_a_submitted_label_is_the_file_with_its_names_and_author(ward):
    receipt = ward.submit(1)
    assert receipt.warnings == () and checksum(ward.final) == receipt.version.checksum
    info = json.loads((ward.root / "datastore_v2.json").read_text())["objects"]["case_1"]["labels"]["final"]
    assert info["info"]["submitted"]["user"] == "anna" and "iris" not in info["info"]
    (warning,) = ward.submit(2, BEN).warnings
    assert "anna" in warning and ward.submit(3, BEN).warnings == ()
    assert [v.user for v in ward.submissions.history.versions("case_1")] == ["anna", "ben", "ben"]


@pytest.mark.parametrize("fails", ["copyfile", "fsync", "replace"])
def test_a_disk_that_fills_up_while_a_label_is_written_leaves_the_old_one_and_no_version(
    ward, monkeypatch, fails
):
    from apps.iris_app.datastores import whole_folder

    ward.submit(1)
    before, index = checksum(ward.final), (ward.root / "datastore_v2.json").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    module = whole_folder.shutil if fails == "copyfile" else whole_folder.os
    original = getattr(module, fails)

    def sometimes(*args):
        target = str(args[-1])
        return full() if fails == "fsync" or "labels" in target else original(*args)

    with monkeypatch.context() as patched:
        patched.setattr(module, fails, sometimes)
        with pytest.raises(PassingError, match="No space"):
            ward.submit(2, BEN)
    assert checksum(ward.final) == before and (ward.root / "datastore_v2.json").read_bytes() == index
    assert len(ward.submissions.history.versions("case_1")) == 1 and not ward.hidden()
    ward.submit(2, BEN)
    assert checksum(ward.final) == checksum(ward.file(2))


def test_a_label_that_cannot_be_placed_costs_no_older_version_and_no_name(ward, monkeypatch):
    for seed in range(MOST):
        ward.submit(seed)
    before = ward.submissions.history.versions("case_1")
    tries = (ward.file(MOST), "liver"), (ward.file(MOST - 1), "spleen"), (ward.file(0), "liver")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("apps.iris_app.datastores.whole_folder._copied_beside", full)
        for file, name in tries:
            info = {"label_info": [{"name": name, "idx": 1}], "params": "new"}
            with pytest.raises(OSError, match="No space"):
                ward.submissions.submit("case_1", "final", file, info, ANNA)
    after = ward.submissions.history.versions("case_1")
    assert [(v.number, v.info) for v in after] == [(v.number, v.info) for v in before]


def test_the_same_voxels_with_other_names_are_kept_beside_the_first_and_restored_with_theirs(ward):
    def names() -> list[str]:
        info = ward.store.get_label_info("case_1", "final")
        return [entry["name"] for entry in info["label_info"]]

    first = ward.submit(1).version.number
    info = {"label_info": [{"name": "spleen", "idx": 1}]}
    other = ward.submissions.submit("case_1", "final", ward.file(1), info, ANNA).version.number
    assert other != first and names() == ["spleen"]
    for number, name in ((first, "liver"), (other, "spleen")):
        ward.submissions.restore("case_1", number, ward.root / "case_1.nii.gz", ANNA)
        assert names() == [name] and ward.submissions.keep_current("case_1", "final").number == number
    assert len(ward.submissions.history.versions("case_1")) == 2


def test_a_version_of_somebody_else_with_the_same_voxels_has_not_been_seen(ward):
    """Anna's A, Ben's B, Ben's A: what Anna replaces then is Ben's."""
    ward.submit(1)
    assert ward.submit(2, BEN).warnings and not ward.submit(1, BEN).warnings
    (warning,) = ward.submit(3).warnings
    assert "version 3 of ben" in warning
    assert not ward.submit(1).warnings and not ward.submit(3).warnings and not ward.submit(1).warnings
    (warning,) = ward.submit(2, BEN).warnings  # Anna's A again, which Ben saw before he had his own
    assert "version 1 of anna" in warning


def test_who_took_a_label_that_was_dropped_in_has_seen_it_and_not_the_same_one_of_another(ward):
    ward.final.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ward.file(1), ward.final)
    for sender in (ANNA, BEN):
        ward.submissions.given("case_1", "final", ward.submissions.current("case_1", "final"), sender)
    assert not ward.submit(2, BEN).warnings and not ward.submit(1, BEN).warnings
    (warning,) = ward.submit(3).warnings
    assert "version 3 of ben" in warning


def test_an_index_that_cannot_be_written_loses_no_label_and_is_written_later(ward, monkeypatch):
    from apps.iris_app.datastores import whole_folder

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(whole_folder, "_write_whole", full)
        ward.submit(1)
    assert ward.store.index_lags and ward.store.get_label_info("case_1", "final")["label_info"]
    ward.store.write_index()
    assert not ward.store.index_lags
    index = json.loads((ward.root / "datastore_v2.json").read_text())
    assert "final" in index["objects"]["case_1"]["labels"]


def test_a_server_that_is_killed_before_the_label_is_placed_has_the_old_label_and_the_new_version(
    ward, monkeypatch
):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    ward.submit(1)
    before = checksum(ward.final)
    with monkeypatch.context() as patched:
        patched.setattr(ward.store, "save_label", killed)
        patched.setattr(ward.submissions.history, "drop", lambda version: None)  # nobody is left to do it
        with pytest.raises(Killed):
            ward.submit(2, BEN)
    again = Ward(ward.root, ward.scratch)
    assert checksum(again.final) == before
    assert [v.user for v in again.submissions.history.versions("case_1")] == ["anna", "ben"]
    assert again.submit(3, ANNA).warnings == ()


def test_a_label_in_another_format_takes_the_place_of_the_old_file(ward):
    from iris_core.volume.volume import LabelVolume
    from iris_core.volume_io import write_label

    ward.submit(1)
    segments = ward.scratch / "x.seg.nrrd"
    write_label(LabelVolume(np.ones(GRID, np.uint8), np.eye(4), {1: "liver"}), segments)
    ward.submissions.submit("case_1", "final", segments, {}, ANNA)
    assert [path.name for path in ward.final.parent.iterdir()] == ["case_1.seg.nrrd"]
    assert ward.store.current_label("case_1", "final").mark == checksum(segments)
    ward.store.refresh()
    assert ward.store.get_label_uri("case_1", "final").endswith("case_1.seg.nrrd")
    assert len(ward.submissions.history.versions("case_1")) == 2
    assert ward.submissions.delete("case_1", "final") and not list(ward.final.parent.iterdir())
    receipt = ward.submissions.restore("case_1", 1, ward.root / "case_1.nii.gz", BEN)
    assert receipt.version.user == "anna" and ward.final.is_file()


def test_a_label_that_was_dropped_in_is_kept_before_it_is_replaced_or_its_image_removed(ward):
    ward.final.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ward.file(5), ward.final)
    (warning,) = ward.submit(1).warnings
    assert "somebody unknown" in warning
    assert checksum(ward.file(5)) in {v.checksum for v in ward.submissions.history.versions("case_1")}
    ward.final.unlink()
    shutil.copy(ward.file(6), ward.final)
    ward.store.refresh()
    ward.store.remove_image("case_1")
    assert not ward.final.exists() and not (ward.root / "case_1.nii.gz").exists()
    assert checksum(ward.file(6)) in {v.checksum for v in ward.submissions.history.versions("case_1")}


def test_names_come_back_after_the_index_is_lost(ward):
    ward.submit(1)
    (ward.root / "datastore_v2.json").unlink()
    again = Ward(ward.root, ward.scratch)
    assert again.store.get_label_info("case_1", "final")["label_info"] == [{"name": "liver", "idx": 1}]


def test_a_version_that_fits_the_image_no_more_is_not_restored(ward):
    ward.submit(1)
    image = np.random.default_rng(0).random((9, 9, 9)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.eye(4)), ward.root / "case_1.nii.gz")
    before = checksum(ward.final)
    with pytest.raises(Exception, match=r"grid|larger"):
        ward.submissions.restore("case_1", 1, ward.root / "case_1.nii.gz", BEN)
    assert checksum(ward.final) == before


def test_a_real_full_disk_keeps_the_old_label_and_takes_the_new_one_when_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        ward = Ward(disk, tmp_path)
        ward.submit(1)
        before = checksum(ward.final)
        ballast = disk / "ballast"
        with pytest.raises(OSError), open(ballast, "wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        with pytest.raises(PassingError, match="No space"):
            ward.submit(2, BEN)
        assert checksum(ward.final) == before
        ballast.unlink()
        ward.submit(2, BEN)
        assert checksum(ward.final) == checksum(ward.file(2))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
