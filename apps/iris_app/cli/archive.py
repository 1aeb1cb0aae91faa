"""A DICOM archive for trying things out: Orthanc from the distribution, in its own folder."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from iris_core.errors import InputError

PLUGIN = "libOrthancDicomWeb.so"
PLACES = (
    Path("/usr/share/orthanc/plugins"),
    Path("/usr/lib/orthanc"),
    Path("/usr/local/share/orthanc/plugins"),
)
READY = 30.0  # seconds


class Archive:
    """A running Orthanc.

    Args:
        folder: where it keeps everything; made where it is missing.
        port: of its HTTP server, on this machine alone; its DICOM port stays shut.

    Raises:
        InputError: Orthanc or its DICOMweb plugin is not installed, or does not start.
    """

    def __init__(self, folder: Path, port: int) -> None:
        program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
        plugin = next((p / PLUGIN for p in PLACES if (p / PLUGIN).exists()), None)
        if program is None or plugin is None:
            raise InputError(
                "Orthanc with its DICOMweb plugin is not installed",
                remedy="on Debian and Ubuntu: apt install orthanc orthanc-dicomweb",
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        self._name = f"Iris {secrets.token_hex(8)}"  # by which it is told from another one at that port
        settings = {
            "Name": self._name, "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
            "Plugins": [str(plugin)], "HttpPort": port, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "DicomServerEnabled": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True},
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings, indent=1))
        self._log = folder / "orthanc.log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    @property
    def dicomweb(self) -> str:
        """The URL that a DICOMweb client needs."""
        return f"{self.url}/dicom-web"

    def get(self, path: str) -> Any:
        """JSON of Orthanc's own interface."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return json.load(response)

    def add(self, file: bytes) -> dict:
        """Stores one DICOM file."""
        request = urllib.request.Request(f"{self.url}/instances", data=file, method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + READY
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.get("/system").get("Name") == self._name:
                    return
            except (OSError, ValueError, AttributeError):  # nobody there yet, or somebody else
                pass
            time.sleep(0.1)
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        raise InputError("Orthanc does not start", where=self._log, found=" ".join(last))
