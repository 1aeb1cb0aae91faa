"""One server for each datastore: a second one is refused, whatever its state folder is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from apps.iris_app.lib.state import State
from apps.iris_app.serving import holder as holders
from apps.iris_app.serving.folder_lock import FolderLock
from apps.iris_app.serving.places import lock_folders, one_address
from apps.iris_app.serving.serving_lock import ServingLock
from iris_core.cli.main import main
from iris_core.errors import InputError

ROOT = Path(__file__).parents[2]
SERVE = (
    "import sys\n"
    "from apps.iris_app.lib.state import State\n"
    "from apps.iris_app.serving.serving_lock import ServingLock\n"
    "lock = ServingLock(sys.argv[1], State(sys.argv[2]))\n"
    "lock.acquire()\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture(autouse=True)
def started(monkeypatch, tmp_path):
    """What would be started: nothing is. The home folder is a temporary one."""
    seen: list = []
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *more: object() if name == "monailabel" else find(name, *more),
    )
    monkeypatch.setattr("os.execve", lambda *words: seen.append(words))
    monkeypatch.setattr("apps.iris_app.cli.serve._refuse_taken_port", lambda host, port: None)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return seen


@contextmanager
def another_server(studies: str, state: Path) -> Iterator[int]:
    """The process number of a server of these studies."""
    command = [sys.executable, "-c", SERVE, studies, str(state)]
    holder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
    finally:
        holder.kill()
        holder.communicate()


@pytest.fixture
def studies(tmp_path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


def test_a_second_server_is_told_which_process_serves_the_studies(started, studies, monkeypatch, capsys):
    """With the same state folder, with another one, and by another name of the folder."""
    link = studies.with_name("link")
    link.symlink_to(studies)
    with another_server(str(studies), studies / ".iris") as process:
        for name, state in ((studies, ""), (studies, "other"), (link, ""), (link, "third")):
            if state:
                monkeypatch.setenv("IRIS_STATE", str(studies.with_name(state)))
            else:
                monkeypatch.delenv("IRIS_STATE", raising=False)
            assert main(["serve", str(name)]) == 2
            assert f"process {process}, since" in capsys.readouterr().err and started == []
    main(["serve", str(studies)])
    assert len(started) == 1


def test_a_first_server_with_a_state_elsewhere_is_noticed_as_well(started, studies, tmp_path, capsys):
    with another_server(str(studies), tmp_path / "elsewhere") as process:
        assert main(["serve", str(studies)]) == 2
        assert f"process {process}, since" in capsys.readouterr().err and started == []


def test_two_servers_of_different_studies_share_no_state(studies, tmp_path):
    other = tmp_path / "others"
    other.mkdir()
    with another_server(str(studies), tmp_path / "state") as process:
        with pytest.raises(InputError, match=f"process {process}"):
            ServingLock(str(other), State(tmp_path / "state")).acquire(patience=0)
        ServingLock(str(other), State(tmp_path / "another")).require_free()


def test_a_folder_that_nothing_can_be_written_to_has_one_server_too(studies, tmp_path):
    (studies / ".iris").write_text("no folder can be made in its place")
    with another_server(str(studies), tmp_path / "one"), pytest.raises(InputError, match="another server"):
        ServingLock(str(studies), State(tmp_path / "two")).acquire(patience=0)
    ServingLock(str(studies), State(tmp_path / "two")).acquire(patience=0)


def test_a_file_system_without_locks_on_folders_has_the_file_in_the_folder(studies, tmp_path, monkeypatch):
    def none(self, timeout):
        raise OSError("no locks on folders")

    monkeypatch.setattr(FolderLock, "acquire", none)
    first = ServingLock(str(studies), State(tmp_path / "one"))
    first.acquire()
    with pytest.raises(InputError, match="in use by another server"):
        ServingLock(str(studies), State(tmp_path / "two")).acquire(patience=0)
    first.release()
    ServingLock(str(studies), State(tmp_path / "two")).require_free()


def test_an_archive_has_one_server_however_its_address_is_written(tmp_path):
    with another_server("http://LOCALHOST:8042/dicom-web/", tmp_path / "one") as process:
        for url in ("http://127.0.0.1:8042/dicom-web", "http://me:secret@localhost:8042/dicom-web/"):
            with pytest.raises(InputError, match=f"process {process}") as refused:
                ServingLock(url, State(tmp_path / "two")).acquire(patience=0)
            assert "secret" not in str(refused.value)
        ServingLock("http://127.0.0.1:8043/dicom-web", State(tmp_path / "two")).require_free()
    assert one_address("https://a.example:443/x/") == one_address("https://A.example/x") != one_address(
        "http://a.example/x"
    )


def test_a_note_of_a_server_that_has_ended_names_nobody_else(studies, tmp_path, monkeypatch):
    """The system's own list decides, where it has the lock."""
    state = State(tmp_path / "state")
    with another_server(str(studies), state.root) as process:
        for folder in lock_folders(str(studies), state):
            (folder / holders.NOTE).write_text('{"pid": 1, "since": "2020"}')
        said = holders.name_holder(str(studies), lock_folders(str(studies), state))
        if holders._locking_process(str(studies)) is None:
            pytest.skip("this system does not list the locks of this file system")
        assert said == f"process {process}"


def test_looking_at_the_locks_does_not_take_them(studies, tmp_path):
    lock = ServingLock(str(studies), State(tmp_path / "state"))
    lock.require_free()
    ServingLock(str(studies), State(tmp_path / "state")).acquire()
