"""Laws of the evaluation: who meets whom, what counts, and what the figures mean."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.cli import engine
from iris_core.cli.main import main
from iris_core.errors import InputError
from iris_core.evaluation.cost import Cost
from iris_core.evaluation.measurement import COPY, MODEL, Measurement, Pair
from iris_core.evaluation.pairs import Candidates, read_groups
from iris_core.evaluation.summary import summarise
from iris_core.evaluation.table import table
from iris_core.metrics import ClassScore
from iris_core.volume_io.folder.raw_dataset import LabelledCase, RawDataset
from tests.stub_engine import AFFINE, StubEngine, label_array, write_dataset

CASES = [
    LabelledCase(f"c{n:02d}", Path(f"c{n:02d}_0000.nii.gz"), Path(f"c{n:02d}.nii.gz")) for n in range(12)
]


def draw(groups: dict[str, str] | None = None, holds=lambda case: frozenset({1, 2}), **changes):
    settings = {"references": 3, "shots": 2, "queries": 4, "seed": 5, **changes}
    return Candidates(CASES, groups or {}, (1, 2), holds).draw_sets(**settings)


def perfect(voxels: int) -> ClassScore:
    return ClassScore(voxels, voxels, voxels)


# drawing


def test_the_same_seed_draws_the_same_pairs_and_another_seed_others():
    assert draw() == draw()
    assert draw() != draw(seed=6)


def test_a_query_is_never_a_reference_of_its_own_set():
    for entry in draw(references=6):
        assert not set(entry.references) & set(entry.queries)
        assert len(entry.references) == 2 and len(entry.queries) == 4


@pytest.mark.parametrize("seed", range(5))
def test_a_query_is_never_of_a_reference_s_patient(seed: int):
    groups = {case.name: f"patient {index // 3}" for index, case in enumerate(CASES)}
    for entry in draw(groups, seed=seed, references=4):
        patients = {groups[case.name] for case in entry.references}
        assert not patients & {groups[case.name] for case in entry.queries}


def test_no_case_is_a_reference_twice_before_all_were():
    drawn = [case.name for entry in draw(references=6) for case in entry.references]
    assert sorted(drawn) == [case.name for case in CASES]


def test_references_hold_every_class_as_long_as_such_cases_last():
    complete = set(CASES[:4])
    sets = draw(references=2, holds=lambda case: frozenset({1, 2} if case in complete else {1}))
    assert {case for entry in sets for case in entry.references} == complete


def test_a_class_that_a_reference_lacks_is_not_asked_and_is_named():
    entry = draw(references=1, holds=lambda case: frozenset({1}))[0]
    assert (entry.values, entry.missing) == ((1,), (2,))


def test_labels_are_read_only_until_enough_references_are_found():
    read = []
    draw(references=1, shots=1, holds=lambda case: read.append(case) or frozenset({1, 2}))
    assert len(set(read)) == 1


def test_patients_that_leave_no_query_are_an_error():
    with pytest.raises(InputError, match="no query of another patient"):
        draw({case.name: "one" for case in CASES})


def test_ordered_pairs_are_all_pairs_of_different_patients():
    groups = {"c00": "a", "c01": "a"}
    sets = Candidates(CASES[:4], groups, (1,), lambda _: frozenset({1})).ordered_pairs()
    pairs = {(entry.references[0].name, query.name) for entry in sets for query in entry.queries}
    names = [case.name for case in CASES[:4]]
    same = {("c00", "c01"), ("c01", "c00")}
    assert pairs == {(a, b) for a in names for b in names if a != b} - same


def test_groups_that_name_an_unknown_case_are_refused(tmp_path):
    (tmp_path / "groups.json").write_text('{"c99": "a"}')
    with pytest.raises(InputError, match="c99"):
        read_groups(tmp_path / "groups.json", CASES)


# the dataset


def test_a_range_of_cases_counts_from_one_in_name_order_with_both_ends(tmp_path):
    dataset = RawDataset.open(write_dataset(tmp_path / "set"))
    assert [case.name for case in dataset.chosen("2-3")] == ["case_2", "case_3"]
    assert [case.name for case in dataset.chosen("case_4,case_1")] == ["case_4", "case_1"]
    assert (dataset.names, dataset.modality) == ({1: "liver", 3: "kidney"}, "ct")


@pytest.mark.parametrize("selection", ["0-2", "3-9", "3-2", "case_9"])
def test_cases_that_are_not_there_are_refused(tmp_path, selection):
    with pytest.raises(InputError, match="--cases"):
        RawDataset.open(write_dataset(tmp_path / "set")).chosen(selection)


def test_of_several_channels_one_must_be_chosen(tmp_path):
    folder = write_dataset(tmp_path / "set", cases=2)
    description = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(description | {"channel_names": {"0": "CT", "1": "T2"}}))
    for image in list((folder / "imagesTr").iterdir()):
        image.with_name(image.name.replace("_0000", "_0001")).write_bytes(image.read_bytes())
    with pytest.raises(InputError, match="--channel"):
        RawDataset.open(folder)
    chosen = RawDataset.open(folder, channel=1)
    assert chosen.modality == "mr"
    assert {case.image.name for case in chosen.cases} == {"case_1_0001.nii.gz", "case_2_0001.nii.gz"}


# figures


def test_a_failure_counts_as_zero_and_a_class_that_the_truth_lacks_does_not_count():
    half = ClassScore(8, 8, 4)
    model, copied = {1: perfect(8), 2: ClassScore(0, 5, 0)}, {1: half, 2: perfect(0)}
    done = Pair(0, ("r",), "a", "a", {MODEL: model, COPY: copied})
    nothing = {MODEL: {1: ClassScore(8, 0, 0)}, COPY: {1: half}}
    failed = Pair(0, ("r",), "b", "b", nothing, failures={MODEL: "broke"})
    summary = summarise(Measurement((done, failed), (Cost(1.0),)), {1: "one", 2: "two"})
    assert summary.dice.mean == pytest.approx(0.5)
    assert summary.copied.mean == pytest.approx(0.5)
    one, two = summary.classes
    assert (one.dice, one.pairs) == (pytest.approx(0.5), 2)
    assert (two.dice, two.pairs, two.false_positive_pairs, two.false_positive_voxels) == (None, 0, 1, 5)
    assert summary.failures == ("b: broke",)
    assert "1 (5 voxels)" in table(summary) and "counted as 0: 1" in table(summary)


def test_the_interval_counts_a_query_once_however_many_references_met_it():
    pairs = [
        Pair(index, ("r",), query, query, {MODEL: {1: perfect(8)}, COPY: {1: ClassScore(8, 8, 4)}})
        for index in range(3) for query in ("a", "b")
    ]  # fmt: skip
    summary = summarise(Measurement(tuple(pairs), (Cost(1.0),) * 3), {1: "one"})
    assert summary.difference.units == 2
    assert summary.difference.mean == pytest.approx(0.5)


def test_a_run_without_any_measurable_pair_still_gives_a_table():
    unreadable = Pair(0, ("r",), "a", "a", failures={MODEL: "unreadable"})
    summary = summarise(Measurement((unreadable,), ()), {1: "one"})
    assert summary.dice is None
    assert "one" in table(summary)


# the whole command


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine, "Engine", StubEngine)
    StubEngine.encode_calls = 0
    return write_dataset(tmp_path / "Dataset001_Boxes", cases=6)


def evaluate(dataset: Path, *more: str) -> tuple[int, dict]:
    file = dataset.parent / "figures.json"
    status = main(
        ["evaluate", str(dataset), "--references", "2", "--queries", "3", "--json", str(file), *more]
    )
    return status, json.loads(file.read_text())


def without_costs(record):
    """A record without what a clock or the system's memory says."""
    if isinstance(record, dict):
        costs = {"seconds", "encode_seconds", "segment_seconds", "peak_mb"}
        return {key: without_costs(value) for key, value in record.items() if key not in costs}
    return [without_costs(value) for value in record] if isinstance(record, list) else record


