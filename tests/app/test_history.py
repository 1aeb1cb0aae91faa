"""The history of labels: nothing is lost, whatever the clock, the disk or a kill does."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from apps.iris_app.history.history import MOST, History
from apps.iris_app.history.seen import Seen, Sender
from apps.iris_app.history.version import Version
from apps.iris_app.lib.state import State
from apps.iris_app.submissions.place import INSIDE, PART, WHOLE, best_place, lies_on
from iris_core.errors import PassingError
from iris_core.stored.checksum import checksum


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def history(state):
    return History(state)


def label(tmp_path, text: str):
    path = tmp_path / "x.nii.gz"
    path.write_text(text)
    return path


def kept(history, tmp_path, text: str, user: str = "anna", tag: str = "final") -> Version:
    info = {"label_info": [{"name": text, "idx": 1}]}
    version = history.placed(history.keep("case é/1", tag, label(tmp_path, text), user, info))
    history.prune("case é/1", tag)
    return version


def test_a_version_is_kept_with_its_bytes_user_and_names(history, tmp_path):
    version = kept(history, tmp_path, "one")
    assert history.versions("case é/1") == [version] and history.versions("other") == []
    assert history.file(version).read_text() == "one" and version.checksum == checksum(history.file(version))
    assert version.user == "anna" and version.told["label_info"] == [{"name": "one", "idx": 1}]
    assert history.remembered_info("case é/1", "final", label(tmp_path, "one")) == version.info
    assert history.remembered_info("case é/1", "final", label(tmp_path, "two")) == {}


def test_the_twenty_first_version_of_a_user_drops_that_users_oldest_and_nobody_elses(history, tmp_path):
    other = kept(history, tmp_path, "ben's", "ben")
    for number in range(MOST + 5):
        kept(history, tmp_path, f"version {number}")
    versions = history.versions("case é/1")
    mine = [history.file(v).read_text() for v in versions if v.user == "anna"]
    assert mine == [f"version {number}" for number in range(5, MOST + 5)]
    assert other in versions and len({v.number for v in versions}) == len(versions)
    assert kept(history, tmp_path, "x", tag="review").number == versions[-1].number + 1


def test_a_version_that_is_in_use_again_is_not_the_oldest(history, tmp_path):
    first = kept(history, tmp_path, "first")
    for number in range(MOST - 1):
        kept(history, tmp_path, str(number))
    history.placed(first)
    kept(history, tmp_path, "one more")
    texts = [history.file(v).read_text() for v in history.versions("case é/1")]
    assert "first" in texts and "0" not in texts and len(texts) == MOST


def test_the_same_label_of_the_same_user_is_kept_once(history, tmp_path):
    first = kept(history, tmp_path, "one")
    kept(history, tmp_path, "two")
    again = kept(history, tmp_path, "one")
    assert again.number == first.number and again.order > first.order
    assert kept(history, tmp_path, "one", "ben").number == 3 and len(history.versions("case é/1")) == 3


def test_the_same_voxels_with_other_names_are_another_version(history, tmp_path):
    file = label(tmp_path, "one")
    infos = [{"label_info": [{"name": name, "idx": 1}]} for name in ("liver", "spleen")]
    for info in (*infos, infos[0]):
        history.placed(history.keep("case", "final", file, "anna", info))
    versions = history.versions("case")
    assert [v.told["label_info"][0]["name"] for v in versions] == ["liver", "spleen"]
    assert versions[0].order > versions[1].order


def test_keeping_a_label_changes_and_drops_nothing_that_is_kept(history, tmp_path):
    for number in range(MOST):
        kept(history, tmp_path, f"version {number}")
    before = history.versions("case é/1")
    more = {**before[0].info, "params": 1}
    history.keep("case é/1", "final", label(tmp_path, "version 0"), "anna", more)
    assert history.versions("case é/1") == before
    new = history.keep("case é/1", "final", label(tmp_path, "new"), "anna", {})
    assert history.versions("case é/1") == [*before, new]


def test_a_version_that_cannot_be_dropped_stays_and_stops_nothing(history, tmp_path, monkeypatch):
    def denied(version):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(history, "drop", denied)
    for number in range(MOST + 1):
        kept(history, tmp_path, str(number))
    assert len(history.versions("case é/1")) == MOST + 1


def test_people_without_user_names_keep_their_versions_by_their_clients(history, tmp_path):
    anna, bob, nobody = (Sender.of("", client, "1.2.3.4") for client in ("anna", "bob\n", "\ud800 \x00"))
    assert len({anna.user, bob.user, nobody.user}) == 3 and nobody.user == "address 1.2.3.4"
    assert bob.user.isprintable() and anna.user != Sender.of("", "anna", "4.4.4.4").user
    only = kept(history, tmp_path, "anna's", anna.user)
    for number in range(MOST + 1):
        kept(history, tmp_path, f"version {number}", bob.user)
    assert only in history.versions("case é/1") and len(history.versions("case é/1")) == MOST + 1


def test_a_clock_that_jumps_back_changes_no_number_and_no_order(history, tmp_path, monkeypatch):
    times = iter(["2030-01-01T00:00:00+00:00", "1970-01-01T00:00:00+00:00"])
    monkeypatch.setattr("apps.iris_app.history.history.now", lambda: next(times))
    one, two = kept(history, tmp_path, "one"), kept(history, tmp_path, "two")
    assert two.number > one.number and two.order > one.order


def test_a_kill_between_file_and_record_leaves_nothing_that_counts_and_no_number_twice(history, tmp_path):
    one = kept(history, tmp_path, "one")
    folder = history.file(one).parent
    shutil.copy(history.file(one), folder / "000007.nii.gz")
    (folder / "000003.json").write_text('{"number": 3')
    assert history.versions("case é/1") == [one] and kept(history, tmp_path, "two").number == 8


def test_a_disk_that_is_full_keeps_nothing_half(history, tmp_path, monkeypatch):
    one = kept(history, tmp_path, "one")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("apps.iris_app.history.history.shutil.copyfile", full)
        with pytest.raises(PassingError, match="No space"):
            kept(history, tmp_path, "two")
    assert history.versions("case é/1") == [one] and len(list(history.file(one).parent.iterdir())) == 2


def test_a_history_that_cannot_be_listed_is_no_empty_one(state, history, tmp_path, monkeypatch):
    kept(history, tmp_path, "one")

    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(PassingError, match="cannot be used"):
        history.versions("case é/1")


def test_a_history_that_is_no_folder_is_told_before_anything_changes(state, history, tmp_path):
    state.history.write_text("in the way")
    with pytest.raises(PassingError, match="history of labels cannot be used"), history.lock("case"):
        pass


def test_a_thread_may_lock_a_study_again_and_another_has_to_wait(history, monkeypatch):
    monkeypatch.setattr("apps.iris_app.history.history.PATIENCE", 0.05)
    with history.lock("case"), history.lock("case"):
        other = FileLock(history._folder("case") / ".lock", timeout=0)
        assert not other.is_locked
        with pytest.raises(TimeoutError):
            other.acquire()
    with history.lock("case"):
        pass


def test_of_senders_who_may_be_several_people_nothing_is_ever_dropped(history, tmp_path):
    """An address alone, and labels that came without a sender: each version may be somebody's last."""
    slicer, address = Sender.of("", "c1", "1.2.3.4").user, Sender.of("", "", "1.2.3.4").user
    assert not Sender.may_be_several("anna") and not Sender.may_be_several(slicer)
    assert Sender.may_be_several(address) and Sender.may_be_several("")
    for user in (address, ""):
        for number in range(MOST + 3):
            kept(history, tmp_path, f"{user} {number}", user)
    assert len(history.versions("case é/1")) == 2 * (MOST + 3)


