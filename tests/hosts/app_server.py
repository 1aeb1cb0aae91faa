"""A real MONAI Label server with the app, as a person would start it, on a folder of tiny studies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests import tiny

ROOT = Path(__file__).parents[2]
READY = 400.0  # seconds; a busy machine imports slowly
PATIENCE = 240.0  # seconds for what the server has others do; they are processes that import torch first


def require_programs(*programs: str) -> None:
    """Skips where the system lacks a program that pip cannot bring."""
    for program in programs:
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"{program} is not installed (apt install orthanc orthanc-dicomweb chromium)")


def write_studies(folder: Path, count: int) -> list[str]:
    """Writes case_1 .. case_n with two boxes each; gives their ids."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, _ = tiny.study(number, shift=number % 3)
        nib.save(nib.Nifti1Image(image.array, image.affine), folder / f"case_{number + 1}.nii.gz")
    return [f"case_{number + 1}" for number in range(count)]


def drawn(study: str, values: dict[int, int]) -> nib.Nifti1Image:
    """The exact label of a study with other values: old -> new, where 1 is bright and 4 is dark."""
    number = int(study.removeprefix("case_")) - 1
    _, label = tiny.study(number, shift=number % 3)
    array = np.zeros_like(label.array)
    for old, new in values.items():
        array[label.array == old] = new
    return nib.Nifti1Image(array, label.affine)


def label_file(folder: Path, study: str, values: dict[int, int]) -> str:
    """The same as a file below `folder`."""
    path = folder / f"{study}-drawn.nii.gz"
    nib.save(drawn(study, values), path)
    return str(path)


class AppServer:
    """A server process.

    Args:
        studies: folder or DICOMweb URL.
        serve: words after `iris serve STUDIES`.
        scratch: where its log and the client's files go.
        plain: start `monailabel start_server` on the app folder instead.
        token: ask for this token; `url` then begins with it, as in Slicer.
        env: further variables of the environment.
    """

    def __init__(
        self,
        studies: Path | str,
        scratch: Path,
        *serve: str,
        plain: bool = False,
        token: str = "",
        **env: str,
    ):
        self.scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self._is_tls = "--certificate" in serve
        self.address = f"{'https' if self._is_tls else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self.address}/t/{token}" if token else self.address
        env |= {"IRIS_TOKEN": token} if token else {}
        if plain:
            command = [sys.executable, "-m", "monailabel.main", "start_server", "--studies", str(studies)]
            command += ["--app", str(self._copied_app()), "--host", "127.0.0.1", *serve]
        else:
            command = [sys.executable, "-m", "iris_core.cli", "serve", str(studies), *serve]
        self.log = scratch / "server.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=env.pop("CWD", ROOT), env=os.environ | env, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def client(self):
        """The host's own client, with a folder of its own for results."""
        from monailabel.client import MONAILabelClient

        return MONAILabelClient(self.url, tmpdir=tempfile.mkdtemp(dir=self.scratch))

    def get(self, path: str, timeout: float = 60.0):
        """JSON of a GET."""
        import requests

        return requests.get(self.url + path, timeout=timeout).json()

    def post_infer(self, image: str, output: str = "json", /, **params):
        """The raw response of an infer request."""
        import requests

        return requests.post(
            f"{self.url}/infer/in_context", params={"image": image, "output": output},
            files={"params": (None, json.dumps(params))}, timeout=300,
        )  # fmt: skip

    def until(self, true, seconds: float = PATIENCE):
        """Waits until a function gives something true, and gives it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = true()
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s; log:\n{self.log.read_text()[-3000:]}")

    def originals(self) -> dict[str, dict]:
        """Study -> what the datastore says of its original label."""
        objects = self.get("/datastore/?output=all")["objects"]
        return {name: o["labels"]["original"] for name, o in objects.items() if "original" in o["labels"]}

    def idle(self, studies: int) -> bool:
        """Whether so many unlabelled studies are pre-labelled and nothing is left to do."""
        told = self.get("/info/")["prelabels"]
        return told["state"] == "idle" and told["done"] == told["total"] == studies

    def kill(self) -> None:
        """As kill -9, of the server alone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ends the server and whatever it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _wait(self) -> None:
        import requests

        end = time.monotonic() + READY
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if requests.get(self.url + "/info/", timeout=5, verify=not self._is_tls).status_code == 200:
                    return
            except (requests.ConnectionError, requests.Timeout):  # not there yet, or busy with its start
                time.sleep(0.2)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")

    def _copied_app(self) -> Path:
        """The app folder elsewhere: the host writes into it."""
        app = self.scratch / "app"
        app.mkdir(exist_ok=True)
        (app / "main.py").write_bytes((ROOT / "apps/iris_app/main.py").read_bytes())
        return app


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
