"""What we rely on in the installed nnU-Net. A test that fails here names what an upgrade has changed."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iris_core.inference.even_windows import even_starts, gaussian
from iris_core.volume.orientation import to_canonical
from tests.raw_sets import OBLIQUE, image_and_label

pytestmark = [pytest.mark.hosts, pytest.mark.nnunet]

DISCOVERY = Path(__file__).parents[2] / "nnunet_trainers" / "discovery"
DESCRIPTION = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "a": 1, "b": 2},
    "file_ending": ".nii.gz",
    "numTraining": 2,
}


@pytest.fixture
def plans() -> dict:
    """The smallest plans that a trainer is built from."""
    resampling = {"is_seg": False, "force_separate_z": False, "memefficient_seg_resampling": False}
    return {
        "dataset_name": "Dataset001_Tiny",
        "plans_name": "irisPlans",
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [2, 1, 0],
        "transpose_backward": [2, 1, 0],
        "label_manager": "LabelManager",
        "iris": {"intensity": "paper", "trainer": {"weights": "none"}},
        "continue_training": False,
        "configurations": {
            "3d_fullres": {
                "data_identifier": "irisPlans_3d_fullres",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": [32, 40, 32],
                "spacing": [2.0, 2.0, 2.0],
                "batch_dice": False,
                "resampling_fn_probabilities": "resample_torch_fornnunet",
                "resampling_fn_probabilities_kwargs": resampling,
                "architecture": {"network_class_name": "", "arch_kwargs": {}, "_kw_requires_import": []},
            }
        },
    }


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for part in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{part}", str(tmp_path / part))
    monkeypatch.setenv("nnUNet_extTrainer", str(DISCOVERY))
    return tmp_path


@pytest.fixture
def trainer(folders, plans):
    import torch

    from nnunet_trainers.training.iris_trainer import nnUNetTrainerIris

    return nnUNetTrainerIris(plans, "3d_fullres", 0, DESCRIPTION, torch.device("cpu"))


def test_the_trainer_is_found_and_is_the_same_class_every_time(folders):
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from nnunet_trainers.training.iris_trainer import nnUNetTrainerIris

    assert recursive_find_trainer_class_by_name("nnUNetTrainerIris") is nnUNetTrainerIris
    assert recursive_find_trainer_class_by_name("nnUNetTrainerIris") is nnUNetTrainerIris


def test_signatures_are_those_that_nnunet_calls():
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from nnunet_trainers.training.iris_trainer import nnUNetTrainerIris as Ours

    for name in ("__init__", "build_network_architecture", "save_checkpoint"):
        theirs, ours = (inspect.signature(getattr(kind, name)) for kind in (nnUNetTrainer, Ours))
        assert list(theirs.parameters) == list(ours.parameters), name
    for kind in (nnUNetTrainer, Ours):  # releases name its parameter differently: it is given by place
        assert len(inspect.signature(kind.load_checkpoint).parameters) == 2
    assert isinstance(inspect.getattr_static(nnUNetTrainer, "build_network_architecture"), staticmethod)
    for name in vars(Ours):
        if name in ("_adopt", "_update", "_precision", "module") or name.startswith("__"):
            continue
        assert hasattr(nnUNetTrainer, name), f"nnU-Net calls no {name} any more"


def test_it_is_built_from_minimal_plans_and_keeps_its_settings_in_them(trainer):
    assert trainer.plans_manager.plans["iris"]["trainer"]["weights"] == "none"
    assert trainer.my_init_kwargs["plans"]["iris"]["trainer"]["preset"] == "tiny"
    assert trainer.window == (32, 48, 32)  # 40 is no multiple of 16
    assert trainer.inference_allowed_mirroring_axes is None


def test_the_network_that_the_predictor_builds_takes_the_trained_weights_strictly(trainer):
    trainer.dataset_class = object  # there is no storage to infer it from
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.infer_dataset_class", lambda _: object)
        trainer.initialize()
    manager = trainer.plans_manager
    heads = manager.get_label_manager(DESCRIPTION).num_segmentation_heads
    again = type(trainer).build_network_architecture(
        manager, trainer.configuration_manager, 1, heads, enable_deep_supervision=False
    )
    again.load_state_dict(trainer.network.state_dict())
    assert {"bank.tokens", "bank.seen"} <= set(again.state_dict())


@pytest.fixture
def initialised(trainer, monkeypatch):
    """A trainer with a network, and no storage to infer a dataset class from."""
    place = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer.infer_dataset_class"
    monkeypatch.setattr(place, lambda _: object)
    trainer.initialize()
    trainer.current_epoch = 0
    Path(trainer.output_folder).mkdir(parents=True, exist_ok=True)
    return trainer


def test_a_training_made_longer_and_killed_goes_on_from_its_latest_epoch(initialised):
    from nnunetv2.run.run_training import maybe_load_checkpoint

    folder = Path(initialised.output_folder)
    initialised.save_checkpoint(str(folder / "checkpoint_final.pth"))
    assert (folder / "checkpoint_final.pth").is_file()
    initialised.current_epoch = 4
    initialised.save_checkpoint(str(folder / "checkpoint_latest.pth"))
    maybe_load_checkpoint(initialised, True, False)
    assert initialised.current_epoch == 5


def test_going_on_needs_the_weights_of_the_start_no_more(initialised, plans, monkeypatch):
    import torch

    from iris_core.errors import IrisError

    place = str(Path(initialised.output_folder) / "checkpoint_latest.pth")
    initialised.save_checkpoint(place)
    monkeypatch.setenv("IRIS_WEIGHTS", "gone.safetensors")
    given = {**plans, "continue_training": True}
    again = type(initialised)(given, "3d_fullres", 0, DESCRIPTION, torch.device("cpu"))
    again.load_checkpoint(place)
    assert again.current_epoch == 1
    fresh = type(initialised)(
        given | {"continue_training": False}, "3d_fullres", 0, DESCRIPTION, again.device
    )
    with pytest.raises(IrisError, match=r"gone.safetensors"):
        fresh.initialize()


def test_plans_that_cannot_be_exported_are_told_when_training_starts(folders, plans, monkeypatch):
    import torch

    from nnunet_trainers.training.iris_trainer import nnUNetTrainerIris

    del plans["iris"]["intensity"]
    masked = {"normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [True]}
    plans["configurations"]["3d_fullres"].update(masked)
    place = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer.infer_dataset_class"
    monkeypatch.setattr(place, lambda _: object)
    trainer = nnUNetTrainerIris(plans, "3d_fullres", 0, DESCRIPTION, torch.device("cpu"))
    trainer.initialize()
    assert "iris export will refuse this training" in Path(trainer.log_file).read_text()


def test_a_missing_folder_of_results_is_named(trainer, monkeypatch):
    from iris_core.errors import InputError

    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(InputError, match=r"nnUNet_results: .*not set.*export nnUNet_results="):
        trainer.initialize()


def test_too_few_cases_for_five_folds_are_told_unless_there_is_a_split(tmp_path):
    from iris_core.errors import InputError
    from nnunet_trainers.training.fold import refuse_too_few_cases

    splits = tmp_path / "splits_final.json"
    with pytest.raises(InputError, match=r"too few cases .* 5 folds.*found 4.*fold all"):
        refuse_too_few_cases(4, splits, 0)
    refuse_too_few_cases(4, splits, "all")
    refuse_too_few_cases(5, splits, 0)
    splits.write_text("[]")
    refuse_too_few_cases(4, splits, 0)


def test_a_step_in_half_precision_moves_weights_and_bank(initialised, monkeypatch):
    import torch

    from nnunet_trainers.episodes.episode import collate
    from tests.trainers.test_episode_step import episode

    initialised.autocast = torch.float16  # torch's bfloat16 gradients of maps of 2^3 are garbage on some CPUs
    initialised.num_iterations_per_epoch = 1
    before = {name: weight.clone() for name, weight in initialised.network.state_dict().items()}
    batch = collate([episode()]).to_mapping()
    for source in ("reference", "bank", "tokens"):
        drawn = "nnunet_trainers.training.iris_trainer.draw_source"
        monkeypatch.setattr(drawn, lambda *_, given=source: given)
        initialised.step_number, initialised.choices = 10_000, np.random.default_rng(0)
        assert np.isfinite(initialised.train_step(batch)["loss"])
    assert initialised.skipped == 0 and initialised.module.bank.seen.tolist() == [True, True]
    initialised.network.eval()
    for initialised.autocast in (torch.float16, torch.bfloat16):
        with torch.no_grad():
            assert np.isfinite(initialised.validation_step(batch)["loss"])
    after = initialised.network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before if not name.startswith("bank"))
    assert all(weight.isfinite().all() for weight in after.values())


def test_a_step_in_parts_is_the_step(initialised, monkeypatch, request):
    import torch

    from nnunet_trainers.episodes.episode import collate
    from tests.trainers.test_episode_step import episode

    # with more threads, oneDNN's gradients of weights depend on the batch size by about 1 %
    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(1)
    batch = collate([episode(), episode(2), episode(4)]).to_mapping()
    monkeypatch.setattr("nnunet_trainers.training.iris_trainer.draw_source", lambda *_: "reference")
    monkeypatch.setattr(initialised, "_update", lambda: None)
    found = []
    for parts in (1, 2):
        initialised.settings = replace(initialised.settings, parts=parts)
        initialised.module.bank.seen.fill_(False)
        initialised.step_number, initialised.choices = 0, np.random.default_rng(0)
        loss = float(initialised.train_step(batch)["loss"])
        slopes = [p.grad.clone() for p in initialised.module.parameters() if p.grad is not None]
        found.append((loss, slopes, initialised.module.bank.tokens.clone()))
    (loss, slopes, tokens), (again, others, same) = found
    assert loss == pytest.approx(again, rel=1e-4) and torch.allclose(tokens, same, atol=1e-5)
    size = torch.stack([g.norm() for g in slopes]).norm()
    apart = torch.stack([(g - h).norm() for g, h in zip(slopes, others, strict=True)]).norm()
    assert apart < 1e-3 * size


def test_the_reorienting_reader_gives_ras_as_kji(tmp_path):
    import nibabel as nib
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

    image, _ = image_and_label((10, 12, 8), (1,), ct=False, seed=0)
    nib.save(nib.Nifti1Image(image, OBLIQUE), tmp_path / "x.nii.gz")
    read, _ = NibabelIOWithReorient().read_images((str(tmp_path / "x.nii.gz"),))
    assert np.array_equal(read[0].transpose(2, 1, 0), to_canonical(image, OBLIQUE))


def test_windows_and_their_weights_are_laid_as_ours():
    import torch
    from nnunetv2.inference.sliding_window_prediction import (
        compute_gaussian,
        compute_steps_for_sliding_window,
    )

    for length in (32, 33, 47, 64, 110, 129):
        (steps,) = compute_steps_for_sliding_window((length,), (32,), 0.5)
        assert steps == even_starts(length, 32, 0.5)
    theirs = compute_gaussian((16, 32, 24), value_scaling_factor=10, device=torch.device("cpu"))
    assert torch.allclose(theirs.float() / 10, gaussian((16, 32, 24)), atol=1e-3)


def test_an_image_smaller_than_the_tile_gets_no_window_so_it_must_be_padded_first():
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    assert compute_steps_for_sliding_window((10,), (64,), 0.5) == [[]]


def test_the_largest_of_a_zero_background_and_the_logits_is_our_rule(plans):
    import torch
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from iris_core.preprocessing.grid import label_map

    logits = torch.randn(2, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    manager = PlansManager(plans).get_label_manager(DESCRIPTION)
    theirs = manager.convert_logits_to_segmentation(torch.cat([torch.zeros(1, 6, 6, 6), logits]))
    assert np.array_equal(theirs.numpy(), label_map(logits, [1, 2]))


def test_lamb_imports_without_torchvision_and_scales_each_tensor_by_its_norm():
    code = "import sys; sys.modules['torchvision'] = None; from pytorch_optimizer import Lamb"
    subprocess.run([sys.executable, "-c", code], check=True)
    import torch
    from pytorch_optimizer import Lamb

    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    weight.grad = torch.tensor([0.1, -0.2])
    Lamb([weight], lr=0.01, betas=(0.9, 0.999), eps=1e-6, adam_debias=True).step()
    step = (0.1 * np.array([0.1, -0.2])) / (np.sqrt(0.001 * np.array([0.01, 0.04])) + 1e-6)
    expected = np.array([3.0, 4.0]) - 0.01 * 5.0 / np.linalg.norm(step) * step
    assert np.allclose(weight.detach().numpy(), expected, atol=1e-5)


def test_validation_outputs_are_summed_over_steps():
    from nnunetv2.utilities.collate_outputs import collate_outputs

    outputs = [{"tp_hard": np.array([1.0, 2.0]), "loss": np.float32(1)}] * 3
    assert collate_outputs(outputs)["tp_hard"].sum(0).tolist() == [3, 6]


def test_settings_of_the_plans_travel_through_nnunets_manager(plans, tmp_path):
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    (tmp_path / "plans.json").write_text(json.dumps(plans))
    assert PlansManager(str(tmp_path / "plans.json")).plans["iris"] == plans["iris"]
