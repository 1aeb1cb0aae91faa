"""Classes that training has seen need no reference: a Task from a checkpoint's memory bank.

Paper: 3.3 and supplement 7, Fig. 8. A query is prepared as the images of the training were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from iris_core.bank.memory_bank import MemoryBank
from iris_core.checkpoint import LoadedModel
from iris_core.errors import CheckpointError, InputError
from iris_core.prediction import Prediction
from iris_core.preprocessing.modality import detect_modality
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.task.reference import ClassInfo
from iris_core.task.task import Task
from iris_core.task_prediction import apply_task
from iris_core.triple import triple
from iris_core.volume.volume import PALETTE, Volume

KEY = "bank_classes"  # of a checkpoint's facts


def describe_bank(
    *,
    classes: Mapping[str, int],
    spacing: Sequence[float],
    window: Sequence[int],
    modalities: Sequence[str],
    canonical: bool,
) -> dict[str, object]:
    """What a checkpoint's facts must hold beside the bank itself.

    Args:
        classes: name -> label value.
        spacing: of the training, (i, j, k), mm.
        window: of the training, (i, j, k), voxels.
        modalities: of the training's images.
        canonical: images were turned to RAS+; False: they kept the order of their files.
    """
    return {
        KEY: {
            "classes": dict(classes),
            "spacing": list(map(float, spacing)),
            "window": list(map(int, window)),
            "modalities": list(modalities),
            "canonical": bool(canonical),
        }
    }


class BankTask:
    """The seen classes of a checkpoint, ready for any number of queries.

    Args:
        loaded: a checkpoint that `iris export` or the trainer wrote.
        classes: names wanted; None: all that training has seen.
        modality: of the queries; None: that one of the training's modalities which the query looks like.

    Attributes:
        task: as `encode_task` gives it, with the bank's tokens.

    Raises:
        CheckpointError: the checkpoint holds no bank.
        InputError: a class is not in the bank or was never seen.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        classes: Sequence[str] | None = None,
        modality: str | None = None,
    ) -> None:
        facts = loaded.meta.get(KEY)
        if not isinstance(facts, Mapping):
            raise CheckpointError(
                "holds no memory bank", where=loaded.path,
                expected="weights trained on datasets, which bring their classes along",
                remedy="give --reference IMAGE LABEL, or the checkpoint of a training",
            )  # fmt: skip
        bank = MemoryBank.restored(loaded.state, loaded.meta)
        values = {name: int(value) for name, value in facts["classes"].items()}
        names = [n for n, seen in zip(bank.names, bank.seen.tolist(), strict=True) if seen]
        if classes is not None:
            unknown = [name for name in classes if name not in values]
            if unknown:
                raise InputError(
                    "the memory bank has no such class", where=", ".join(unknown), expected=", ".join(values)
                )
            names = sorted(dict.fromkeys(classes), key=values.__getitem__)
        self.canonical = bool(facts["canonical"])
        self.window = triple(facts["window"])
        infos = tuple(ClassInfo(n, values[n], PALETTE[(values[n] - 1) % len(PALETTE)]) for n in names)
        self.modalities = [modality] if modality else list(facts["modalities"]) or ["mr"]
        reason = "given" if modality else "of the training"
        self.task = Task(
            infos, self.modalities[0], tuple(facts["spacing"]), (bank.embedding(names),), "one-shot",
            loaded.fingerprint, {"references": ["memory bank"], "modality_reason": reason},
            modality_given=bool(modality),
        )  # fmt: skip

    @property
    def facts(self) -> Task:
        """The task of the bank's tokens."""
        return self.task

    def apply(self, segmenter: Segmenter, image: Volume, progress: Progress | None = None) -> Prediction:
        """Segments a query in windows as the training saw them (iris_core.task.task.Applicable)."""
        segmenter = segmenter.in_even_windows(self.window)
        task = replace(self.task, modality=trained_modality(image, self.modalities))
        if self.canonical:
            return apply_task(segmenter, task, image, progress)
        flat = Volume(image.array, np.diag([*image.spacing, 1.0]), source=image.source)
        found = apply_task(segmenter, task, flat, progress)
        return replace(found, label=replace(found.label, affine=image.affine))


def trained_modality(image: Volume, trained: Sequence[str]) -> str:
    """That one of the training's modalities which a query looks like; the first where it looks like none."""
    if len(trained) == 1:
        return trained[0]
    looks_ct = detect_modality(image).name == "ct"
    return next((name for name in trained if (name == "ct") == looks_ct), trained[0])
