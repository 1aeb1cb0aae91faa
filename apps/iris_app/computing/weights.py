"""What a weights file states of itself, read from its header alone: the server loads no network."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from apps.iris_app.lib.state import stamp
from iris_core.checkpoint import shipped_weights
from iris_core.errors import CheckpointError, InputError
from iris_core.inference.settings import settings_of
from iris_core.stored.tensor_file import read_header


def weights_fingerprint(checkpoint: Path | None) -> str:
    """The fingerprint that a weights file states.

    Raises:
        InputError: there is no such file.
        CheckpointError: it states none.
    """
    path = checkpoint or shipped_weights()
    if not path.is_file():
        raise InputError("The weights are missing", where=path, remedy="start the server with other weights")
    return _stated(path, stamp(path))[0]


def weights_method(checkpoint: Path | None) -> str:
    """A word for the weights of a file and the settings that queries are segmented with.

    Raises:
        InputError: there is no such file.
        CheckpointError: it states no fingerprint.
    """
    fingerprint = weights_fingerprint(checkpoint)
    path = checkpoint or shipped_weights()
    return settings_of(json.loads(_stated(path, stamp(path))[1])).method(fingerprint)


@lru_cache(maxsize=4)
def _stated(path: Path, _when: str) -> tuple[str, str]:
    header = read_header(path, CheckpointError, "weights")
    if not {"fingerprint", "meta"} <= header.keys():
        raise CheckpointError("The weights cannot be read", where=path, found="no fingerprint in its header")
    return header["fingerprint"], header["meta"]
