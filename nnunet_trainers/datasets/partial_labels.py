"""Which classes of which cases are annotated: the key "iris" of a dataset.json.

A union of datasets holds cases of several groups, one group a source dataset. A class that a group does not
annotate is unknown in its cases, never background. nnU-Net ignores the key; ours is the only reader.

    "iris": {
      "format": 1,
      "groups":     {"901_case_001": "HippocampusMR"},              case -> group
      "annotated":  {"HippocampusMR": ["HippocampusMR/anterior"]},  group -> names in "labels", no background
      "weights":    {"HippocampusMR": 1.0},                         group -> how often it is drawn, relative
      "modalities": {"HippocampusMR": "mr"},                        group -> "ct", "mr" or "pet"
      "patients":   {"901_case_001": "901_person_1"},               case -> person, where that is known
      "test":       ["901_case_009"]                                kept from training: imagesTs, labelsTs
    }

A dataset.json without the key is one group named "all", whose cases annotate every class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from iris_core.errors import InputError
from iris_core.preprocessing.intensity import MODALITIES
from iris_core.volume.label_names import parse_label_names

KEY = "iris"
FORMAT = 1
WHOLE = "all"  # the group of a dataset that is no union


@dataclass(frozen=True)
class PartialLabels:
    """What is annotated where.

    Attributes:
        groups: case -> group.
        annotated: group -> class names, in the order of their values.
        weights: group -> relative frequency in training, above 0.
        modalities: group -> "ct", "mr" or "pet"; a group is missing where its dataset does not say.
        patients: case -> person, for cases of which it is known.
        test: cases that no fold trains or validates on.
    """

    groups: Mapping[str, str]
    annotated: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, float]
    modalities: Mapping[str, str] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)
    test: tuple[str, ...] = ()

    @classmethod
    def of_dataset(cls, description: Mapping, cases: Iterable[str] = ()) -> PartialLabels:
        """Reads the key of a dataset.json.

        Args:
            description: a whole dataset.json, with or without the key.
            cases: the cases that must have a group; for a dataset without the key, all of its cases.

        Raises:
            InputError: another format, a case without a group, a group without classes or with a class that
                "labels" does not name, a weight that is not above 0, an unknown modality.
        """
        names = tuple(parse_label_names(dict(description), where="dataset.json").values())
        cases = tuple(cases)
        entry = description.get(KEY)
        if entry is None:
            return cls(dict.fromkeys(cases, WHOLE), {WHOLE: names}, {WHOLE: 1.0})
        if entry.get("format") != FORMAT:
            raise _broken('"format"', expected=FORMAT, found=entry.get("format"))
        annotated = {group: tuple(classes) for group, classes in entry["annotated"].items()}
        weights = {group: float(entry.get("weights", {}).get(group, 1.0)) for group in annotated}
        modalities = dict(entry.get("modalities", {}))
        for case in cases:
            if case not in entry["groups"]:
                raise _broken('"groups"', expected=f"a group for case {case}", found="none")
        for group in {*entry["groups"].values()} - set(annotated):
            raise _broken('"annotated"', expected=f"the classes of group {group}", found="none")
        for group, classes in annotated.items():
            if not classes or not set(classes) <= set(names):
                raise _broken(
                    f'"annotated" of {group}', expected='names that "labels" holds', found=list(classes)
                )
            if not weights[group] > 0:
                raise _broken(f'"weights" of {group}', expected="a number above 0", found=weights[group])
            if modalities.get(group, "mr") not in MODALITIES:
                raise _broken(
                    f'"modalities" of {group}', expected=" or ".join(MODALITIES), found=modalities[group]
                )
        return cls(
            dict(entry["groups"]),
            annotated,
            weights,
            modalities,
            dict(entry.get("patients", {})),
            tuple(entry.get("test", ())),
        )

    def classes_of(self, case: str) -> tuple[str, ...]:
        """Names of the classes that a case annotates; all others are unknown there."""
        return self.annotated[self.groups[case]]

    def modality_of(self, case: str) -> str | None:
        """The case's modality, or None where its dataset does not say."""
        return self.modalities.get(self.groups[case])

    def person_of(self, case: str) -> str:
        """Whom the case shows; the case itself where that is not known."""
        return self.patients.get(case, case)

    def to_json(self) -> dict[str, object]:
        """The value of the key, as plain JSON types."""
        return {
            "format": FORMAT,
            "groups": dict(self.groups),
            "annotated": {group: list(classes) for group, classes in self.annotated.items()},
            "weights": dict(self.weights),
            "modalities": dict(self.modalities),
            "patients": dict(self.patients),
            "test": list(self.test),
        }


def _broken(what: str, *, expected: object, found: object) -> InputError:
    return InputError(
        f'{what} of the key "{KEY}" is not as it should be',
        where="dataset.json",
        expected=expected,
        found=found,
        remedy="make the dataset again with iris union",
    )
