"""The places that belong to a datastore alone, whatever state folder a server uses for it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from apps.iris_app.lib.state import State, usual_root

PORTS = {"http": 80, "https": 443}


def own_place(studies: str) -> Path:
    """The folder in which every server of these studies looks for a lock.

    Args:
        studies: a folder, or the URL of an archive; an archive's place is this user's on this machine.
    """
    return usual_root(one_address(studies) if is_archive(studies) else studies)


def is_archive(studies: str) -> bool:
    """Whether the studies are named by a URL."""
    return studies.startswith(("http://", "https://"))


def one_address(url: str) -> str:
    """The one way in which we write the URL of an archive: no login, no usual port, this machine by name."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    host = "localhost" if host == "::1" or host.startswith("127.") else host
    port = f":{parts.port}" if parts.port and parts.port != PORTS[parts.scheme] else ""
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def lock_folders(studies: str, state: State) -> list[Path]:
    """The folders that hold a file of the lock: the state's, and the one that belongs to the studies."""
    own = own_place(studies)
    return [state.root] if own.resolve() == state.root.resolve() else [state.root, own]
