"""Studies in a folder that cannot be written to: labels and the host's index lie in the state folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from apps.iris_app.datastores.index_copy import NAME
from apps.iris_app.lib.state import State

LABELS = "labels"


def is_read_only(studies: Path) -> bool:
    """Whether this process can write nothing into a folder."""
    return not os.access(studies, os.W_OK)


def home_of_labels(studies: Path, state: State) -> Path:
    """The folder in which labels and index lie: the studies' own wherever that can be written to.

    Else it is one of the state. When it is made, it gets the labels that lie beside the studies.

    Raises:
        OSError: they cannot be copied.
    """
    if not is_read_only(studies):
        return studies
    home = state.root / "datastore"
    if not home.is_dir():
        part = home.with_name(f".{home.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        if (studies / LABELS).is_dir():
            shutil.copytree(studies / LABELS, part / LABELS, copy_function=shutil.copyfile)
        if (studies / NAME).is_file():
            shutil.copyfile(studies / NAME, part / NAME)
        part.rename(home)
    return home
