"""A union of raw datasets that is itself an ordinary raw dataset.

Images stay where they are: "dataset" in its dataset.json gives their paths. Labels are written anew, because
every class of every dataset gets its own value. Which class a case annotates stands in the key "iris"
(`partial_labels`), so that what one dataset does not draw is not taken for background there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.label_names import IGNORED
from iris_core.volume_io import read_image, write_image, write_label
from iris_core.volume_io.folder.raw_dataset import LabelledCase
from iris_core.volume_io.suffix import suffix_of
from nnunet_trainers.datasets.dataset_folder import new_dataset_folder, write_json
from nnunet_trainers.datasets.image_file import header_of, readable_by_nnunet
from nnunet_trainers.datasets.label_file import renumbered
from nnunet_trainers.datasets.partial_labels import KEY, PartialLabels
from nnunet_trainers.unions.source import Source
from nnunet_trainers.unions.split import PAPER_SHARES, Split, split_persons

ENDING = ".nii.gz"
MOST_CLASSES = 32767  # nnU-Net stores labels as int16


def make_union(
    sources: Sequence[Source],
    target: Path,
    *,
    shares: tuple[float, float, float] | None = PAPER_SHARES,
    seed: int = 0,
) -> PartialLabels:
    """Writes a union.

    Args:
        sources: at least one; of one alone it is a conversion (NIfTI, values that follow each other).
        target: .../nnUNet_raw/DatasetNNN_Name, not there yet.
        shares: training, validation, test, by person. The test part is none of nnU-Net's training cases; it
            lies in imagesTs and labelsTs. None splits nothing: nnU-Net then makes its five folds.
        seed: of the split.

    Returns:
        Which case annotates what.

    Raises:
        InputError: a label off its image or with a value that its dataset.json does not name, no case to
            validate on, or a target that is there.
    """
    rng = np.random.default_rng(seed)
    values = _values(sources)
    splits = {
        source.group: split_persons([c.name for c in source.dataset.cases], source.persons, shares, rng)
        if shares
        else Split(tuple(case.name for case in source.dataset.cases), (), ())
        for source in sources
    }
    labels = _partial_labels(sources, splits)
    fold = _fold(sources, splits) if shares else None
    with new_dataset_folder(target) as folder:
        entries = {}
        for source in sources:
            for case in source.dataset.cases:
                held_back = case.name in splits[source.group].test
                entry = _write_case(source, case, values, folder, target, held_back=held_back)
                if not held_back:
                    entries[source.case_name(case.name)] = entry
        write_json(folder / "dataset.json", _description(sources, values, entries, labels))
        if fold:
            write_json(folder / "splits_final.json", [fold])
    return labels


def _values(sources: Sequence[Source]) -> dict[str, int]:
    """Class name in the union -> value, 1 to N, in the order of the datasets."""
    names = [source.class_name(name) for source in sources for name in source.dataset.names.values()]
    if len(names) > MOST_CLASSES:
        raise InputError("more classes than nnU-Net can store", expected=MOST_CLASSES, found=len(names))
    if any(source.ignore is not None for source in sources):
        names.append(IGNORED)  # nnU-Net wants the largest value for it
    return {name: value for value, name in enumerate(names, start=1)}


def _partial_labels(sources: Sequence[Source], splits: dict[str, Split]) -> PartialLabels:
    cases = [(source, case.name) for source in sources for case in source.dataset.cases]
    return PartialLabels(
        groups={source.case_name(case): source.group for source, case in cases},
        annotated={s.group: tuple(map(s.class_name, s.dataset.names.values())) for s in sources},
        weights={source.group: source.weight for source in sources},
        modalities={source.group: source.modality for source in sources},
        patients={
            source.case_name(case): source.case_name(source.persons[case])
            for source, case in cases
            if case in source.persons
        },
        test=tuple(source.case_name(case) for source in sources for case in splits[source.group].test),
    )


def _description(
    sources: Sequence[Source], values: dict[str, int], entries: dict, labels: PartialLabels
) -> dict:
    modalities = {source.modality for source in sources}
    return {
        "channel_names": {"0": modalities.pop().upper() if len(modalities) == 1 else "image"},
        "labels": {"background": 0, **values},
        "numTraining": len(entries),
        "file_ending": ENDING,
        "dataset": entries,
        KEY: labels.to_json(),
    }


def _fold(sources: Sequence[Source], splits: dict[str, Split]) -> dict[str, list[str]]:
    """The one fold, as nnU-Net's splits_final.json has it."""
    fold = {
        part: [source.case_name(case) for source in sources for case in getattr(splits[source.group], part)]
        for part in ("train", "val")
    }
    if not fold["val"]:
        raise InputError(
            "no case is left to validate on",
            expected="a dataset of three persons or more",
            found=", ".join(f"{source.group}: {len(source.dataset.cases)} cases" for source in sources),
            remedy="use --split none",
        )
    return fold


def _write_case(
    source: Source,
    case: LabelledCase,
    values: dict[str, int],
    folder: Path,
    target: Path,
    *,
    held_back: bool,
) -> dict[str, object]:
    """Writes the label, and the image where nnU-Net could not read it; gives the entry of dataset.json."""
    name, part = source.case_name(case.name), "Ts" if held_back else "Tr"
    own = f"images{part}/{name}_0000{ENDING}"
    if readable_by_nnunet(case.image):
        image, place = header_of(case.image), _reference(case.image, target)
        if held_back and suffix_of(case.image) == ENDING:
            _refer(folder / own, place)
        elif held_back:
            write_image(read_image(case.image), folder / own)
    else:
        image, place = read_image(case.image), own
        write_image(image, folder / own)
    label = f"labels{part}/{name}{ENDING}"
    new = {value: values[source.class_name(known)] for value, known in source.dataset.names.items()}
    moved = renumbered(case.label, image, new, ignore=source.ignore, ignore_as=values.get(IGNORED))
    write_label(moved, folder / label)
    return {"images": [place], "label": label}


def _refer(link: Path, place: str) -> None:
    """A link in a folder of the union to an image; a copy where the system knows no links."""
    link.parent.mkdir(exist_ok=True)
    image = Path("..", place)
    try:
        link.symlink_to(image)
    except OSError:
        shutil.copyfile(link.parent / image, link)


def _reference(image: Path, target: Path) -> str:
    """The image's path from the union's folder; absolute where they share no folder of datasets."""
    image, home = image.absolute(), target.absolute().parent
    return Path(os.path.relpath(image, target.absolute())).as_posix() if home in image.parents else str(image)
