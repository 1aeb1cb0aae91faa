"""From a trained network to the portable file, and from that to a query's label without a reference."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import torch

from iris_core.bank.bank_task import BankTask
from iris_core.bank.memory_bank import MemoryBank
from iris_core.checkpoint import load_model, portable_in
from iris_core.cli.main import main
from iris_core.config import preset
from iris_core.errors import CheckpointError, InputError
from iris_core.model.build import build
from iris_core.segmenter import Segmenter
from iris_core.volume.volume import Volume
from iris_core.volume_io import read_label
from nnunet_trainers.training.bank_network import BankNetwork
from nnunet_trainers.training.portable import PORTABLE, export_training, find_training, save_portable
from tests.tiny import noise, study

DESCRIPTION = {"labels": {"background": 0, "bright": 1, "dark": 2, "never": 3}, "channel_names": {"0": "MRI"}}
PLANS = {
    "dataset_name": "Dataset001_Boxes",
    "plans_name": "irisPlans",
    "image_reader_writer": "NibabelIOWithReorient",
    "transpose_forward": [2, 1, 0],
    "iris": {"intensity": "paper", "modalities": {"all": "mr"}},
    "configurations": {"3d_fullres": {"spacing": [2.0, 2.5, 3.0], "patch_size": [32, 32, 48]}},
}


@pytest.fixture(scope="module")
def trained() -> BankNetwork:
    config = preset("tiny")
    bank = MemoryBank(["1", "2", "3"], config.context_tokens, config.channels[-1])
    for k in range(2):
        bank.update([k], noise(1, config.context_tokens + 1, config.channels[-1], seed=k))
    return BankNetwork(build(config, seed=0), bank)


@pytest.fixture
def folder(trained, tmp_path):
    save_portable(trained, PLANS, "3d_fullres", DESCRIPTION, tmp_path / "training/fold_0" / PORTABLE)
    return tmp_path / "training"


def segmenter_of(path) -> Segmenter:
    loaded = load_model(path)
    return Segmenter(loaded.model, **loaded.settings)


def test_the_file_says_how_queries_are_prepared(folder):
    task = BankTask(load_model(folder))
    assert task.task.names == ("bright", "dark")  # training never saw the third
    assert [c.value for c in task.task.classes] == [1, 2]
    assert task.task.spacing == (2.0, 2.5, 3.0) and task.window == (32, 32, 48)
    assert task.task.modality == "mr" and task.canonical


def test_spacing_and_window_are_told_in_our_axes_whatever_the_plans_do(trained, tmp_path):
    plans = {**PLANS, "transpose_forward": [0, 1, 2]}
    save_portable(trained, plans, "3d_fullres", DESCRIPTION, tmp_path / "model.safetensors")
    task = BankTask(load_model(tmp_path / "model.safetensors"))
    assert task.task.spacing == (3.0, 2.5, 2.0) and task.window == (48, 32, 32)


def test_a_training_folder_segments_without_a_reference(folder, tmp_path, capsys):
    image, _ = study()
    nib.save(nib.Nifti1Image(image.array, image.affine), tmp_path / "query.nii.gz")
    words = ["segment", "--bank", "--checkpoint", str(folder), "--query", str(tmp_path / "query.nii.gz")]
    assert main([*words, "--output", str(tmp_path / "label.nii.gz")]) == 0
    found = read_label(tmp_path / "label.nii.gz")
    expected = BankTask(load_model(folder)).apply(segmenter_of(folder), image).label
    assert np.array_equal(found.array, expected.array) and set(found.values) <= {1, 2}
    assert main([*words, "--output", str(tmp_path / "no.nii.gz"), "--spacing", "1"]) == 2
    assert "the training has decided this already" in capsys.readouterr().err


def test_files_in_another_order_keep_it_where_training_did(trained, tmp_path):
    plans = {
        **PLANS, "image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2],
        "configurations": {"3d_fullres": {"spacing": [2.0, 2.0, 2.0], "patch_size": [32, 32, 32]}},
    }  # fmt: skip
    save_portable(trained, plans, "3d_fullres", DESCRIPTION, tmp_path / "model.safetensors")
    task = BankTask(load_model(tmp_path / "model.safetensors"))
    image, _ = study()
    flipped = Volume(image.array, np.diag([-2.0, -2.0, 2.0, 1.0]))  # the same voxels, called LPS
    runner = segmenter_of(tmp_path / "model.safetensors")
    label = task.apply(runner, flipped).label
    assert np.array_equal(label.array, task.apply(runner, image).label.array)
    assert np.array_equal(label.affine, flipped.affine)


def test_a_query_of_any_trained_modality_is_taken_for_that_one_without_a_word(trained, tmp_path):
    plans = {**PLANS, "iris": {"intensity": "paper", "modalities": {"belly": "ct", "head": "mr"}}}
    save_portable(trained, plans, "3d_fullres", DESCRIPTION, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    mr, _ = study()
    ct = Volume(mr.array * 6 - 600, mr.affine)  # as Hounsfield units are
    queries, runner = {"mr": mr, "ct": ct}, Segmenter(loaded.model, **loaded.settings)
    for name, other in (("mr", "ct"), ("ct", "mr")):
        found, told, wrong = (
            BankTask(loaded, modality=given).apply(runner, queries[name]) for given in (None, name, other)
        )
        assert np.array_equal(found.masks, told.masks)
        assert not any("looks like" in warning for warning in found.warnings)
        assert f"looks like {name}" in wrong.warnings[0]


def test_classes_are_chosen_by_name_and_wrong_ones_told(folder):
    loaded = load_model(folder)
    assert BankTask(loaded, classes=["dark"]).task.names == ("dark",)
    with pytest.raises(InputError, match="liver: the memory bank has no such class; expected bright, dark"):
        BankTask(loaded, classes=["liver"])
    with pytest.raises(InputError, match="never: training never saw the class"):
        BankTask(loaded, classes=["never"])


def test_weights_without_a_bank_are_told(tmp_path, capsys):
    image, _ = study()
    nib.save(nib.Nifti1Image(image.array, image.affine), tmp_path / "query.nii.gz")
    words = ["segment", "--bank", "--query", str(tmp_path / "query.nii.gz")]
    assert main([*words, "--output", str(tmp_path / "out.nii.gz")]) == 2
    assert "holds no memory bank; expected weights trained on datasets" in capsys.readouterr().err


def test_a_folder_without_one_portable_file_is_told(folder, tmp_path):
    with pytest.raises(InputError, match="no checkpoint in this folder"):
        load_model(tmp_path)
    (folder / "fold_1").mkdir()
    (folder / "fold_1" / PORTABLE).write_bytes((folder / "fold_0" / PORTABLE).read_bytes())
    with pytest.raises(InputError, match=r"several folds were trained; .*fold_0, fold_1"):
        load_model(folder)
    assert portable_in(folder / "fold_1") == folder / "fold_1" / PORTABLE


def test_a_training_is_found_by_file_fold_or_folder(tmp_path):
    file = tmp_path / "fold_2" / "checkpoint_best.pth"
    file.parent.mkdir()
    file.touch()
    assert find_training(file) == find_training(file.parent) == find_training(tmp_path) == file
    with pytest.raises(InputError, match="no training of nnUNetTrainerIris here"):
        find_training(tmp_path / "elsewhere")


def test_the_card_of_a_bank_is_plain_json(folder):
    assert json.dumps(load_model(folder).meta)
    stages = load_model(folder).inference
    assert not stages.mirroring.enabled and not stages.feature_fit.enabled and stages.edge_fit.enabled
    assert torch.equal(load_model(folder).state["memory_bank.seen"], torch.tensor([True, True, False]))


def nnunet_checkpoint(trained: BankNetwork, path, trainer: str = "nnUNetTrainerIris") -> None:
    start = {"plans": PLANS, "configuration": "3d_fullres", "dataset_json": DESCRIPTION, "fold": 0}
    weights = trained.state_dict()
    torch.save(
        {"trainer_name": trainer, "init_args": start, "network_weights": weights, "current_epoch": 3}, path
    )


def test_an_export_is_the_network_of_nnunets_checkpoint(trained, tmp_path, capsys):
    nnunet_checkpoint(trained, tmp_path / "checkpoint_final.pth")
    words = ["export", str(tmp_path), "--output", str(tmp_path / "out.safetensors")]
    assert main(words) == 0
    loaded = load_model(tmp_path / "out.safetensors")
    assert loaded.meta["epochs"] == 3 and loaded.fingerprint in capsys.readouterr().out
    assert torch.equal(loaded.state["memory_bank.tokens"], trained.bank.tokens)
    for name, weight in loaded.model.state_dict().items():
        assert torch.equal(weight, trained.iris.state_dict()[name].half().float())
    assert main(words) == 2 and "exists already" in capsys.readouterr().err


def test_a_checkpoint_of_another_trainer_is_told(trained, tmp_path):
    nnunet_checkpoint(trained, tmp_path / "checkpoint_final.pth", "nnUNetTrainer")
    with pytest.raises(CheckpointError, match="is of another trainer; expected nnUNetTrainerIris"):
        export_training(tmp_path, tmp_path / "out.safetensors")
    (tmp_path / "checkpoint_final.pth").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        export_training(tmp_path, tmp_path / "out.safetensors")
