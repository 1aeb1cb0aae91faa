"""Stock nnUNetTrainer, 3d_fullres, on the CPU; only the clock of its learning rate is ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprint_dataset,
    plan_experiment_dataset,
    preprocess_dataset,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from benchmarks.peer_nnunet.reference_dataset import ReferenceDataset
from iris_core.volume.volume import LabelVolume, Volume

CONFIGURATION, PLANS = "3d_fullres", "nnUNetPlans"
POWER, FALL = 0.9, 0.97  # of the polynomial decay; share of the rate that is gone at the end


class MinutesRate:
    """nnU-Net's polynomial decay of the rate, over processor minutes instead of epochs.

    Attributes:
        spent: minutes of training so far; set by whoever trains.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rate: float, minutes: float) -> None:
        self.optimizer, self.rate, self.minutes, self.spent = optimizer, rate, minutes, 0.0

    def step(self, epoch: int | None = None) -> None:
        """Sets the rate that belongs to `spent`."""
        share = min(1.0, self.spent / self.minutes)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * (1 - FALL * share) ** POWER


def plan(dataset: ReferenceDataset, preprocessed: Path, batch: int) -> dict:
    """Fingerprint, plans and preprocessed storage by nnU-Net's own steps; done once.

    Args:
        dataset: what `write_dataset` wrote.
        preprocessed: nnU-Net's folder of that name.
        batch: patches a step; nnU-Net's choice is for a GPU, 2 is the least that it would choose.

    Returns:
        The plans.
    """
    path = preprocessed / dataset.name / f"{PLANS}.json"
    if not path.is_file():
        extract_fingerprint_dataset(dataset.number, num_processes=1, verbose=False, show_progress_bar=False)
        plan_experiment_dataset(dataset.number)
        plans = json.loads(path.read_text())
        plans["configurations"][CONFIGURATION]["batch_size"] = batch
        path.write_text(json.dumps(plans, indent=1))
        preprocess_dataset(dataset.number, PLANS, (CONFIGURATION,), (1,), show_progress_bar=False)
    return json.loads(path.read_text())


def make_trainer(dataset: ReferenceDataset, plans: dict, raw: Path, minutes: float) -> nnUNetTrainer:
    """A stock trainer on all references (fold "all"), ready for its first step."""
    os.environ["nnUNet_n_proc_DA"] = "0"  # its augmentation counts as processor time of this process
    description = json.loads((raw / dataset.name / "dataset.json").read_text())
    trainer = nnUNetTrainer(
        plans | {"continue_training": False}, CONFIGURATION, "all", description, torch.device("cpu")
    )
    trainer.initialize()
    trainer.lr_scheduler = MinutesRate(trainer.optimizer, trainer.initial_lr, minutes)
    return trainer


def segment(
    trainer: nnUNetTrainer, dataset: ReferenceDataset, path: Path, image: Volume, *, mirror: bool
) -> LabelVolume:
    """Segments a file by nnU-Net's own inference; weights are the trainer's of the moment.

    Args:
        trainer: whose network.
        dataset: says which label values are meant.
        path: the image's file.
        image: the same image as read by us; gives the grid.
        mirror: average over mirrored images, as nnU-Net does by default; eight times the work.

    Returns:
        The label map in the file's own voxels, with the original label values.
    """
    predictor = nnUNetPredictor(
        use_mirroring=mirror, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    reader = trainer.plans_manager.image_reader_writer_class()
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    try:
        found = predictor.predict_single_npy_array(*reader.read_images([str(path)]))
    finally:
        trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
    array = np.ascontiguousarray(np.asarray(found).transpose(2, 1, 0))  # its arrays are k, j, i
    return LabelVolume(dataset.original(array), image.affine)
