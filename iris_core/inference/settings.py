"""InferenceSettings: every number of the pipeline that may matter, by stage; each stage can be left out.

A checkpoint keeps them in its facts, a run in its record, and `iris segment --set stage.name=value` changes
one for an experiment.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from iris_core.errors import InputError
from iris_core.inference.stages import (
    AlignmentSettings,
    BiasSettings,
    CloseUpSettings,
    EdgeFitSettings,
    EvidenceSettings,
    FeatureFitSettings,
    FieldOfViewSettings,
    FusionSettings,
    MirrorSettings,
    PlaceSearchSettings,
)

REVISION = 8  # raised whenever the same weights, settings and references come to give another result
META_KEY = "inference"  # of the settings among a checkpoint's facts
GONE = ("rivals",)  # stages of earlier code, whose settings count no more


@dataclass(frozen=True)
class InferenceSettings:
    """The pipeline's settings, one group a stage, in the order of the stages.

    Args:
        context_margin: voxels around the foreground that a cropped reference keeps.
        evidence, alignment, place_search, feature_fit, edge_fit, bias, mirroring, field_of_view, close_up,
            fusion: of the stages.
    """

    context_margin: int = 16
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    place_search: PlaceSearchSettings = field(default_factory=PlaceSearchSettings)
    feature_fit: FeatureFitSettings = field(default_factory=FeatureFitSettings)
    edge_fit: EdgeFitSettings = field(default_factory=EdgeFitSettings)
    bias: BiasSettings = field(default_factory=BiasSettings)
    mirroring: MirrorSettings = field(default_factory=MirrorSettings)
    field_of_view: FieldOfViewSettings = field(default_factory=FieldOfViewSettings)
    close_up: CloseUpSettings = field(default_factory=CloseUpSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)

    def without(self, *stages: str) -> InferenceSettings:
        """The same settings with stages left out.

        Raises:
            InputError: no such stage.
        """
        return self.changed(f"{stage}.enabled=false" for stage in stages)

    def changed(self, assignments: Iterable[str]) -> InferenceSettings:
        """The same settings with single values changed.

        Args:
            assignments: each "stage.name=value", or "name=value" for what belongs to no stage.

        Raises:
            InputError: no such setting, or a value of another type.
        """
        settings, known = self, InferenceSettings().values()
        for text in assignments:
            name, equals, value = text.partition("=")
            stage, dot, entry = name.strip().rpartition(".")
            if not equals or name.strip() not in known:
                near = difflib.get_close_matches(name.strip(), known, n=3, cutoff=0.4)
                raise InputError(
                    "no such setting" if equals else "is no setting with a value", where=text,
                    expected=f"stage.name=value, as {', '.join(near or [*known][:3])}",
                )  # fmt: skip
            told = _value_of(value.strip(), known[name.strip()], name.strip())
            change = {stage: replace(getattr(settings, stage), **{entry: told})} if dot else {entry: told}
            settings = replace(settings, **change)
        return settings

    def values(self) -> dict[str, bool | int | float]:
        """Every setting by its name, "stage.name"."""
        found: dict[str, bool | int | float] = {}
        for name, value in self.to_dict().items():
            if isinstance(value, dict):
                found |= {f"{name}.{key}": entry for key, entry in value.items()}
            else:
                found[name] = value
        return found

    def to_dict(self) -> dict[str, Any]:
        """The settings in JSON types."""
        return asdict(self)

    def method(self, weights: str) -> str:
        """16 hexadecimal digits for how results come about: this code, these settings, these weights.

        Args:
            weights: their fingerprint.
        """
        told = json.dumps([REVISION, self.to_dict(), weights], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InferenceSettings:
        """The settings of `to_dict`; what it does not name keeps its default.

        Raises:
            InputError: an unknown name or a value of another type.
        """
        lines = []
        for name, value in values.items():
            if isinstance(value, Mapping):
                lines += [f"{name}.{key}={entry}" for key, entry in value.items()]
            else:
                lines.append(f"{name}={value}")
        return cls().changed(lines)


DEFAULTS = InferenceSettings()
STAGES = tuple(f.name for f in fields(InferenceSettings) if f.name != "context_margin")


def settings_of(meta: Mapping[str, Any]) -> InferenceSettings:
    """The settings among a checkpoint's facts.

    Files of before there were settings name at most the steps of the fit and whether to mirror; those of a
    training on real sets named the steps alone and were never mirrored.
    """
    if META_KEY in meta:
        held = meta[META_KEY].items()
        return InferenceSettings.from_dict({name: value for name, value in held if name not in GONE})
    older = []
    if "fit_steps" in meta:
        steps = int(meta["fit_steps"])
        older = [f"feature_fit.fit_steps={steps}", f"feature_fit.enabled={steps > 0}"]
        older.append("mirroring.enabled=false")
    if "mirror" in meta:
        older.append(f"mirroring.enabled={bool(meta['mirror'])}")
    return DEFAULTS.changed(older)


def _value_of(text: str, like: bool | int | float, name: str) -> bool | int | float:
    """A value read as the type of another."""
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        number = type(like)(text)
        if abs(number) < float("inf") and (number >= 0 or like < 0):
            return number
    except (KeyError, ValueError):
        pass
    kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(like)]
    kind += "" if isinstance(like, bool) or like < 0 else ", not below 0"
    raise InputError("unusable value", where=name, expected=kind, found=text)
