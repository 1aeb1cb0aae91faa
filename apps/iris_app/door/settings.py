"""What `iris serve` tells the door of the serving process: the names it answers to, and who may come in."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field

VARIABLE = "IRIS_DOOR"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class DoorSettings:
    """Settings of the door.

    Attributes:
        hosts: names and addresses of the server besides this machine's own; IPv6 in brackets.
        origins: other origins (scheme://host[:port]) whose pages may use the server.
        tokens: token -> name of its user, "" for a token without a name; empty where no login is asked for.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def to_environment(self) -> dict[str, str]:
        """The environment variable that carries the settings into the serving process."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> DoorSettings:
        """Takes the settings out of the environment, so that no child process inherits the tokens."""
        given = json.loads(environment.pop(VARIABLE, "{}"))
        return cls(
            hosts=tuple(given.get("hosts", ())),
            origins=tuple(given.get("origins", ())),
            tokens=dict(given.get("tokens", {})),
        )