def test_a_perfect_network_scores_one_and_references_are_encoded_once_a_set(dataset, capsys):
    status, record = evaluate(dataset)
    assert status == 0
    assert record["summary"]["dice"]["mean"] == 1.0
    assert StubEngine.encode_calls == 2
    assert len(record["pairs"]) == 6
    printed = capsys.readouterr().out
    assert "liver" in printed and "1.000" in printed and "95 % interval" in printed


def test_copy_prompt_stands_beside_it_with_the_dice_of_the_shifted_boxes(dataset):
    _, record = evaluate(dataset, "--ordered-pairs", "--cases", "case_1,case_2")
    for pair in record["pairs"]:  # boxes of 4 voxels, moved by one: 3 of 4 shared
        assert pair["copy_dice"] == pytest.approx(0.75)
        assert pair["classes"]["liver"]["copy_dice"] == pytest.approx(0.75)


def test_the_same_seed_gives_the_same_figures(dataset):
    assert without_costs(evaluate(dataset)[1]) == without_costs(evaluate(dataset)[1])


def test_an_unreadable_query_is_named_and_the_run_goes_on(dataset, capsys):
    _, before = evaluate(dataset)
    victim = before["pairs"][0]["query"]
    (dataset / f"imagesTr/{victim}_0000.nii.gz").write_bytes(b"no image")
    status, after = evaluate(dataset)
    assert status == 1
    assert len(after["pairs"]) == len(before["pairs"])
    assert f"{victim}_0000.nii.gz" in capsys.readouterr().err


