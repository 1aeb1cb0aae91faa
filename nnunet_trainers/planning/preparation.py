"""From a raw dataset to what `nnUNetv2_train` starts from: fingerprint, plans, preprocessed storage.

check -> nnU-Net's fingerprint -> IrisPlanner -> nnU-Net's preprocessing, in the recipe of the plans
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume.label_names import read_json
from nnunet_trainers.datasets.dataset_folder import nnunet_folder
from nnunet_trainers.planning.checks import CheckedDataset, check_dataset, find_dataset
from nnunet_trainers.planning.planner import IrisPlanner, PlanRequest
from nnunet_trainers.planning.recipe import CONFIGURATION, KEY

log = logging.getLogger(__name__)


def plan_and_preprocess(
    dataset: str, request: PlanRequest, *, processes: int = 2, clean: bool = False, progress: bool = True
) -> Path:
    """Plans and preprocesses one dataset of nnUNet_raw.

    Args:
        dataset: its number or name.
        request: what the plans should say.
        processes: that read and write at once.
        clean: extract nnU-Net's fingerprint anew.
        progress: nnU-Net's bars on stderr.

    Returns:
        The plans file in nnUNet_preprocessed.

    Raises:
        InputError: a missing environment variable, or a dataset that cannot be trained on.
    """
    raw, preprocessed = nnunet_folder("nnUNet_raw"), nnunet_folder("nnUNet_preprocessed")
    folder = find_dataset(dataset, raw)
    if folder.parent != raw.resolve() and folder.parent != raw:
        raise InputError("lies outside nnUNet_raw, where nnU-Net looks", where=folder, expected=raw)
    checked = check_dataset(folder)
    with _nnunet_talks_to_the_log():
        _extract_fingerprint(checked, preprocessed / folder.name, processes, clean=clean, progress=progress)
        planner = IrisPlanner(folder.name, request, checked.labels.modalities)
        with _one_process_at_least():
            planner.plan_experiment()
        _preprocess(checked, request, processes, progress=progress)
    _copy_ground_truth(checked, preprocessed / folder.name / "gt_segmentations")
    return planner.path


def describe(plans: Path) -> str:
    """The plans in one line."""
    content = read_json(plans)
    plan = content["configurations"][CONFIGURATION]
    spacing = " x ".join(f"{size:g}" for size in plan["spacing"])
    patch = " x ".join(map(str, plan["patch_size"]))
    modalities = ", ".join(sorted(set(content[KEY]["modalities"].values())))
    return (
        f"{content['dataset_name']}: {spacing} mm, patch {patch}, batch {plan['batch_size']}, {modalities}, "
        f"intensities '{content[KEY]['intensity']}' -> {plans}"
    )


def _extract_fingerprint(
    checked: CheckedDataset, folder: Path, processes: int, *, clean: bool, progress: bool
) -> None:
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )

    known = folder / "dataset_fingerprint.json"
    stale = known.is_file() and len(json.loads(known.read_text())["spacings"]) != len(checked.cases)
    extractor = DatasetFingerprintExtractor(checked.name, processes)
    extractor.show_progress_bar = progress
    extractor.run(overwrite_existing=clean or stale)


def _preprocess(checked: CheckedDataset, request: PlanRequest, processes: int, *, progress: bool) -> None:
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    from nnunet_trainers.planning.preprocessor import PaperPreprocessor

    if request.intensity == "paper":
        worker = PaperPreprocessor({case.name: checked.modality_of(case.name) for case in checked.cases})
    else:
        worker = DefaultPreprocessor(verbose=False)
    worker.show_progress_bar = progress
    worker.run(checked.name, CONFIGURATION, request.name, num_processes=processes)


def _copy_ground_truth(checked: CheckedDataset, folder: Path) -> None:
    """Labels beside the preprocessed images: nnU-Net's validation looks there."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in checked.cases:
        target = folder / f"{case.name}{checked.description.get('file_ending', '.nii.gz')}"
        if not target.is_file() or target.stat().st_mtime < case.label.stat().st_mtime:
            shutil.copy2(case.label, target)


@contextlib.contextmanager
def _one_process_at_least() -> Iterator[None]:
    """nnU-Net's planner sets nnUNet_n_proc_DA threads, and fails at 0, which training allows."""
    name = "nnUNet_n_proc_DA"
    given = os.environ.get(name)
    try:
        if given == "0":
            os.environ[name] = "1"
        yield
    finally:
        if given == "0":
            os.environ[name] = given


@contextlib.contextmanager
def _nnunet_talks_to_the_log() -> Iterator[None]:
    """nnU-Net prints whole plans; they go to the log instead."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            yield
    finally:
        log.debug("nnU-Net said:\n%s", said.getvalue())
