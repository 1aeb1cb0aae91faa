"""Names of label values: from a labels file, or from the dataset.json beside a label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from iris_core.errors import InputError

IGNORED = "ignore"  # what nnU-Net calls voxels that are neither a class nor background
FORMS = '{"liver": 1}, {"1": "liver"} or a dataset.json with "labels"'


def is_ignored(name: str) -> bool:
    """Whether a value of this name is to be ignored."""
    return name.strip().lower() == IGNORED


def read_label_names(path: str | Path, *, ignored: bool = False) -> dict[int, str]:
    """Reads a labels file: JSON in one of the forms {"liver": 1}, {"1": "liver"}, or nnU-Net's dataset.json.

    Args:
        path: the file.
        ignored: whether the value to ignore, which is no class, is among the names.

    Returns:
        value -> name, without the background, ascending by value.

    Raises:
        InputError: the file is missing, is not JSON, or is in no known form.
    """
    return parse_label_names(read_json(Path(path)), where=path, ignored=ignored)


def parse_label_names(data: object, *, where: str | Path, ignored: bool = False) -> dict[int, str]:
    """As `read_label_names`, of the data of a JSON file; errors name `where`."""
    if isinstance(data, dict) and isinstance(data.get("labels"), dict):
        data = data["labels"]
    if not isinstance(data, dict) or not data:
        raise InputError("no label names", where=where, expected=FORMS, found=type(data).__name__)
    names: dict[int, str] = {}
    for key, entry in data.items():
        name, value = _name_and_value(str(key), entry, where)
        if value == 0:
            continue
        if value in names or name in names.values():
            twice = f"{name} = {value}"
            raise InputError(
                "a label name or value stands twice", where=where, expected="one name a value", found=twice
            )
        names[value] = name
    classes = {value: name for value, name in names.items() if not is_ignored(name)}
    if not classes:
        raise InputError("only the background is named", where=where, expected=FORMS)
    return dict(sorted((names if ignored else classes).items()))


def dataset_label_names(label: str | Path) -> dict[int, str] | None:
    """Value -> name for a label file in an nnU-Net raw dataset, the value to ignore among them.

    They stand in the dataset.json beside labelsTr or labelsTs; None for a label that lies elsewhere.
    """
    description = _description_of(label)
    return read_label_names(description, ignored=True) if description else None


def is_placeholder(name: str, value: int) -> bool:
    """Whether a name just repeats its value, as programs write it where nobody gave a name."""
    return name.strip() in (str(value), f"label_{value}")


def dataset_ignored(label: str | Path) -> int | None:
    """The value to ignore in a label file of an nnU-Net raw dataset; None where none is named.

    The classes of that dataset.json need not be readable, so that --labels can name them.
    """
    description = _description_of(label)
    try:
        labels = read_json(description)["labels"] if description else {}
        values = [value for name, value in labels.items() if is_ignored(name)]
    except (InputError, KeyError, TypeError, AttributeError):
        return None
    return next((value for value in values if isinstance(value, int)), None)


def _description_of(label: str | Path) -> Path | None:
    folder = Path(label).absolute().parent
    description = folder.parent / "dataset.json"
    return description if folder.name.startswith("labels") and description.is_file() else None


def read_json(path: Path) -> Any:
    """Reads a JSON file; whatever fails is an InputError that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError("no such file", where=path, remedy="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read as text", where=path, found=error) from None
    except json.JSONDecodeError as error:
        raise InputError("is not valid JSON", where=path, found=error) from None


def _name_and_value(key: str, entry: object, where: str | Path) -> tuple[str, int]:
    if isinstance(entry, list):
        raise InputError(
            "a class made of several values is not read",
            where=where,
            expected="one value a class",
            found=f"{key}: {entry}",
            remedy="give each class one value: in the file, or with --labels where a command takes it",
        )
    name, value = "", -1
    if isinstance(entry, int) and not isinstance(entry, bool):
        name, value = key.strip(), entry
    elif isinstance(entry, str) and key.lstrip("-").isdigit():
        name, value = entry.strip(), int(key)
    if value < 0 or not name:
        raise InputError(
            "a label entry is not understood",
            where=where,
            expected=f"a name and a value of 0 or more, as in {FORMS}",
            found=f"{key}: {entry}",
        )
    return name, value
