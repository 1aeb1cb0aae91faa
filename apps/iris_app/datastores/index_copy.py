"""The host rewrites datastore_v2.json in place and will not start with half of one; this repairs it."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from apps.iris_app.lib.state import State

log = logging.getLogger(__name__)

NAME = "datastore_v2.json"


def datastore_folder(studies: str, environment: Mapping[str, str]) -> Path:
    """Where the host keeps the index of a studies folder, or of a DICOMweb URL."""
    if not studies.startswith(("http://", "https://")):
        return Path(studies)
    root = environment.get("MONAI_LABEL_DICOMWEB_CACHE_PATH") or Path.home() / ".cache/monailabel/dicom"
    return Path(root) / hashlib.md5(studies.rstrip("/").encode()).hexdigest()


def repair_datastore(studies: Path, state: State) -> None:
    """Puts the last whole copy in place of a broken index; without a copy the host lists the folder anew."""
    index, copy = studies / NAME, state.root / NAME
    if not index.is_file() or _whole(index):
        return
    broken = index.with_name(f"{NAME}.broken")
    index.replace(broken)
    if copy.is_file() and _whole(copy):
        shutil.copy(copy, index)
        log.warning("%s was cut short; the copy of before is used", index)
    else:
        log.warning("%s was cut short; kept as %s, labels are listed anew", index, broken.name)


def keep_copy(studies: Path, state: State) -> None:
    """Keeps a copy of a whole index that differs from the last copy."""
    index, copy = studies / NAME, state.root / NAME
    if not index.is_file():
        return
    text = index.read_bytes()  # once: the host may rewrite it at any moment
    if not _is_index(text):
        return
    if not copy.is_file() or copy.read_bytes() != text:
        part = copy.with_name(f".{NAME}.part")
        part.write_bytes(text)
        part.replace(copy)


def _whole(path: Path) -> bool:
    try:
        return _is_index(path.read_bytes())
    except OSError:
        return False


def _is_index(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