def version(number: int, mark: str, tag: str = "final") -> Version:
    return Version(number, "case", tag, "somebody", "", mark, "file", mark, number)


def test_a_sender_has_seen_what_they_got_and_not_what_others_got(state):
    seen = Seen(state)
    word, newer, review = version(1, "word"), version(2, "newer"), version(3, "word", "review")
    versions = [word, newer, review]

    def has(sender: Sender, version: Version) -> bool:
        return seen.has(sender, version, versions)

    anna, ben = Sender.of("anna", "c1", "1.2.3.4"), Sender.of("ben", "c1", "1.2.3.4")
    seen.note(anna, "case", "final", "word", 1)
    assert has(anna, word) and not has(ben, word) and not has(anna, newer) and not has(anna, review)
    nameless, slicer = Sender.of("", "", "1.2.3.4"), Sender.of("", "c2", "1.2.3.4")
    seen.note(nameless, "case", "final", "word", 1)
    assert has(slicer, word) and not has(Sender.of("", "", "4.4.4.4"), word)
    seen.note(slicer, "case", "final", "newer", 2)
    assert not has(nameless, newer) and Seen(state).has(slicer, newer, versions)


def test_who_has_seen_some_voxels_has_not_seen_a_later_version_of_the_same_voxels(state):
    seen, anna, ben = Seen(state), Sender.of("anna", "", ""), Sender.of("ben", "", "")
    first, other, again = version(1, "a"), version(2, "b"), version(3, "a")
    seen.note(anna, "case", "final", "a", 1)
    seen.note(ben, "case", "final", "a")  # before the history had it
    for sender in (anna, ben):
        assert seen.has(sender, first, [first, other, again])
        assert not seen.has(sender, again, [first, other, again])


