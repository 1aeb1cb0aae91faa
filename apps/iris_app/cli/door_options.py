"""The options of `iris serve` that decide who may come in."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import secrets
import socket
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

from apps.iris_app.cli.users_file import read_users
from apps.iris_app.door.settings import DoorSettings
from apps.iris_app.door.users.tokens import require_token
from iris_core.errors import InputError

HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9_-]*)(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*))*")
AUTO = "auto"
PORTS = {"http": 80, "https": 443}


def add_door_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    door = parser.add_argument_group("who may come in")
    door.add_argument(
        "--token", metavar="TOKEN|auto",
        help="ask for a token; auto makes one (default: $IRIS_TOKEN; none where nobody else can connect)",
    )  # fmt: skip
    door.add_argument("--users", type=Path, metavar="FILE", help="a token for each user: lines `name: token`")
    door.add_argument(
        "--insecure", action="store_true", help="serve others without a token or a password of any kind"
    )
    door.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="another name or address that the server is reached by, as behind a proxy; can be repeated",
    )  # fmt: skip
    door.add_argument(
        "--allow-origin", action="append", default=[], metavar="URL",
        help="scheme://host[:port] whose pages may use the server; can be repeated",
    )  # fmt: skip
    door.add_argument("--certificate", type=Path, metavar="FILE", help="TLS certificate (PEM); needs --key")
    door.add_argument("--key", type=Path, metavar="FILE", help="private key of the certificate (PEM)")


def door_settings(arguments: argparse.Namespace) -> DoorSettings:
    """What the options ask of the door; a token `auto` is made here.

    Raises:
        InputError: an option cannot be used, or others could connect without a token.
    """
    tokens = read_users(arguments.users) if arguments.users else {}
    given = arguments.token if arguments.token is not None else os.environ.get("IRIS_TOKEN")
    if given is not None:
        token = secrets.token_urlsafe(32) if given == AUTO else given
        require_token(token, "--token" if arguments.token is not None else "IRIS_TOKEN")
        if token in tokens:
            raise InputError("this token is in the file of users too", where="--token")
        tokens[token] = ""
    open_to_others = not _is_loopback(arguments.host)
    if open_to_others and not tokens and not arguments.insecure:
        raise InputError(
            "others could connect, and nobody would be asked for a token", where=f"--host {arguments.host}",
            remedy="add --token auto or --users FILE; --insecure serves them without",
        )  # fmt: skip
    _require_certificate(arguments.certificate, arguments.key)
    if open_to_others and tokens and not arguments.certificate:
        print(
            "iris serve: tokens and images travel unencrypted; use --certificate and --key, or a TLS proxy",
            file=sys.stderr,
        )
    hosts = [_host(name) for name in arguments.allow_host]
    if not is_wildcard(arguments.host):
        hosts.append(_host(arguments.host))
    return DoorSettings(tuple(hosts), tuple(map(_origin, arguments.allow_origin)), tokens)


def _require_certificate(certificate: Path | None, key: Path | None) -> None:
    """Refuses a certificate that the server could not use.

    Raises:
        InputError: one of both is missing, or they do not belong together.
    """
    if (certificate is None) != (key is None):
        raise InputError("--certificate and --key need each other")
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise InputError("no such file", where=path)
    if certificate is None or key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InputError(
            "this certificate cannot be used with this key", where=certificate,
            expected="PEM files that belong together, the key without a password",
            found=getattr(error, "reason", None),
        ) from error  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InputError("no such address on this machine", where=f"--host {host}") from error
    return all(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_loopback for entry in found)


def is_wildcard(host: str) -> bool:
    """Whether an address means every address of this machine."""
    found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return any(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_unspecified for entry in found)


def _host(name: str) -> str:
    try:
        address = ipaddress.ip_address(name.strip("[]"))
        return f"[{address}]" if address.version == 6 else str(address)
    except ValueError:
        pass
    if not HOST.fullmatch(name):
        raise InputError(
            "is no name of a server", where=f"--allow-host {name}",
            expected="a name or an address, without a port",
        )  # fmt: skip
    return name.lower()


def _origin(text: str) -> str:
    try:
        url = urlsplit(text.rstrip("/"))
        right = url.scheme in PORTS and url.hostname and not (url.path or url.query or url.fragment)
        right = right and not {"@", "*"} & {*url.netloc} and (url.port is None or url.port > 0)
    except ValueError:
        right = False
    if not right:
        raise InputError(
            "is no origin", where=f"--allow-origin {text}", expected="such as https://viewer.example:3000"
        )
    host = f"[{url.hostname}]" if ":" in str(url.hostname) else url.hostname
    shown = url.port and url.port != PORTS[url.scheme]  # as browsers write it
    return f"{url.scheme}://{host}" + (f":{url.port}" if shown else "")
