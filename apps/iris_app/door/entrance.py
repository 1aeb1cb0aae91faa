"""The whole door, from the street inwards: answers, hosts, origins, login, gate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starlette.types import ASGIApp

from apps.iris_app.door.answers import Answers
from apps.iris_app.door.gate import Gate
from apps.iris_app.door.hosts import Hosts
from apps.iris_app.door.origins import Origins
from apps.iris_app.door.secrets_in_logs import hide_in_logs
from apps.iris_app.door.server_paths import ServerPaths
from apps.iris_app.door.settings import DoorSettings
from apps.iris_app.door.users.login import Login


def behind_door(app: ASGIApp, settings: DoorSettings, folders: Iterable[str | Path]) -> ASGIApp:
    """An application that can be reached only as the settings allow.

    Args:
        app: what is to be protected.
        settings: names, origins and tokens.
        folders: of studies, state and the like, whose paths no answer shows.
    """
    hide_in_logs(settings.tokens)
    inner = Login(Gate(app), settings.tokens)
    return Answers(Hosts(Origins(inner, settings.origins), settings.hosts), ServerPaths(folders))