def test_a_broken_note_of_who_has_seen_what_is_no_fault(state):
    seen, anna, word = Seen(state), Sender.of("anna", "", ""), version(1, "word")
    seen.note(anna, "case", "final", "word")
    (file,) = state.history.glob("*/seen.json")
    for broken in ([1], {"final: user anna": [1]}, {"final: user anna": {"a": 1}}):
        file.write_text(json.dumps(broken))
        assert not seen.has(anna, word, [word])
    file.write_text(json.dumps({"final: user anna": "word"}))  # as the first releases wrote it
    assert seen.has(anna, word, [word])


AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])


def moved(offset, axes=(0, 1, 2), flips=()) -> np.ndarray:
    """AFFINE of a lattice that begins at a voxel of AFFINE's and has its axes in another order."""
    step = np.eye(4)[:, [*axes, 3]]
    for axis in flips:
        step[:, axis] *= -1
    step[:3, 3] = offset
    return AFFINE @ step


@pytest.mark.parametrize(
    ("shape", "affine", "how"),
    [
        ((8, 9, 10), AFFINE, WHOLE),
        ((9, 8, 10), moved((0, 0, 0), axes=(1, 0, 2)), WHOLE),
        ((8, 9, 10), moved((7, 0, 0), flips=(0,)), WHOLE),
        ((3, 4, 5), moved((1, 1, 1)), INSIDE),
        ((8, 9, 5), moved((0, 0, 5)), INSIDE),
        ((8, 9, 5), moved((0, 0, 0)), PART),
        ((8, 9, 10), moved((1, 0, 0)), PART),
        ((8, 9, 10), moved((8, 0, 0)), ""),
        ((8, 9, 10), moved((0.5, 0, 0)), ""),
        ((8, 9, 10), AFFINE * 1.02, ""),
        ((8, 9, 10), np.diag([1.5, 2.0, 3.0, 1.0]), ""),
    ],
)
def test_how_a_lattice_lies_on_another_is_told_from_headers(shape, affine, how):
    assert lies_on(shape, affine, (8, 9, 10), AFFINE) == how
    assert best_place(shape, [np.eye(4), affine], (8, 9, 10), [np.eye(4) * 5, AFFINE]).how == how
