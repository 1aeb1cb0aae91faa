"""`iris plan-and-preprocess` with the installed nnU-Net: one set of numbers for training and inference."""

from __future__ import annotations

import json
import multiprocessing
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.cli.main import main
from iris_core.preprocessing.prepare import prepare_image, prepare_masks
from iris_core.volume_io import read_image, read_label
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.planning.recipe import recipe_of
from tests.raw_sets import OBLIQUE, STRAIGHT, write_raw_set

pytestmark = [pytest.mark.hosts, pytest.mark.nnunet]
UNION, CT = "Dataset950_Both", "Dataset001_Belly"
ANISOTROPIC = np.diag([-0.9, 1.3, -4.0, 1.0])  # left to right, feet first, thick slices
SPACING = (1.7, 1.5, 2.0)
ENDING = ".nii.gz"
PROCESSES = multiprocessing.get_context


class Threads:
    """In place of a multiprocessing context: nnU-Net's pools without minutes of imports."""

    Pool = ThreadPool


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """nnUNet_raw and nnUNet_preprocessed with a CT set and a union of CT and MR, planned by both recipes."""
    root = tmp_path_factory.mktemp("nnunet")
    grids = (OBLIQUE, STRAIGHT, ANISOTROPIC)
    raw = root / "raw"
    write_raw_set(raw / CT, labels={"liver": 1, "spleen": 2}, cases=4, channel="CT", affines=grids)
    write_raw_set(raw / "Dataset002_Head", labels={"eye": 1}, cases=4, affines=grids, seed=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", lambda *_: Threads)
        for name in ("raw", "preprocessed", "results"):
            patch.setenv(f"nnUNet_{name}", str(root / name))
        assert main(["union", "1", "2", "--output", UNION, "--split", "50,25,25"]) == 0
        common = ["--spacing", "1.7,1.5,2", "-np", "1", "--quiet"]
        for recipe, names in (("paper", ("950",)), ("nnunet", ("1", "950"))):
            words = ["plan-and-preprocess", *names, "--recipe", recipe, "-p", f"{recipe}Plans", *common]
            assert main(words) == 0
        yield root


def read_plans(folders: Path, dataset: str, recipe: str) -> dict:
    return json.loads((folders / "preprocessed" / dataset / f"{recipe}Plans.json").read_text())


def cases_of(folders: Path, dataset: str) -> dict:
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    return get_filenames_of_train_images_and_targets(str(folders / "raw" / dataset))


def stored(folders: Path, dataset: str, recipe: str, case: str) -> tuple[np.ndarray, np.ndarray, dict]:
    """Image, label and properties as nnU-Net's training loads them."""
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    place = folders / "preprocessed" / dataset / f"{recipe}Plans_3d_fullres"
    image, label, _, properties = nnUNetDatasetBlosc2(str(place), [case]).load_case(case)
    return np.asarray(image[:]), np.asarray(label[:]), properties


def modality_of(folders: Path, dataset: str, case: str, recipe: str) -> str:
    description = json.loads((folders / "raw" / dataset / "dataset.json").read_text())
    labels = PartialLabels.of_dataset(description, [case])
    return read_plans(folders, dataset, recipe)["iris"]["modalities"][labels.groups[case]]


@pytest.mark.parametrize(("dataset", "recipe"), [(UNION, "paper"), (UNION, "nnunet"), (CT, "nnunet")])
def test_training_sees_what_inference_prepares(folders, dataset, recipe):
    plans = read_plans(folders, dataset, recipe)
    seen = set()
    for case, files in cases_of(folders, dataset).items():
        modality = modality_of(folders, dataset, case, recipe)
        prepared = prepare_image(
            read_image(files["images"][0]), modality=modality, spacing=SPACING, recipe=recipe_of(plans)
        )
        image, label, _ = stored(folders, dataset, recipe, case)
        assert image.shape == tuple(prepared.image.shape)
        assert np.abs(image - prepared.image.numpy()).max() < 1e-4
        for value in read_label(files["label"]).values:
            soft = prepare_masks(read_label(files["label"]), [value], prepared.grid)[0].numpy()
            assert (label[0][soft > 0.75] == value).all() and (label[0][soft < 0.25] != value).all()
        seen.add(modality)
    assert seen == ({"ct", "mr"} if dataset == UNION else {"ct"})


@pytest.mark.parametrize("dataset", [UNION, CT])
def test_stock_prediction_prepares_a_raw_query_by_recipe_nnunet(folders, dataset):
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = read_plans(folders, dataset, "nnunet")
    manager = PlansManager(plans)
    configuration = manager.get_configuration("3d_fullres")
    for case, files in cases_of(folders, dataset).items():
        worker = configuration.preprocessor_class(verbose=False)
        description = json.loads((folders / "raw" / dataset / "dataset.json").read_text())
        data, _, _ = worker.run_case(files["images"], None, manager, configuration, description)
        modality = modality_of(folders, dataset, case, "nnunet")
        ours = prepare_image(
            read_image(files["images"][0]), modality=modality, spacing=SPACING, recipe=recipe_of(plans)
        )
        assert np.abs(data - ours.image.numpy()).max() < 1e-4


def test_a_prediction_comes_back_to_the_files_own_voxels(folders, tmp_path):
    import torch
    from nnunetv2.inference.export_prediction import export_prediction_from_logits
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(read_plans(folders, CT, "nnunet"))
    for case, files in cases_of(folders, CT).items():
        truth = read_label(files["label"])
        _image, _, properties = stored(folders, CT, "nnunet", case)
        grid = prepare_image(read_image(files["images"][0]), modality="ct", spacing=SPACING).grid
        masks = prepare_masks(truth, [1, 2], grid)
        logits = torch.cat([torch.full((1, *masks.shape[1:]), 0.5), masks])
        description = json.loads((folders / "raw" / CT / "dataset.json").read_text())
        configuration = manager.get_configuration("3d_fullres")
        target = tmp_path / case
        export_prediction_from_logits(
            logits, properties, configuration, manager, description, str(target), save_probabilities=False
        )
        written = read_label(f"{target}{ENDING}")
        assert np.allclose(written.affine, truth.affine, atol=1e-4)
        for value in (1, 2):
            both = np.stack([written.array == value, truth.array == value])
            assert 2 * both.all(axis=0).sum() / both.sum() > 0.8


def test_storage_says_where_each_class_lies(folders):
    for case, files in cases_of(folders, UNION).items():
        _, label, properties = stored(folders, UNION, "paper", case)
        places = {value: found for value, found in properties["class_locations"].items() if len(found)}
        assert set(places) == set(np.unique(label[label > 0])) == set(read_label(files["label"]).values)
        for value, found in places.items():
            assert (label[tuple(np.asarray(found).T)] == value).all()


def test_plans_are_stock_and_name_what_is_ours(folders):
    plans = read_plans(folders, UNION, "paper")
    plan = plans["configurations"]["3d_fullres"]
    assert list(plans["configurations"]) == ["3d_fullres"]
    assert plans["iris"] == {
        "format": 1,
        "intensity": "paper",
        "modalities": {"Belly": "ct", "Head": "mr"},
    }
    assert plan["spacing"] == list(SPACING) and plan["preprocessor_name"] == "DefaultPreprocessor"
    assert all(side % 16 == 0 and 32 <= side <= 128 for side in plan["patch_size"])
    ct = read_plans(folders, CT, "nnunet")
    assert ct["configurations"]["3d_fullres"]["normalization_schemes"] == ["CTNormalization"]
    assert plan["normalization_schemes"] == ["ZScoreNormalization"]


def test_nnunets_own_network_fits_the_plans(folders):
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    plan = read_plans(folders, UNION, "paper")["configurations"]["3d_fullres"]
    kind = plan["architecture"]
    network = get_network_from_plans(
        kind["network_class_name"], kind["arch_kwargs"], kind["_kw_requires_import"], 1, 4,
        deep_supervision=False,
    )  # fmt: skip
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *plan["patch_size"])).shape[2:] == tuple(plan["patch_size"])


