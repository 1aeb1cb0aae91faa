"""Reference: a labelled study, and what several of them say together: classes joined by name, a modality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from iris_core.errors import InputError
from iris_core.preprocessing.intensity import MODALITIES
from iris_core.preprocessing.modality import (
    OFFSET,
    OFFSET_REMEDY,
    detect_modality,
    in_hounsfield,
    may_have_offset,
)
from iris_core.remarks import remark
from iris_core.volume.label_grid import fit_label
from iris_core.volume.unknown import completed, gap_lines, without_gaps
from iris_core.volume.volume import Color, LabelVolume, Volume, label_from_masks


@dataclass(frozen=True)
class ClassInfo:
    """A class of a task.

    Attributes:
        name: of the structure.
        value: in label maps.
        color: (R, G, B), 0-255.
    """

    name: str
    value: int
    color: Color


@dataclass(frozen=True)
class Reference:
    """A labelled study.

    Attributes:
        image: the study.
        label: in the image's grid, or a reorder of it.
        name: for reports.
    """

    image: Volume
    label: LabelVolume
    name: str = ""

    def fitted(self, number: int) -> Reference:
        """The reference with its label on the image's grid, and a name; `number` counts from 0.

        Raises:
            InputError: the label lies on another grid.
        """
        source = self.label.source or self.image.source
        name = self.name or (source.name if source is not None else f"reference {number + 1}")
        return replace(self, label=fit_label(self.label, self.image), name=name)

    def gap_lines(self, sparse: str) -> list[str]:
        """What a person should know of a label that was drawn in single slices; empty for any other.

        Args:
            sparse: how such labels are taken (iris_core.volume.unknown.SPARSE).
        """
        return gap_lines(self.label, self.name, sparse)

    def completed(self, sparse: str = "no") -> Reference:
        """The reference with a guess where its label does not say which class is there.

        Args:
            sparse: how labels were drawn that do not show a structure throughout.
        """
        label = completed(without_gaps(self.label, sparse), self.image)
        return self if label is self.label else replace(self, label=label)

    def prepared_as(self, modality: str) -> Reference:
        """The reference as images of a modality are prepared: CT in Hounsfield units, in a remark."""
        image = in_hounsfield(self.image, modality)
        if image is not self.image:
            remark(self.name, f"looks like CT with {OFFSET:g} added: subtracted")
            return replace(self, image=image)
        if modality == "ct" and may_have_offset(self.image):
            remark(self.name, f"has no value below 0 and no air at {OFFSET - 1000:g}; {OFFSET_REMEDY}")
        return self

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """All that its label shows."""
        label = self.label
        return tuple(ClassInfo(label.name_of(v), v, label.color_of(v)) for v in label.values)

    @property
    def labelled(self) -> LabelVolume:
        """All that its label shows, as one class of value 1."""
        layers = self.label.layers or (self.label.array,)
        return LabelVolume(
            np.any([layer != 0 for layer in layers], axis=0).astype(np.uint8), self.label.affine
        )

    def held(self, classes: Sequence[ClassInfo]) -> list[tuple[ClassInfo, int]]:
        """Those of the classes that this reference shows, each with its value in this label."""
        values = {self.label.name_of(value): value for value in self.label.values}
        return [(info, values[info.name]) for info in classes if info.name in values]

    def label_of(self, classes: Sequence[ClassInfo]) -> LabelVolume:
        """The label with these classes alone, so that the spacing suits them."""
        wanted = [value for _, value in self.held(classes)]
        if len(wanted) == len(self.label.values):
            return self.label
        masks, label = self.label.masks(wanted), self.label
        chosen = label_from_masks(masks, wanted, label.affine, names=label.names, colors=label.colors)
        return replace(chosen, ignored=label.ignored, unlabelled=label.unlabelled)


def joined_classes(references: Sequence[Reference], wanted: Sequence[str] | None) -> list[ClassInfo]:
    """The classes of all references, joined by name, numbered as where a name first occurs.

    Args:
        references: at least one.
        wanted: names; None: all.

    Returns:
        The classes, ascending by value.

    Raises:
        InputError: an empty label, two values of one name in a label, a class that no reference holds, or two
            classes with one value.
    """
    found: dict[str, ClassInfo] = {}
    for reference in references:
        label, where = reference.label, reference.label.source or reference.name
        if not label.values:
            raise InputError("the label is empty", where=where, remedy="label at least one class")
        for name, count in Counter(label.name_of(value) for value in label.values).items():
            if count > 1 and (wanted is None or name in wanted):
                values = [str(value) for value in label.values if label.name_of(value) == name]
                raise InputError(
                    "several label values share one name", where=where, expected="one value a name",
                    found=f"{name}: {', '.join(values)}", remedy="rename them, or name them with --labels",
                )  # fmt: skip
        for value in label.values:
            name = label.name_of(value)
            found.setdefault(name, ClassInfo(name, value, label.color_of(value)))
    for name in wanted or ():
        if name not in found:
            raise InputError(
                "no reference holds the class", where=name, expected=f"one of {', '.join(found)}",
                remedy="check --classes and --labels",
            )  # fmt: skip
    infos = [found[name] for name in dict.fromkeys(wanted)] if wanted else list(found.values())
    twice = [value for value, count in Counter(info.value for info in infos).items() if count > 1]
    if twice:
        names = [info.name for info in infos if info.value == twice[0]]
        raise InputError(
            "two classes share one label value", where=", ".join(names), found=f"value {twice[0]}",
            remedy="ask for one at a time with --classes, or give one of them another value in its label; "
            "if they are one class, give both the same name",
        )  # fmt: skip
    return sorted(infos, key=lambda info: info.value)


def joined_modality(references: Sequence[Reference], wanted: str) -> tuple[str, str]:
    """The modality of all references, and why: the one given, or what most of them look like.

    Raises:
        InputError: an unknown modality.
    """
    if wanted != "auto":
        if wanted not in MODALITIES:
            raise InputError(
                "unknown modality", where=wanted, expected=f"auto or one of {', '.join(MODALITIES)}"
            )
        return wanted, "given"
    guesses = [detect_modality(reference.image) for reference in references]
    name = Counter(guess.name for guess in guesses).most_common(1)[0][0]
    return name, next(guess.reason for guess in guesses if guess.name == name)
