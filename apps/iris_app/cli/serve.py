"""`iris serve`: the MONAI Label server with this app, its environment set right."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apps.iris_app.cli.announcement import announce, keep_made_token
from apps.iris_app.cli.archive_check import require_archive
from apps.iris_app.cli.connections import allow_connections
from apps.iris_app.cli.door_options import add_door_arguments, door_settings
from iris_core.errors import InputError

if TYPE_CHECKING:
    from apps.iris_app.lib.state import State

DEMO, DEMO_DICOM = Path("iris-serve-demo"), Path("iris-serve-demo-dicom")
ARCHIVE_PORT = 42  # above the server's own: 8042 beside 8000, as Orthanc has it
MAIN = "from apps.iris_app.lib.app import IrisApp\n\n__all__ = ['IrisApp']\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("studies", nargs="?", help="a folder of images, or the URL of a DICOMweb archive")
    parser.add_argument("--demo", action="store_true", help=f"make sample studies (default: {DEMO})")
    parser.add_argument(
        "--demo-dicom",
        action="store_true",
        help=f"sample CT and MR series in an Orthanc of its own, for OHIF (default: {DEMO_DICOM})",
    )
    parser.add_argument("--host", default="127.0.0.1", help="to listen at (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="(default: 8000)")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="other weights than the shipped ones")
    parser.add_argument(
        "--no-originals", action="store_true", help="do not save pre-labels as original labels"
    )
    add_door_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Starts the server; unless an archive has to be watched beside it, this process becomes it.

    Raises:
        InputError: MONAI Label is missing, the port is taken, there are no studies, they are being served
            already, or others could come in unasked.
    """
    if importlib.util.find_spec("monailabel") is None:
        raise InputError(
            "MONAI Label is not installed", remedy="pip install 'iris-incontext[app]' (Python 3.10 to 3.12)"
        )
    arguments.door = door_settings(arguments)
    _refuse_taken_port(arguments.host, arguments.port)
    if arguments.demo_dicom:
        return _serve_demo_archive(arguments)
    command, environment = _prepared(arguments, _studies(arguments))
    allow_connections()
    os.execve(command[0], command, environment)


def _prepared(arguments: argparse.Namespace, studies: str) -> tuple[list[str], dict[str, str]]:
    """The host's command line and environment, with everything in place that it needs."""
    from apps.iris_app.computing.weights import weights_fingerprint
    from apps.iris_app.datastores.index_copy import datastore_folder, repair_datastore
    from apps.iris_app.datastores.read_only_folder import home_of_labels
    from apps.iris_app.lib.state import State
    from apps.iris_app.serving.serving_lock import ServingLock

    weights_fingerprint(arguments.checkpoint)
    if _is_url(studies):
        require_archive(studies)
    state = State.of_datastore(studies)
    ServingLock(studies, state).require_free()
    environment = _environment() | arguments.door.to_environment()
    folder = datastore_folder(studies, environment)
    labels = folder if _is_url(studies) else home_of_labels(folder, state)
    repair_datastore(labels, state)
    command = _command(arguments, studies, _app_folder(state))
    token_file = keep_made_token(arguments, state)
    if not arguments.quiet:
        announce(arguments, studies, token_file, None if labels == folder else labels)
    return command, environment


def _serve_demo_archive(arguments: argparse.Namespace) -> int:
    """Runs the server with an archive of its own, which ends with it."""
    if arguments.studies and _is_url(arguments.studies):
        raise InputError("--demo-dicom makes an archive of its own", found=arguments.studies)
    from apps.iris_app.cli.archive import Archive
    from apps.iris_app.cli.demo_archive import fill_archive

    folder = Path(arguments.studies or DEMO_DICOM).resolve()
    _refuse_taken_port("127.0.0.1", arguments.port + ARCHIVE_PORT)  # it may be somebody's own archive
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that both are ended below
    archive = Archive(folder / "orthanc", arguments.port + ARCHIVE_PORT)
    try:
        fill_archive(archive)
        os.environ["IRIS_STATE"] = str(folder / "state")
        os.environ["MONAI_LABEL_DICOMWEB_CACHE_PATH"] = str(folder / "cache")
        command, environment = _prepared(arguments, archive.dicomweb)
        allow_connections()
        return subprocess.call(command, env=environment)
    finally:
        archive.stop()


def _studies(arguments: argparse.Namespace) -> str:
    if arguments.studies and _is_url(arguments.studies):
        if arguments.demo:
            raise InputError("--demo makes a folder of studies", found=arguments.studies)
        return arguments.studies
    if arguments.demo:
        from apps.iris_app.cli.demo_studies import make_demo_studies

        folder = Path(arguments.studies or DEMO)
        make_demo_studies(folder)
        return str(folder.resolve())
    if not arguments.studies:
        raise InputError("no studies given", expected="a folder, a DICOMweb URL, or --demo")
    folder = Path(arguments.studies)
    if not folder.is_dir():
        raise InputError("no such folder", where=folder, remedy="name a folder of images, or use --demo")
    return str(folder.resolve())


def _environment() -> dict[str, str]:
    """What the host must find in its environment before it is imported; a user's own settings stay."""
    wanted = {
        "MONAI_LABEL_DICOMWEB_CACHE_EXPIRY": "2",  # seconds; else a new label is seen after two hours
        "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": json.dumps({"Modality": "CT\\MR"}),  # else CT alone
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "MONAI_LABEL_TRACKING_ENABLED": "false",
    }
    here = str(Path(sys.executable).parent)  # of itkimage2segimage, which the host would download
    path = os.pathsep.join([here, os.environ.get("PATH", "")])
    inherited = {name: value for name, value in os.environ.items() if name != "IRIS_TOKEN"}
    return wanted | inherited | {"PATH": path}


def _command(arguments: argparse.Namespace, studies: str, app: Path) -> list[str]:
    command = [sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--app", str(app), "--studies", studies]
    command += ["--host", arguments.host, "--port", str(arguments.port)]
    command += ["--uvicorn_app", "apps.iris_app.front:app"]
    if arguments.certificate:
        command += ["--ssl_certfile", str(arguments.certificate), "--ssl_keyfile", str(arguments.key)]
    if arguments.checkpoint:
        command += ["--conf", "checkpoint", str(arguments.checkpoint.resolve())]
    if arguments.no_originals:
        command += ["--conf", "originals", "false"]
    return command + ([] if arguments.verbose else ["--verbose", "WARNING", "--log_level", "warning"])


def _app_folder(state: State) -> Path:
    """An app folder that can be written to, since the host puts logs into it."""
    folder = state.root / "app"
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text(MAIN, encoding="utf-8")
    return folder


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                "cannot listen there", where=f"{host}:{port}", found=error.strerror,
                remedy="choose another --port",
            ) from error  # fmt: skip


def _is_url(studies: str) -> bool:
    return studies.startswith(("http://", "https://"))
