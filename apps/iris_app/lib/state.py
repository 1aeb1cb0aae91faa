"""State: the folder in which the app keeps what it knows; every file is written whole or not at all.

The server writes the catalogue and the class numbers; the pre-label job writes its progress; whoever computes
writes embeddings and results, which are named after what they were computed from.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from iris_core.volume_io import atomic_path

LEFTOVER = 3600.0  # seconds after which nobody writes to a hidden file any more
FOLDER = ".iris"  # inside a studies folder


class State:
    """The places of one datastore's state.

    Args:
        root: made where it is missing.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.catalogue = self.root / "catalogue.json"
        self.originals = self.root / "originals.json"
        self.progress = self.root / "prelabels.json"
        self.rested = self.root / "prelabels.rested"
        self.cancelled = self.root / "prelabels.cancelled"
        self.retry = self.root / "prelabels.retry"
        self.attempts = self.root / "attempts.json"
        self.wanted = self.root / "wanted.json"
        self.job_lock = self.root / "job.lock"
        self.interactive_lock = self.root / "interactive.lock"
        self.embeddings = self.root / "embeddings"
        self.results = self.root / "results"
        self.history = self.root / "history"

    @classmethod
    def of_datastore(cls, studies: str) -> State:
        """The state of a studies folder or of a DICOMweb URL; $IRIS_STATE names another place."""
        given = os.environ.get("IRIS_STATE")
        return cls(given or usual_root(studies))

    def sweep(self) -> None:
        """Removes half-written files that killed processes have left behind."""
        for folder in (self.embeddings, self.results):
            for path in folder.rglob(".*"):
                if path.is_file() and time.time() - path.stat().st_mtime > LEFTOVER:
                    path.unlink(missing_ok=True)


def usual_root(studies: str) -> Path:
    """Where the state of a studies folder or of a DICOMweb URL lies unless $IRIS_STATE says otherwise.

    It is a folder among the studies, or one of this user's where nothing can be written there.
    """
    folder = Path(studies)
    remote = studies.startswith(("http://", "https://"))
    written = next((place for place in (folder / FOLDER, folder) if place.is_dir()), None)
    if remote or (written is not None and not os.access(written, os.W_OK)):
        name = studies.rstrip("/") if remote else str(folder.resolve())
        return Path.home() / ".cache" / "iris" / digest(name)
    return folder / FOLDER


def digest(*parts: object) -> str:
    """16 hexadecimal digits of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def stamp(path: Path) -> str:
    """A word that changes whenever the file does: its size and its time of change; "" where it is gone."""
    try:
        facts = path.stat()
    except OSError:
        return ""
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def file_word(study: str) -> str:
    """A study's id as a word that every file system takes, different for different ids."""
    return f"{quote(study, safe='')[:80]}-{digest(study)[:8]}"


def read_json(path: Path, default: Any) -> Any:
    """The content of a JSON file, or `default` where there is none or none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def write_json(data: object, path: Path) -> None:
    """Writes JSON, whole or not at all."""
    with atomic_path(path) as hidden:
        hidden.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
