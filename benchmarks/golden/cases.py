"""The pairs of the golden record: between them they pass every stage of the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np

from iris_core.bank.bank_task import BankTask, describe_bank
from iris_core.bank.memory_bank import MemoryBank
from iris_core.checkpoint import LoadedModel
from iris_core.prediction import Prediction
from iris_core.preprocessing.prepare import prepare_image, prepare_masks
from iris_core.segmenter import Segmenter
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label
from sample_data import abdomen, head
from sample_data.make_phantoms import make_study

CLASSES = 8  # of a mouse's brain
WINDOW = (64, 64, 64)  # so small that a phantom takes several
Study = tuple[Volume, LabelVolume]
Sides = Sequence[slice]


@dataclass(frozen=True)
class Case:
    """One pair: references and a query.

    Args:
        name: in the record.
        run: segments the query with a network.
        real: it needs the folder of studies.
    """

    name: str
    run: Callable[[LoadedModel, Path], Prediction]
    real: bool = False


def phantom_ct(loaded: LoadedModel, _: Path) -> Prediction:
    """Two phantom trunks, one-shot, in windows."""
    reference, query = phantom(abdomen, 0), phantom(abdomen, 2)
    segmenter = Segmenter(loaded.model, window=WINDOW, **loaded.settings)
    return apply_task(segmenter, encode_task(segmenter, [as_reference(reference)], spacing=4.0), query[0])


def phantom_bank(loaded: LoadedModel, _: Path) -> Prediction:
    """A phantom head, by a memory bank that another head has filled."""
    image, label = phantom(head, 0)
    grid = prepare_image(image, modality="mr", spacing=(3.0,) * 3, recipe=loaded.recipe)
    values = label.values
    names = [label.name_of(value) for value in values]
    tokens = Segmenter(loaded.model).tokens_of(grid.image, prepare_masks(label, values, grid.grid), names)
    bank = MemoryBank(names, tokens.tokens.shape[1] - 1, tokens.tokens.shape[2])
    bank.update(names, tokens.tokens)
    facts = describe_bank(
        classes=dict(zip(names, values, strict=True)), spacing=(3.0,) * 3, window=WINDOW, modalities=["mr"],
        canonical=True,
    )  # fmt: skip
    filled = replace(loaded, state=bank.state(), meta={**loaded.meta, **bank.meta(), **facts})
    return BankTask(filled).apply(Segmenter(filled.model, **filled.settings), phantom(head, 1)[0])


def hippocampus(loaded: LoadedModel, studies: Path) -> Prediction:
    """901: three hippocampi in an ensemble, the query whole."""
    cases = [study(studies, "901", f"hippocampus_{number}") for number in ("001", "003", "004")]
    return segmented(loaded, cases[:2], cases[2][0])


def cropped_hippocampus(loaded: LoadedModel, studies: Path) -> Prediction:
    """901: a query that shows one end of a hippocampus and hides the other, one-shot."""
    reference, query = (study(studies, "901", f"hippocampus_{number}") for number in ("006", "001"))
    return segmented(loaded, [reference], part(query, (slice(0, 35), slice(33, 51), slice(4, 35)))[0])


def head_and_neck(loaded: LoadedModel, studies: Path) -> Prediction:
    """902: three classes in cropped studies, with closer looks at each."""
    cases = []
    for name in ("pt_13", "pt_17"):
        image, label = part(study(studies, "902", name), (slice(36, 96), slice(30, 92), slice(4, 124)))
        kept = np.where(np.isin(label.array, (1, 3, 7)), label.array, 0).astype(label.array.dtype)
        cases.append((image, replace(label, array=kept)))
    return segmented(loaded, cases[:1], cases[1][0])


def mouse_brain(loaded: LoadedModel, studies: Path) -> Prediction:
    """907: a mouse's brain at coarse voxels, by the two most alike of three references for each class."""
    cases = [study(studies, "907", f"FVB_NCrl_in_vivo_{number}") for number in (1, 2, 3)]
    names = [cases[0][1].name_of(value) for value in cases[0][1].values[:CLASSES]]
    return segmented(loaded, cases[:2], cases[2][0], spacing=0.35, strategy="retrieval", classes=names)


CASES = (
    Case("phantom CT, one-shot, windows", phantom_ct),
    Case("phantom MR, bank", phantom_bank),
    Case("901, ensemble", hippocampus, real=True),
    Case("901, cropped query, one-shot", cropped_hippocampus, real=True),
    Case("902, closer looks", head_and_neck, real=True),
    Case("907, retrieval", mouse_brain, real=True),
)


def segmented(loaded: LoadedModel, references: Sequence[Study], query: Volume, **options) -> Prediction:
    """A query by labelled studies; the options are those of `encode_task`."""
    segmenter = Segmenter(loaded.model, **loaded.settings)
    return apply_task(segmenter, encode_task(segmenter, [*map(as_reference, references)], **options), query)


def as_reference(one: Study) -> Reference:
    """A labelled study as a reference."""
    return Reference(*one)


def phantom(anatomy: ModuleType, number: int) -> Study:
    """A phantom of `sample_data`."""
    image, label = make_study(anatomy, 0, number)
    names = {value: name for name, value in anatomy.LABELS.items()}
    voxels = np.asarray(image.dataobj, dtype=np.float32)
    return Volume(voxels, image.affine), LabelVolume(np.asarray(label.dataobj), label.affine, names)


def study(studies: Path, number: str, name: str) -> Study:
    """A labelled study in nnU-Net raw layout."""
    (folder,) = studies.glob(f"Dataset{number}_*")
    image, label = folder / "imagesTr" / f"{name}_0000.nii.gz", folder / "labelsTr" / f"{name}.nii.gz"
    return read_image(image), read_label(label)


def part(one: Study, sides: Sides) -> Study:
    """A box of a study, in the voxels of its file."""
    image, label = one
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in sides]
    box = tuple(sides)
    return Volume(image.array[box], affine), LabelVolume(label.array[box], affine, label.names)
