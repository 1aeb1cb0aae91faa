"""From two raw datasets to masks by the commands that a user types, a kill in the middle included."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.metrics import dice
from iris_core.volume_io import read_label
from tests.hosts.nnunet_workshop import Workshop, compared
from tests.raw_sets import describe, write_raw_set
from tests.tiny import study

pytestmark = [pytest.mark.hosts, pytest.mark.nnunet]

UNION = "Dataset950_Both"
SETTINGS = {
    "IRIS_EPOCHS": "3",
    "IRIS_STEPS": "20",
    "IRIS_VALIDATION_STEPS": "2",
    "IRIS_BATCH": "1",
    "IRIS_RATE": "0.004",  # so that the bank learns to draw within a minute
    "IRIS_WITHOUT_MEMORY": "0.9",
    "IRIS_MOMENTUM": "0.9",
    "IRIS_PICTURES": "1",
}


def save_study(image: Path, label: Path, seed: int, *, inverted: bool, shape=(24, 26, 22)) -> None:
    """A study of two blocks; every other one is stored the other way round along its first axis."""
    volume, drawn = study(seed, shift=seed % 3, shape=shape)
    array, affine = 300 - volume.array if inverted else volume.array, volume.affine.copy()
    values = np.where(drawn.array == 4, 0 if inverted else 2, drawn.array).astype(np.uint8)
    if seed % 2:
        affine[0, 0], affine[0, 3] = -2.0, 2.0 * (shape[0] - 1)
        array, values = array[::-1], values[::-1]
    nib.save(nib.Nifti1Image(array, affine), image)
    nib.save(nib.Nifti1Image(values, affine), label)


def write_studies(folder: Path, labels: dict[str, int], *, inverted: bool) -> None:
    """Five studies; of the inverted ones the second block is there and not annotated."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for n in range(5):
        pair = folder / f"imagesTr/case_{n}_0000.nii.gz", folder / f"labelsTr/case_{n}.nii.gz"
        save_study(*pair, n + 5 * inverted, inverted=inverted)
    describe(folder, labels, 5, "MRI")


def stored(path: Path) -> dict:
    import torch

    return torch.load(path, map_location="cpu", weights_only=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("nnunet")
    write_studies(root / "raw/Dataset001_Blocks", {"bright": 1, "dark": 2}, inverted=False)
    write_studies(root / "raw/Dataset002_Negative", {"black": 1}, inverted=True)
    shop = Workshop(root, UNION, SETTINGS)
    shop.run("iris", "union", "1", "2", "--output", UNION, "--split", "70,30,0")
    shop.plan("--spacing", "2")
    shop.before = shop.train_and_kill(epoch=1)
    shop.rescued = stored(shop.fold / "checkpoint_latest.pth")
    shop.after = shop.train("--c")
    return shop


def test_a_kill_in_mid_epoch_loses_that_epoch_alone(shop):
    assert shop.rescued["current_epoch"] == 1
    assert re.findall(r": Epoch (\d+)", shop.after) == ["1", "2"]
    assert stored(shop.fold / "checkpoint_final.pth")["current_epoch"] == 3
    assert not (shop.fold / "checkpoint_latest.pth").exists()


def test_bank_and_optimiser_survive_the_kill(shop):
    assert shop.rescued["network_weights"]["bank.seen"].all()
    group = shop.rescued["optimizer_state"]["param_groups"][0]
    assert group["step"] == int(SETTINGS["IRIS_STEPS"]) and shop.rescued["optimizer_state"]["state"]
    final = stored(shop.fold / "checkpoint_final.pth")
    assert final["optimizer_state"]["param_groups"][0]["step"] == 3 * int(SETTINGS["IRIS_STEPS"])
    assert final["inference_allowed_mirroring_axes"] is None  # mirrored, left and right swap meaning


def test_the_run_leaves_what_nnunets_users_look_for(shop):
    names = {path.name for path in shop.fold.iterdir()}
    assert {"progress.png", "checkpoint_best.pth", "debug.json", "validation", "iris.safetensors"} <= names
    assert {path.name for path in (shop.fold / "episodes").iterdir()} >= {"epoch_0001.png", "epoch_0003.png"}
    assert "Bank pseudo dice" in shop.after and "Pseudo dice" in shop.after
    settings = json.loads((shop.fold.parent / "plans.json").read_text())["iris"]["trainer"]
    assert settings["epochs"] == 3 and settings["momentum"] == 0.9


def test_validation_alone_gives_the_figures_again(shop):
    first = json.loads((shop.fold / "validation/summary.json").read_text())
    shop.train("--val")
    again = json.loads((shop.fold / "validation/summary.json").read_text())
    assert again["foreground_mean"] == first["foreground_mean"]


def test_nnunets_own_prediction_and_the_bank_give_the_same_masks(shop):
    images, predicted, segmented = (shop.root / name for name in ("queries", "predicted", "segmented"))
    images.mkdir()
    for seed in (20, 21):  # longer than a window
        query = images / f"query{seed}_0000.nii.gz"
        truth = shop.root / f"truth{seed}.nii.gz"
        save_study(query, truth, seed, inverted=seed == 20, shape=(24, 26, 48))
    shop.predict(images, predicted)
    shop.segment_by_bank(images, segmented)
    same = compared(segmented, predicted, range(1, 4))
    assert same and min(same) >= 0.99


def test_the_exported_weights_segment_a_class_that_training_never_saw(shop):
    weights, folder = shop.root / "trained.safetensors", shop.root / "unseen"
    write_raw_set(folder, labels={"stone": 1, "tube": 2}, cases=2, seed=40)
    printed = shop.run("iris", "export", shop.fold.parent, "--output", weights)
    assert weights.name in printed
    pair = folder / "imagesTr/case_0_0000.nii.gz", folder / "labelsTr/case_0.nii.gz"
    query = ["--query", folder / "imagesTr/case_1_0000.nii.gz", "--output", shop.root / "stone.nii.gz"]
    shop.run("iris", "segment", "--checkpoint", weights, "--reference", *pair, *query)
    found, truth = read_label(shop.root / "stone.nii.gz"), read_label(folder / "labelsTr/case_1.nii.gz")
    assert min(dice(found.array == value, truth.array == value) for value in (1, 2)) > 0.3


def test_what_cannot_be_trained_is_told_before_training_starts(shop):
    from nnunetv2.run.run_training import get_trainer_from_args

    from iris_core.errors import InputError

    folder = shop.root / "preprocessed" / UNION
    description = json.loads((folder / "dataset.json").read_text())
    wrong = {
        "several channels": {"channel_names": {"0": "T1", "1": "T2"}},
        "regions of several values": {
            "labels": {"background": 0, "both": [1, 2]},
            "regions_class_order": [1],
        },
    }
    plans = json.loads((folder / "irisPlans.json").read_text())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shop.environment.items():
            patch.setenv(name, value)
        for told, change in wrong.items():
            trainer = type(get_trainer_from_args(UNION, "3d_fullres", 0, "nnUNetTrainerIris", "irisPlans"))
            with pytest.raises(InputError, match=told):
                given = {**plans, "continue_training": False}
                trainer(given, "3d_fullres", 0, {**description, **change}, device_of_the_test())


def device_of_the_test():
    import torch

    return torch.device("cpu")
