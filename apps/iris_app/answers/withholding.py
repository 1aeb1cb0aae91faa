"""Withholding: classes that nobody should take for a segmentation are left out of what people get.

The result itself is kept whole. Where a class is left out, people get a variant of it with a key of its own.
See docs/decisions/0086.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apps.iris_app.computing.result_store import Result, ResultStore
from apps.iris_app.lib.state import digest
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume


def shown(result: Result, bar: float, store: ResultStore) -> Result:
    """What people get of a result: all of it, or a variant without the classes that are withheld.

    Args:
        result: finished.
        bar: least expected Dice of a class; 0 shows everything, whatever its modality.
        store: keeps the variant.

    Raises:
        InputError: no class is left.
    """
    withheld = reasons(result.record, bar)
    if not withheld:
        return result
    left = [entry for entry in result.record["label_info"] if entry["name"] not in withheld]
    if not left:
        raise InputError(
            "Nothing that was found can be trusted, so nothing is shown",
            found="; ".join(withheld.values()),
            remedy="label a study that looks like this one, or set withhold_below to 0 to see it anyway",
        )
    key = f"{result.key}-{digest(sorted(withheld))[:6]}"
    kept = store.find(result.study, key)
    if kept is not None:
        return kept
    record = {
        **result.record,
        "label_info": left,
        "withheld": withheld,
        "warnings": [*result.record["warnings"], *withheld.values()],
    }
    values = [entry["idx"] for entry in result.record["classes"] if entry["name"] in withheld]
    return store.put(result.study, key, without(result.label(), values), record)


def reasons(record: dict, bar: float) -> dict[str, str]:
    """Class -> why it is withheld, as a sentence, where it is.

    Only classes count that were found, or whose references disagree.

    Args:
        record: of a result.
        bar: least expected Dice; 0 withholds nothing.
    """
    if bar <= 0:
        return {}
    kind, mismatched = record.get("study_modality", ""), record.get("other_modality", {})
    told = {
        name: f"{name} is withheld: its references are {other}, this study looks like {kind}"
        for name, other in mismatched.items()
    }
    for entry in record["label_info"]:
        expected = record["expected_dice"].get(entry["name"], 1.0)
        if expected < bar and entry["name"] not in told:
            told[entry["name"]] = (
                f"{entry['name']} is withheld: its expected Dice of {expected:.2f} is under {bar:g}"
            )
    return told


def without(label: LabelVolume, values: list[int]) -> LabelVolume:
    """A label without some of its values; names and colours stay."""
    return replace(
        label,
        array=_without(label.array, values),
        layers=tuple(_without(layer, values) for layer in label.layers),
    )


def _without(array: np.ndarray, values: list[int]) -> np.ndarray:
    return np.where(np.isin(array, values), 0, array).astype(array.dtype)
