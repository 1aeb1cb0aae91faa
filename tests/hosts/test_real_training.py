"""The commands of a training on real studies: a few of the hippocampus set, then another set's class."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from iris_core.metrics import dice
from iris_core.volume_io import read_label
from tests.hosts.nnunet_workshop import Workshop, compared

pytestmark = [pytest.mark.hosts, pytest.mark.nnunet, pytest.mark.real_data]

SET, OTHER = "Dataset901_HippocampusMR", "Dataset903_SpinalCordMR"
CASES = 5  # as many as nnU-Net's own five folds need
SETTINGS = {
    "IRIS_EPOCHS": "1",
    "IRIS_STEPS": "15",
    "IRIS_VALIDATION_STEPS": "2",
    "IRIS_BATCH": "1",
    "IRIS_RATE": "0.01",  # so that the bank learns to draw within a minute
    "IRIS_SCHEDULE": "constant",
    "IRIS_WITHOUT_MEMORY": "0.9",
    "IRIS_MOMENTUM": "0.9",
    "IRIS_PICTURES": "0",
}


def cases_of(dataset: Path) -> list[tuple[Path, Path]]:
    """Image and label of every case, by name."""
    labels = sorted((dataset / "labelsTr").glob("*.nii.gz"))
    return [(dataset / "imagesTr" / f"{path.name[:-7]}_0000.nii.gz", path) for path in labels]


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("IRIS_REAL_DATA") or "-")
    for name in (SET, OTHER):
        if not (folder / name).is_dir():
            pytest.skip(f"IRIS_REAL_DATA names no folder with {name}")
    return folder


@pytest.fixture(scope="module")
def shop(real, tmp_path_factory):
    root = tmp_path_factory.mktemp("real")
    target = root / "raw" / SET
    for part in ("imagesTr", "labelsTr"):
        (target / part).mkdir(parents=True)
    for image, label in cases_of(real / SET)[:CASES]:
        (target / "imagesTr" / image.name).symlink_to(image)
        (target / "labelsTr" / label.name).symlink_to(label)
    description = json.loads((real / SET / "dataset.json").read_text())
    (target / "dataset.json").write_text(json.dumps({**description, "numTraining": CASES}))
    shop = Workshop(root, SET, SETTINGS)
    shop.plan()
    shop.train()
    shop.longer = shop.train("--c", IRIS_EPOCHS="2")
    return shop


def test_a_finished_training_is_made_longer(shop):
    assert "Epoch 1\n" in shop.longer and "Epoch 0\n" not in shop.longer
    summary = json.loads((shop.fold / "validation/summary.json").read_text())
    assert len(summary["metric_per_case"]) == 1


def test_stock_prediction_and_the_bank_agree_on_a_case_outside_the_training(shop, real):
    queries, predicted, segmented = (shop.root / name for name in ("queries", "predicted", "segmented"))
    queries.mkdir()
    for image, _ in cases_of(real / SET)[-2:]:
        (queries / image.name).symlink_to(image)
    shop.predict(queries, predicted)
    shop.segment_by_bank(queries, segmented)
    same = compared(segmented, predicted, range(1, 3))
    assert same and min(same) >= 0.99


def test_the_exported_weights_segment_another_sets_class_from_one_reference(shop, real):
    weights, found = shop.root / "trained.safetensors", shop.root / "cord.nii.gz"
    shop.run("iris", "export", shop.training, "--output", weights)
    reference, (image, truth) = cases_of(real / OTHER)[:2]
    query = ["--query", image, "--output", found, "--spacing", "2"]  # quick
    shop.run("iris", "segment", "--checkpoint", weights, "--reference", *reference, *query)
    assert dice(read_label(found).array == 1, read_label(truth).array == 1) > 0.3
