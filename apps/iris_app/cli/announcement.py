"""What `iris serve` prints when it starts: the addresses for the viewers, and where a token lies."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apps.iris_app.cli.door_options import AUTO, is_wildcard

if TYPE_CHECKING:  # its imports take a second, which `iris serve --help` does not have
    from apps.iris_app.lib.state import State

TOKEN_FILE = "token"  # in the state folder


def keep_made_token(arguments: argparse.Namespace, state: State) -> Path | None:
    """Writes a token that was made here to a file that this user alone can read; None where none was made."""
    path = state.root / TOKEN_FILE
    path.unlink(missing_ok=True)
    if AUTO not in (arguments.token, os.environ.get("IRIS_TOKEN") if arguments.token is None else None):
        return None
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_made_token(arguments) + "\n")
    return path


def announce(
    arguments: argparse.Namespace, studies: str, token_file: Path | None, labels: Path | None = None
) -> None:
    """Prints the addresses. A made token is printed to a terminal alone, so that no log holds it.

    Args:
        arguments: of the command line.
        studies: folder or URL.
        token_file: where a token that was made here lies.
        labels: where labels go that cannot lie beside the studies.
    """
    url = address(arguments)
    lines = [f"iris serve: {studies}"]
    lines += [f"  Labels: in {labels}, for the folder of the studies is read-only"] if labels else []
    slicer, ohif = url, f"{url}/ohif/"
    if arguments.door.tokens:
        shown = _made_token(arguments) if token_file and sys.stderr.isatty() else "TOKEN"
        slicer, ohif = f"{url}/t/{shown}", f"{url}/ohif/?token={shown}"
        lines += [f"  Token:  in {token_file}, which you alone can read"] if token_file else []
    lines += [f"  Slicer: module MONAI Label, server {slicer}"]
    if studies.startswith(("http://", "https://")):
        lines += [f"  OHIF:   {ohif} (in its settings, the server is {url}/)"]
    lines += ["  ready in about ten seconds; Ctrl+C ends it. --verbose shows the log"]
    print("\n".join(lines), file=sys.stderr, flush=True)


def address(arguments: argparse.Namespace) -> str:
    """The URL of the server, as a browser needs it."""
    scheme = "https" if arguments.certificate else "http"
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    if is_wildcard(arguments.host):
        host = arguments.allow_host[0] if arguments.allow_host else "ADDRESS-OF-THIS-MACHINE"
    return f"{scheme}://{host}:{arguments.port}"


def _made_token(arguments: argparse.Namespace) -> str:
    return next(token for token, name in arguments.door.tokens.items() if not name)
