"""Fields of a request's body that name something: the same rules hold for them as in an address."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from apps.iris_app.door.ids import id_fault, tag_fault

IDS, TAGS = ("image", "label", "id", "study"), ("tag", "label_tag")
CLIENT = "client_id"
LONGEST_CLIENT = 200  # characters


def name_fault(data: Mapping[str, object]) -> str | None:
    """Why a body cannot be used, or None; what is missing, null or empty names nothing.

    Args:
        data: the body's JSON object, or the options in a form.
    """
    for name in (*IDS, *TAGS, CLIENT):
        value = data.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            return f"{name} is refused: it must be a text"
        fault = client_fault(value) if name == CLIENT else (id_fault if name in IDS else tag_fault)(value)
        if fault:
            return f"{name} is refused: {fault}"
    return None


def client_fault(text: str) -> str | None:
    """Why a text cannot be the name that a client gives itself, or None."""
    if len(text) > LONGEST_CLIENT:
        return f"it has at most {LONGEST_CLIENT} characters"
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        return "it holds control characters"
    return None
