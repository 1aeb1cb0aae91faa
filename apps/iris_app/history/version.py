"""Version: one label of one study as somebody submitted it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone


@dataclass(frozen=True)
class Version:
    """One kept label.

    Attributes:
        number: from 1 on, never given twice within a study.
        study: id of the image.
        tag: under which it was saved, such as "final".
        user: who submitted it; "" where nobody knows.
        time: when it was kept, UTC, ISO 8601.
        checksum: SHA-256 of the kept file.
        file: its name in the study's history folder.
        mark: by which the datastore's own copy is recognised: its checksum, or the UID of a SEG series.
        order: grows with every use, so the smallest is the one that has been out of use for the longest.
        info: what the datastore kept with the label: names, colours, parameters.
    """

    number: int
    study: str
    tag: str
    user: str
    time: str
    checksum: str
    file: str
    mark: str
    order: int
    info: dict = field(default_factory=dict)

    def to_json(self) -> dict:
        """Plain JSON types."""
        return asdict(self)

    def names_like(self, info: dict) -> bool:
        """Whether another label's info lists the same names and colours."""
        return _listed(self.info) == _listed(info)

    @property
    def told(self) -> dict:
        """What a client learns of it."""
        return {
            "version": self.number, "tag": self.tag, "user": self.user, "time": self.time,
            "checksum": self.checksum, "label_info": self.info.get("label_info") or [],
        }  # fmt: skip


def _listed(info: dict) -> str:
    """The label_info as text, for it may have been read from a file or not."""
    return json.dumps(info.get("label_info") or [], sort_keys=True, default=str)


def now() -> str:
    """The time of day, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
