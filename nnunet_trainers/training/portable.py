"""The portable checkpoint of a training: weights, memory bank, and what it takes to prepare a query alike."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch

from iris_core.bank.bank_task import describe_bank
from iris_core.bank.memory_bank import META_KEY
from iris_core.checkpoint import PORTABLE, save_model
from iris_core.errors import CheckpointError, InputError
from iris_core.inference.settings import DEFAULTS
from iris_core.inference.settings import META_KEY as SETTINGS
from iris_core.volume.label_names import parse_label_names
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.episodes.axes import is_canonical, to_ijk
from nnunet_trainers.planning.recipe import recipe_of
from nnunet_trainers.training.bank_network import BankNetwork, build_bank_network
from nnunet_trainers.training.settings import TrainerSettings

TRAINER = "nnUNetTrainerIris"
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")

__all__ = ["PORTABLE", "export_training", "find_training", "save_portable"]


def save_portable(
    network: BankNetwork,
    plans: Mapping,
    configuration: str,
    description: Mapping,
    path: str | Path,
    facts: Mapping[str, object] | None = None,
) -> str:
    """Writes a trained network in the format of `iris_core.checkpoint`.

    Args:
        network: in any state; it is not changed.
        plans: of the training.
        configuration: of the training.
        description: its dataset.json.
        path: .safetensors file.
        facts: more of the training, for the file's reader.

    Returns:
        The fingerprint.

    Raises:
        InputError: plans whose intensities or axes iris_core cannot repeat.
    """
    settings = TrainerSettings.of_plans(plans)
    chosen = plans["configurations"][configuration]
    order = to_ijk(plans)
    names = parse_label_names(dict(description), where="dataset.json")
    labels = PartialLabels.of_dataset(description)
    modalities = plans.get("iris", {}).get("modalities") or labels.modalities
    meta = {
        # trained on real sets, features need no fit (0022), edges have theirs (0034); what has seen such
        # anatomy the right way round gains nothing in the mirror (0035)
        SETTINGS: DEFAULTS.without("feature_fit", "mirroring").to_dict(),
        "preset": settings.preset,
        "data": f"nnU-Net dataset {plans['dataset_name']}",
        "intensity": recipe_of(plans, configuration).to_dict(),
        "settings": vars(settings),
        META_KEY: {"names": list(names.values()), "momentum": network.bank.momentum},
        **describe_bank(
            classes={name: value for value, name in names.items()},
            spacing=[chosen["spacing"][axis] for axis in order],
            window=[chosen["patch_size"][axis] for axis in order],
            modalities=sorted({*modalities.values()}),
            canonical=is_canonical(plans),
        ),
        **(facts or {}),
    }
    return save_model(path, network.iris, meta, extra=network.bank.state())


def find_training(path: Path) -> Path:
    """The checkpoint file of a training: the file itself, or the final, best or latest one of a folder.

    Args:
        path: a .pth file, a fold's folder, or the folder of a training with one fold.

    Raises:
        InputError: there is none, or there are several folds to choose from.
    """
    if path.is_file():
        return path
    folds = sorted({file.parent for name in CHECKPOINTS for file in path.glob(f"fold_*/{name}")})
    if len(folds) > 1:
        raise InputError(
            "several folds were trained", where=path, found=", ".join(fold.name for fold in folds),
            remedy="name one of them",
        )  # fmt: skip
    for name in CHECKPOINTS:
        found = (folds[0] if folds else path) / name
        if found.is_file():
            return found
    raise InputError(
        "no training of nnUNetTrainerIris here", where=path, expected=f"a folder with {CHECKPOINTS[0]}",
        remedy="name the folder that nnUNetv2_train wrote, .../nnUNetTrainerIris__PLANS__CONFIGURATION",
    )  # fmt: skip


def export_training(path: Path, output: Path) -> str:
    """Turns a checkpoint of nnUNetTrainerIris into the portable one.

    nnU-Net's checkpoints are pickles: open none that you would not run as a program.

    Args:
        path: folder of a training or of a fold, or a checkpoint.
        output: file to write.

    Returns:
        The fingerprint.

    Raises:
        InputError: no training found.
        CheckpointError: the checkpoint is of another trainer.
    """
    file = find_training(path)
    try:
        stored = torch.load(file, map_location="cpu", weights_only=False)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise CheckpointError("cannot be read", where=file, expected="nnU-Net's .pth", found=error) from error
    if stored.get("trainer_name") != TRAINER:
        raise CheckpointError(
            "is of another trainer", where=file, expected=TRAINER, found=stored.get("trainer_name")
        )
    start = stored["init_args"]
    network = build_bank_network(start["plans"], len(stored["network_weights"]["bank.seen"]))
    network.load_state_dict(stored["network_weights"])
    facts = {"epochs": stored["current_epoch"], "fold": str(start["fold"])}
    return save_portable(
        network, start["plans"], start["configuration"], start["dataset_json"], output, facts
    )
