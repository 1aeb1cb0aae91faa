"""The command line with a real, untrained network: references, cards and weights meet as they should."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.cli.main import main
from tests.stub_engine import AFFINE, write_dataset

MIRRORED = 3  # the seed of the network whose checkpoint asks for the second pass


def checkpoint(path: Path, seed: int) -> Path:
    from iris_core.checkpoint import save_model
    from tests.tiny import network

    meta = {"preset": "tiny", "steps": 0, "fit_steps": 1, "mirror": seed == MIRRORED}
    save_model(path, network(seed=seed), meta)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three studies, three untrained networks, and a card that the first one wrote."""
    folder = tmp_path_factory.mktemp("engine")
    write_dataset(folder / "Dataset001_Boxes", cases=3)
    for seed in (1, 2, MIRRORED):
        checkpoint(folder / f"weights{seed}.safetensors", seed)
    assert (
        main(["encode", *reference(folder), "--output", str(folder / "boxes.safetensors"), *weights(folder)])
        == 0
    )
    return folder


def reference(folder: Path) -> list[str]:
    dataset = folder / "Dataset001_Boxes"
    return [
        "--reference",
        str(dataset / "imagesTr/case_1_0000.nii.gz"),
        str(dataset / "labelsTr/case_1.nii.gz"),
    ]


def weights(folder: Path, seed: int = 1) -> list[str]:
    return ["--checkpoint", str(folder / f"weights{seed}.safetensors"), "--device", "cpu"]


def segment(folder: Path, source: list[str], output: Path, *more: str, seed: int = 1) -> int:
    query = folder / "Dataset001_Boxes/imagesTr/case_2_0000.nii.gz"
    words = ["--query", str(query), "--output", str(output), *weights(folder, seed), *more]
    return main(["segment", *source, *words])


def test_a_stored_card_gives_the_same_mask_bit_for_bit_as_its_references(place, tmp_path):
    assert segment(place, reference(place), tmp_path / "a.nii.gz") == 0
    assert segment(place, ["--task", str(place / "boxes.safetensors")], tmp_path / "b.nii.gz") == 0
    assert (tmp_path / "a.nii.gz").read_bytes()[10:] == (tmp_path / "b.nii.gz").read_bytes()[10:]


def test_the_result_has_the_query_s_grid_and_only_values_of_the_reference(place, tmp_path):
    segment(place, reference(place), tmp_path / "a.nii.gz")
    result = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(result.affine, AFFINE, atol=1e-5)
    assert result.shape == (12, 14, 10)
    assert set(np.unique(result.dataobj)) <= {0, 1, 3}


def test_a_card_of_another_network_is_refused_in_one_line(place, tmp_path, capsys):
    card = ["--task", str(place / "boxes.safetensors")]
    assert segment(place, card, tmp_path / "a.nii.gz", seed=2) == 2
    told = capsys.readouterr().err
    assert "boxes.safetensors" in told and len(told.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "content", [None, b"", b"not a card", b"{}" * 50], ids=["none", "empty", "text", "json"]
)
def test_a_file_that_is_no_card_is_refused_in_one_line(place, tmp_path, capsys, content):
    card = tmp_path / "card.safetensors"
    if content is not None:
        card.write_bytes(content)
    assert segment(place, ["--task", str(card)], tmp_path / "a.nii.gz") == 2
    told = capsys.readouterr().err
    assert "card.safetensors" in told and len(told.strip().splitlines()) == 1
    assert not (tmp_path / "a.nii.gz").exists()


def test_weights_given_as_a_card_are_refused_in_one_line(place, tmp_path, capsys):
    assert segment(place, ["--task", str(place / "weights1.safetensors")], tmp_path / "a.nii.gz") == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_card_given_as_weights_is_refused_in_one_line(place, tmp_path, capsys):
    words = ["--checkpoint", str(place / "boxes.safetensors")]
    assert segment(place, reference(place), tmp_path / "a.nii.gz", *words) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_record_names_the_weights_and_the_references_used(place, tmp_path, capsys):
    assert segment(place, reference(place), tmp_path / "a.nii.gz", "--json", "--preview") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["weights"]["preset"] == "tiny" and len(record["weights"]["fingerprint"]) == 16
    assert set(record["cases"][0]["references_used"]) == {"liver", "kidney"}
    assert Path(record["cases"][0]["preview"]).is_file()


def test_evaluate_runs_with_several_references(place, tmp_path):
    file = tmp_path / "figures.json"
    words = ["--references", "1", "--shots", "2", "--queries", "1", "--json", str(file), *weights(place)]
    assert main(["evaluate", str(place / "Dataset001_Boxes"), *words]) == 0
    assert json.loads(file.read_text())["summary"]["pairs"] == 1


def test_info_describes_a_checkpoint(place, capsys):
    assert main(["info", "--checkpoint", str(place / "weights1.safetensors"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["weights"]["parameters"] > 1000
    assert set(found["checks"].values()) == {"ok"}


def test_the_help_offers_the_strategies_that_there_are():
    from iris_core import strategies
    from iris_core.cli import options

    assert options.STRATEGIES == strategies.STRATEGIES


def test_a_pool_for_retrieval_gives_the_same_mask_from_its_card(place, tmp_path):
    dataset, card = place / "Dataset001_Boxes", tmp_path / "card.safetensors"
    second = [
        "--reference",
        str(dataset / "imagesTr/case_3_0000.nii.gz"),
        str(dataset / "labelsTr/case_3.nii.gz"),
    ]
    source = [*reference(place), *second, "--strategy", "retrieval"]
    assert segment(place, source, tmp_path / "a.nii.gz") == 0
    assert main(["encode", *source, "--output", str(card), *weights(place)]) == 0
    assert segment(place, ["--task", str(card)], tmp_path / "b.nii.gz") == 0
    assert (tmp_path / "a.nii.gz").read_bytes()[10:] == (tmp_path / "b.nii.gz").read_bytes()[10:]


def test_without_mirroring_a_card_has_one_embedding_of_a_reference_and_the_mask_is_another(place, tmp_path):
    sizes = []
    for name, more in (("both", []), ("one", ["--no-mirroring"])):
        card = tmp_path / f"{name}.safetensors"
        words = ["--output", str(card), *weights(place, MIRRORED), *more]
        assert main(["encode", *reference(place), *words]) == 0
        assert segment(place, reference(place), tmp_path / f"{name}.nii.gz", *more, seed=MIRRORED) == 0
        sizes.append(card.stat().st_size)
    assert 1.9 < sizes[0] / sizes[1] < 2.1
    source = ["--task", str(tmp_path / "both.safetensors")]
    assert segment(place, source, tmp_path / "c.nii.gz", "--no-mirroring", seed=MIRRORED) == 0
    one, both, card = (nib.load(tmp_path / f"{name}.nii.gz").get_fdata() for name in ("one", "both", "c"))
    assert np.array_equal(one, card) and not np.array_equal(one, both)