def test_a_network_that_breaks_scores_zero_beside_an_unharmed_copy_prompt(dataset, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr(StubEngine, "apply", broken)
    status, record = evaluate(dataset)
    assert status == 1
    assert record["summary"]["dice"]["mean"] == 0.0
    assert record["summary"]["copied"]["mean"] > 0.2
    assert "boom" in record["summary"]["failures"][0]


def test_a_run_that_is_ended_leaves_the_pairs_it_measured(dataset, monkeypatch):
    _, whole = evaluate(dataset)
    apply, asked = StubEngine.apply, []

    def ended(*arguments, **options):
        asked.append(0)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return apply(*arguments, **options)

    monkeypatch.setattr(StubEngine, "apply", ended)
    (dataset.parent / "figures.json").unlink()
    _, record = evaluate(dataset)
    assert without_costs(record["pairs"]) == without_costs(whole["pairs"][:4])
    assert record["summary"] is None and whole["summary"]["pairs"] == 6
    assert record["pairs_asked"] == whole["pairs_asked"] == 6


def test_results_are_judged_in_the_query_s_own_grid(dataset):
    image, label = dataset / "imagesTr/case_2_0000.nii.gz", dataset / "labelsTr/case_2.nii.gz"
    turned = np.array([[0, -1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]) * 1.5
    turned[3, 3] = 1
    for path in (image, label):
        nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), turned), path)
    status, record = evaluate(dataset, "--ordered-pairs")
    assert status == 0
    assert record["summary"]["dice"]["mean"] == 1.0


def test_only_the_asked_classes_are_measured(dataset, capsys):
    _, record = evaluate(dataset, "--classes", "kidney")
    assert [entry["name"] for entry in record["summary"]["classes"]] == ["kidney"]
    assert main(["evaluate", str(dataset), "--classes", "spleen"]) == 2
    assert "spleen" in capsys.readouterr().err


def test_voxels_to_ignore_are_never_scored_nor_learnt(dataset):
    description = json.loads((dataset / "dataset.json").read_text())
    description["labels"]["ignore"] = 9
    (dataset / "dataset.json").write_text(json.dumps(description))
    for number in (1, 2):  # half of the liver, and background beside it
        label = nib.load(dataset / f"labelsTr/case_{number}.nii.gz")
        array = np.array(label.dataobj)
        array[: int(np.argwhere(array == 1)[:, 0].mean()) + 1] = 9
        nib.save(nib.Nifti1Image(array, label.affine), dataset / f"labelsTr/case_{number}.nii.gz")
    _, record = evaluate(dataset, "--ordered-pairs", "--cases", "case_1,case_2")
    assert record["summary"]["dice"]["mean"] == 1.0
    assert {entry["name"] for entry in record["summary"]["classes"]} == {"liver", "kidney"}


def test_a_class_absent_in_a_query_counts_its_voxels_as_false_positives(dataset):
    only_liver = np.where(label_array(1) == 1, 1, 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(only_liver, AFFINE), dataset / "labelsTr/case_2.nii.gz")
    _, record = evaluate(dataset, "--ordered-pairs", "--cases", "case_1,case_2")
    kidney = next(entry for entry in record["summary"]["classes"] if entry["name"] == "kidney")
    assert (kidney["false_positive_pairs"], kidney["false_positive_voxels"]) == (1, 36)


def test_a_folder_that_is_no_dataset_is_one_line_and_status_2(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "dataset.json" in capsys.readouterr().err


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["Dataset901_HippocampusMR", "Dataset903_SpinalCordMR"])
def test_copy_prompt_runs_on_real_studies(real_data: Path, tmp_path, monkeypatch, name):
    monkeypatch.setattr(engine, "Engine", StubEngine)
    file = tmp_path / "figures.json"
    words = ["--references", "2", "--queries", "2", "--json", str(file)]
    assert main(["evaluate", str(real_data / name), *words]) == 0
    assert 0 < json.loads(file.read_text())["summary"]["copied"]["mean"] < 1
