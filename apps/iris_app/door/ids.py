"""What may stand in an id of a study and in a tag of a label: both become names of files."""

from __future__ import annotations

import re
import unicodedata

from iris_core.volume_io.suffix import READABLE

LONGEST_ID = 200  # characters; with a suffix it is still a file name everywhere
LONGEST_NAME = 255  # bytes of a file name
TAG = re.compile(r"[A-Za-z0-9_](?:\.?[A-Za-z0-9_-]){0,63}")
UPLOAD = re.compile(r"[^\W_](?:[\w -]|\.(?!\.))*(?<![ .])")  # letters and digits of any script
SEPARATORS = {"/", "\\"}


def id_fault(text: str) -> str | None:
    """Why a text cannot be the id of a study, or None."""
    if len(text) > LONGEST_ID:
        return f"an id has at most {LONGEST_ID} characters, this one has {len(text)}"
    if SEPARATORS & {*text} or ".." in text or text == ".":
        return "an id holds no /, no \\ and no .."
    if any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") for c in text):
        return "an id holds no control or invisible characters"
    if len(text.encode()) > LONGEST_NAME:
        return f"an id has at most {LONGEST_NAME} bytes"
    return None


def upload_fault(text: str) -> str | None:
    """Why a text cannot be the id of a study that is still to be stored, or None."""
    fault = id_fault(text)
    if fault is None and not UPLOAD.fullmatch(text):
        fault = "a new id holds letters, digits, spaces, `.`, `_`, `-`; it begins with a letter or digit"
    if fault is None and any(suffix in text.lower() for suffix in READABLE):
        fault = "a new id holds no suffix of an image file"
    if fault is None and unicodedata.normalize("NFC", text) != text:
        fault = "a new id is written in composed characters (Unicode NFC)"
    return fault


def tag_fault(text: str) -> str | None:
    """Why a text cannot be the tag of a label, or None."""
    if TAG.fullmatch(text):
        return None
    return "a tag must be a word such as final: at most 64 letters, digits, `_`, `-` and single `.`"
