"""A request of HTTP sent byte by byte, so that no library tidies up what an attacker would send."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What goes over the wire.

    Attributes:
        method: any word.
        target: path and query, as they are.
        headers: name and value; `Host` is added where it is missing.
        body: bytes; their length is added.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.target[:120]} {dict(self.headers)} {self.body[:60]!r}"


@dataclass(frozen=True)
class Reply:
    """Status, head and body of an answer; status 0 where the server has closed the connection at once."""

    status: int
    head: str
    body: bytes


def send(port: int, request: Request, timeout: float = 30.0) -> Reply:
    """Sends a request to a server on this machine and reads its answer to the end."""
    headers = list(request.headers)
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", f"127.0.0.1:{port}"))
    headers += [("Connection", "close"), ("Content-Length", str(len(request.body)))]
    head = f"{request.method} {request.target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers)
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        try:
            connection.sendall(head.encode("latin-1", "replace") + b"\r\n" + request.body)
            while part := connection.recv(1 << 16):
                answer += part
        except ConnectionError:  # refused before the body was read
            pass
    top, _, body = answer.partition(b"\r\n\r\n")
    words = top.split(None, 2)
    return Reply(int(words[1]) if len(words) > 1 else 0, top.decode("latin-1"), body)


def form(**parts: str | tuple[str, bytes]) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Headers and body of a form; a part is a text, or a file's name and content."""
    limit, body = "limit-of-the-parts", b""
    for name, part in parts.items():
        file = f'; filename="{part[0]}"' if isinstance(part, tuple) else ""
        content = part[1] if isinstance(part, tuple) else part.encode("utf-8", "surrogatepass")
        body += f'--{limit}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    body += f"--{limit}--\r\n".encode()
    return (("Content-Type", f"multipart/form-data; boundary={limit}"),), body
