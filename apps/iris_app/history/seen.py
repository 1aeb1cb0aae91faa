"""Seen: which version of a label each sender has had in front of them.

Slicer and OHIF send no ETag. So the server notes what it has given to whom: a label that was downloaded, and
one that the sender submitted. A version is known by its number, for another person's version may hold the
very same voxels. What is noted is a help for warnings and may be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.iris_app.history.version import Version
from apps.iris_app.lib.state import State, file_word, read_json, write_json
from iris_core.errors import IrisError

log = logging.getLogger(__name__)

MOST = 200  # senders that are remembered for one study
ADDRESS, CLIENT = "address ", ", client "  # of a user without a name


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

    @staticmethod
    def may_be_several(user: str) -> bool:
        """Whether several people may stand behind what is kept as a version's user."""
        return not user or (user.startswith(ADDRESS) and CLIENT not in user)

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
        place, own = f"{ADDRESS}{address}", f"client {client}"
        if client:
            return cls(f"{place}{CLIENT}{client}", own, (own, place))
        return cls(place, place, (place,))


class Seen:
    """What senders have seen.

    Args:
        state: where it is kept.
    """

    def __init__(self, state: State) -> None:
        self._root = state.history

    def note(self, sender: Sender, study: str, tag: str, mark: str, version: int | None = None) -> None:
        """Notes what a sender has in front of them.

        Args:
            sender: who was given the label, or submitted it.
            study: id of the image.
            tag: of the label.
            mark: of the label.
            version: its number; None for a label that is in no history yet.
        """
        kept = self._kept(study)
        name = f"{tag}: {sender.key}"
        kept.pop(name, None)
        kept[name] = [mark, version]
        try:
            write_json(dict(list(kept.items())[-MOST:]), self._file(study))
        except IrisError as error:
            log.warning("who has seen the label of %s is not noted: %s", study, error)

    def has(self, sender: Sender, version: Version, versions: Sequence[Version]) -> bool:
        """Whether a version is what a sender has had in front of them last.

        Args:
            sender: who asks.
            version: of a label.
            versions: all of its study. A label that was seen before the history had it is the first one of
                its mark there.
        """
        kept = self._kept(version.study)
        for key in sender.keys:
            noted = kept.get(f"{version.tag}: {key}")
            mark, number = noted if isinstance(noted, list) and len(noted) == 2 else (noted, None)
            if number is None:
                alike = [v.number for v in versions if v.tag == version.tag and mark in (v.mark, v.checksum)]
                number = min(alike, default=None)
            if number == version.number:
                return True
        return False

    def _kept(self, study: str) -> dict[str, object]:
        kept = read_json(self._file(study), {})
        return kept if isinstance(kept, dict) else {}

    def _file(self, study: str) -> Path:
        return self._root / file_word(study) / "seen.json"
