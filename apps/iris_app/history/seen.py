"""Seen: which version of a label each sender has had in front of them.

Slicer and OHIF send no ETag. So the server notes what it has given to whom: a label that was downloaded, and
one that the sender submitted. What is noted is a help for warnings and may be lost.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from apps.iris_app.lib.state import State, file_word, read_json, write_json
from iris_core.errors import IrisError

log = logging.getLogger(__name__)

MOST = 200  # senders that are remembered for one study


@dataclass(frozen=True)
class Sender:
    """Who sends a request.

    Attributes:
        user: the name that is kept with what they submit; without one the address and the client's id.
        key: by which what they are given is noted.
        keys: all by which what they were given may have been noted.
    """

    user: str
    key: str
    keys: tuple[str, ...]

    @classmethod
    def of(cls, user: str, client: str, address: str) -> Sender:
        """The sender of a request.

        Args:
            user: the name that belongs to the token; "" where the server has no users.
            client: the client's id, as Slicer sends it; "" where there is none.
            address: of the machine that asks.
        """
        if user:
            return cls(user, f"user {user}", (f"user {user}",))
        client = "".join(letter for letter in client if letter.isprintable()).strip()
        place, own = f"address {address}", f"client {client}"
        if client:
            return cls(f"{place}, {own}", own, (own, place))
        return cls(place, place, (place,))


class Seen:
    """What senders have seen.

    Args:
        state: where it is kept.
    """

    def __init__(self, state: State) -> None:
        self._root = state.history

    def note(self, sender: Sender, study: str, tag: str, mark: str) -> None:
        """Notes that a sender has the label of this mark in front of them."""
        kept = self._kept(study)
        name = f"{tag}: {sender.key}"
        kept.pop(name, None)
        kept[name] = mark
        try:
            write_json(dict(list(kept.items())[-MOST:]), self._file(study))
        except IrisError as error:
            log.warning("who has seen the label of %s is not noted: %s", study, error)

    def has(self, sender: Sender, study: str, tag: str, mark: str) -> bool:
        """Whether the label of this mark is what a sender has had in front of them last."""
        kept = self._kept(study)
        return any(kept.get(f"{tag}: {key}") == mark for key in sender.keys)

    def _kept(self, study: str) -> dict[str, str]:
        kept = read_json(self._file(study), {})
        return kept if isinstance(kept, dict) else {}

    def _file(self, study: str) -> Path:
        return self._root / file_word(study) / "seen.json"