def test_nnunets_own_plans_are_the_same_before_and_after_ours(folders, tmp_path, monkeypatch):
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    beside_ours = ExperimentPlanner(CT).plan_experiment()
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    DatasetFingerprintExtractor(CT, 1).run()
    assert ExperimentPlanner(CT).plan_experiment() == beside_ours
    assert PlansManager(beside_ours).get_configuration("3d_fullres").patch_size


def test_nnunet_finds_nothing_wrong_with_a_union(folders):
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    verify_dataset_integrity(str(folders / "raw" / UNION), num_processes=1)


def test_the_split_and_the_truth_lie_where_training_looks(folders):
    place = folders / "preprocessed" / UNION
    (fold,) = json.loads((place / "splits_final.json").read_text())
    cases = cases_of(folders, UNION)
    assert sorted(fold["train"] + fold["val"]) == sorted(cases)
    for case, files in cases.items():
        copy = nib.load(place / "gt_segmentations" / f"{case}{ENDING}")
        assert np.array_equal(np.asarray(copy.dataobj), np.asarray(nib.load(files["label"]).dataobj))


def test_a_fingerprint_of_fewer_cases_is_made_anew_in_true_processes(folders, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", PROCESSES)
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")  # as a training on few cores has it; nnU-Net's planner fails
    path = folders / "preprocessed" / CT / "dataset_fingerprint.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "spacings": whole["spacings"][:-1]}))
    words = ["plan-and-preprocess", "Belly", "--spacing", "nnunet", "--patch", "48,32,32", "-p", "otherPlans"]
    assert main([*words, "-np", "1", "--quiet"]) == 0
    assert os.environ["nnUNet_n_proc_DA"] == "0"
    assert json.loads(path.read_text()) == whole
    plan = json.loads(path.with_name("otherPlans.json").read_text())["configurations"]["3d_fullres"]
    assert plan["patch_size"] == [48, 32, 32]
    spacings = np.sort([np.linalg.norm(grid[:3, :3], axis=0) for grid in (OBLIQUE, STRAIGHT, ANISOTROPIC)])
    assert spacings.min() <= min(plan["spacing"]) <= max(plan["spacing"]) <= spacings.max()
