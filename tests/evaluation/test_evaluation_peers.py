"""Laws of the peers: results in files, what absent classes are given, what it all cost, and the picture."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from iris_core.cli import engine
from iris_core.cli.main import main
from iris_core.errors import InputError
from iris_core.evaluation.cost import Cost, measured
from iris_core.evaluation.measurement import COPY, MODEL, Answer, Bench, Measurement, Pair, Question
from iris_core.evaluation.pairs import ReferenceSet
from iris_core.evaluation.peers.folder import PeerFolder
from iris_core.evaluation.summary import summarise
from iris_core.evaluation.table import table
from iris_core.metrics import ClassScore
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io.folder.raw_dataset import LabelledCase, RawDataset
from tests.stub_engine import AFFINE, StubEngine, label_array, write_dataset

DRAW = ("--references", "2", "--queries", "3")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine, "Engine", StubEngine)
    return write_dataset(tmp_path / "Dataset001_Boxes", cases=6)


def evaluate(dataset: Path, *more: str) -> tuple[int, dict]:
    file = dataset.parent / "figures.json"
    status = main(["evaluate", str(dataset), *DRAW, "--json", str(file), *more])
    return status, json.loads(file.read_text())


def copy_truth(dataset: Path, folder: Path, pairs: list[dict], *, leave_out: tuple[str, ...] = ()) -> None:
    """Files the truth of every query as a peer's result."""
    for pair in pairs:
        if pair["query"] not in leave_out:
            path = folder / str(pair["set"]) / f"{pair['query']}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((dataset / "labelsTr" / f"{pair['query']}.nii.gz").read_bytes())


def test_results_in_files_stand_beside_the_model_on_the_same_pairs(dataset, capsys):
    _, before = evaluate(dataset)
    copy_truth(dataset, dataset.parent / "outside", before["pairs"])
    status, record = evaluate(dataset, "--peer", f"outside={dataset.parent / 'outside'}")
    assert status == 0
    outside = record["summary"]["methods"]["outside"]
    assert outside["dice"]["mean"] == 1.0 and outside["failures"] == 0
    assert outside["model_gain"]["mean"] == 0.0
    assert [pair["query"] for pair in record["pairs"]] == [pair["query"] for pair in before["pairs"]]
    assert "outside" in capsys.readouterr().out


def test_a_missing_result_counts_as_zero_and_is_named(dataset, caplog, capsys):
    _, before = evaluate(dataset)
    gone = before["pairs"][0]["query"]
    folder = dataset.parent / "outside"
    copy_truth(dataset, folder, before["pairs"], leave_out=(gone,))
    status, record = evaluate(dataset, "--peer", f"outside={folder}")
    assert status == 0  # the model has done its part
    outside = record["summary"]["methods"]["outside"]
    missing = [pair for pair in record["pairs"] if pair["query"] == gone]
    assert outside["failures"] == len(missing)
    assert all(pair["outside_dice"] == 0.0 for pair in missing)
    assert outside["dice"]["mean"] == pytest.approx(1 - 1 / outside["dice"]["units"])
    assert f"{gone}.nii.gz" in missing[0]["peer_failures"]["outside"]
    assert f"{gone}.nii.gz" in capsys.readouterr().err + caplog.text


def test_a_result_on_another_grid_counts_as_zero_and_says_why(dataset):
    _, before = evaluate(dataset)
    folder = dataset.parent / "outside"
    copy_truth(dataset, folder, before["pairs"])
    pair = before["pairs"][0]
    wrong = nib.Nifti1Image(label_array()[:-1], AFFINE)
    nib.save(wrong, folder / str(pair["set"]) / f"{pair['query']}.nii.gz")
    _, record = evaluate(dataset, "--peer", f"outside={folder}")
    assert record["pairs"][0]["outside_dice"] == 0.0
    assert "grid" in record["pairs"][0]["peer_failures"]["outside"]


def test_a_broken_network_takes_no_result_from_a_peer(dataset, monkeypatch):
    _, before = evaluate(dataset)
    copy_truth(dataset, dataset.parent / "outside", before["pairs"])

    def broken(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr(StubEngine, "encode", broken)
    status, record = evaluate(dataset, "--peer", f"outside={dataset.parent / 'outside'}")
    assert status == 1
    assert record["summary"]["dice"]["mean"] == 0.0
    assert record["summary"]["methods"]["outside"]["dice"]["mean"] == 1.0


@pytest.mark.parametrize("word", ["outside", "=folder", "iris=.", "copy-prompt=.", "outside=nowhere"])
def test_a_peer_that_cannot_be_read_is_one_line_and_status_2(dataset, word, monkeypatch, capsys):
    monkeypatch.chdir(dataset.parent)
    assert main(["evaluate", str(dataset), *DRAW, "--peer", word]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def cases(*names: str) -> tuple[LabelledCase, ...]:
    return tuple(LabelledCase(name, Path(name), Path(name)) for name in names)


def test_results_made_with_other_references_are_refused(tmp_path):
    made = [ReferenceSet(cases("a"), cases("c", "d"), (1,))]
    PeerFolder.start(tmp_path / "peer", made)
    PeerFolder.open(tmp_path / "peer", made)
    with pytest.raises(InputError, match="other references"):
        PeerFolder.open(tmp_path / "peer", [ReferenceSet(cases("b"), cases("c"), (1,))])


def test_what_was_written_is_read_with_its_cost_by_whoever_goes_on(tmp_path):
    sets = [ReferenceSet(cases("a"), cases("c"), (1,))]
    folder = PeerFolder.start(tmp_path / "peer", sets)
    label = LabelVolume(label_array(), AFFINE)
    folder.write(0, "c", label, Cost(2.5, 300.0))
    folder.tell(minutes=7)
    again = PeerFolder.start(tmp_path / "peer", sets)
    assert (again.cost(0, "c"), again.cost(0, "d"), again.about) == (Cost(2.5, 300.0), None, {"minutes": 7})
    assert np.array_equal(again.read(0, "c", label).array, label.array)


def test_a_peer_s_own_cost_counts_not_that_of_reading_its_file(dataset):
    _, before = evaluate(dataset)
    folder = dataset.parent / "outside"
    copy_truth(dataset, folder, before["pairs"])
    sheet = {"costs": {f"{p['set']}/{p['query']}": {"seconds": 40, "peak_mb": 7000} for p in before["pairs"]}}
    (folder / "peer.json").write_text(json.dumps(sheet))
    outside = evaluate(dataset, "--peer", f"outside={folder}")[1]["summary"]["methods"]["outside"]
    assert (outside["seconds"], outside["peak_mb"]) == (40, 7000)
    (folder / "peer.json").unlink()
    outside = evaluate(dataset, "--peer", f"outside={folder}")[1]["summary"]["methods"]["outside"]
    assert (outside["seconds"], outside["peak_mb"]) == (None, None)


def test_expected_dice_and_warnings_of_a_pair_are_the_models_own(dataset):
    stub, cases = StubEngine(None, "cpu", None), RawDataset.open(dataset).cases

    def peer(question: Question) -> Answer:
        label = StubEngine.apply(stub, question.task, question.image).label
        return Answer(label, expected={"liver": 0.1}, warnings=("a peer's",))

    def measured_pair(apply) -> Pair:
        bench = Bench({1: "liver"}, {}, lambda pairs, names: stub.encode(pairs, classes=names), apply)
        sets = [ReferenceSet(cases[:1], cases[1:2], (1,))]
        return replace(bench, peers={"outside": peer}).measure(sets).pairs[0]

    both, alone = measured_pair(stub.apply), measured_pair(lambda *_: 1 / 0)
    assert both.expected == {"liver": 1.0} and both.dice("outside") == alone.dice("outside") == 1.0
    assert alone.expected == {} and both.warnings == alone.warnings == ()


# figures


def pair(query: str, model: ClassScore, copied: ClassScore, **peers) -> Pair:
    scores = {MODEL: model, COPY: copied, **peers}
    per_value = {method: {1: score} for method, score in scores.items()}
    return Pair(0, ("r",), query, query, per_value, usual={1: 200.0})


def test_an_absent_class_is_measured_against_its_volume_in_the_references():
    """Two queries lack the class: 10 and 30 voxels of usually 200 are 5 % and 15 %."""
    pairs = (
        pair("a", ClassScore(0, 10, 0), ClassScore(0, 200, 0)),
        pair("b", ClassScore(0, 30, 0), ClassScore(0, 200, 0)),
        pair("c", ClassScore(100, 100, 50), ClassScore(100, 100, 100)),
    )
    summary = summarise(Measurement(pairs, (Cost(1.0),)), {1: "one"})
    iris, copied = summary.methods["iris"], summary.methods["copy-prompt"]
    assert (iris.absent_share, iris.absent_worst) == (pytest.approx(0.10), pytest.approx(0.15))
    assert copied.absent_share == pytest.approx(1.0)
    assert (iris.classes["one"].absent_pairs, iris.classes["one"].pairs) == (2, 1)
    assert "10.00 %" in table(summary)


def test_usual_volume_is_counted_in_voxels_of_the_query(dataset):
    """The query's voxels are half as long along one axis, so the same volume has twice as many."""
    fine = np.diag([0.75, 1.5, 2.0, 1.0])
    for folder, name in (("imagesTr", "case_2_0000"), ("labelsTr", "case_2")):
        path = dataset / folder / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), fine), path)
    _, record = evaluate(dataset, "--ordered-pairs", "--cases", "case_1,case_2")
    coarse, fine = int((label_array() == 1).sum()), None
    usual = {entry["query"]: entry["classes"]["liver"]["usual_voxels"] for entry in record["pairs"]}
    assert usual == {"case_2": 2 * coarse, "case_1": coarse / 2}


def test_the_spread_is_the_standard_deviation_over_pairs():
    scores = [ClassScore(10, 10, shared) for shared in (2, 4, 9)]
    pairs = tuple(pair(str(n), score, score) for n, score in enumerate(scores))
    iris = summarise(Measurement(pairs, (Cost(1.0),)), {1: "one"}).methods["iris"]
    assert iris.spread == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1))
    assert iris.classes["one"].spread == pytest.approx(iris.spread)


def test_the_interval_against_every_peer_is_of_the_paired_difference():
    """The gain is .1 on every pair, however much the pairs differ, so its interval has no width."""
    pairs = tuple(
        pair(str(n), ClassScore(10, 10, n + 1), ClassScore(10, 10, 0), p=ClassScore(10, 10, n))
        for n in range(8)
    )
    gain = summarise(Measurement(pairs, (Cost(1.0),)), {1: "one"}).methods["p"].model_gain
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    assert gain.units == 8


# cost


def test_the_peak_is_of_the_work_itself():
    """In a process of its own, whose memory nothing else has touched."""
    program = (
        "import numpy as np\n"
        "from iris_core.evaluation.cost import measured\n"
        "costs = [measured(lambda: np.ones(size).sum())[1] for size in (30_000_000, 10)]\n"  # 240 MB first
        "print(*(cost.peak_mb for cost in costs), costs[0].seconds > 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    large, small, took = ran.stdout.split()
    assert took == "True"
    if large == "None":
        pytest.skip("this system does not tell the memory of a process")
    if Path("/proc/self/clear_refs").exists():
        assert 180 < float(large) - float(small) < 400
    else:
        assert float(small) >= float(large)


def test_a_method_that_raises_raises_and_costs_nothing(dataset, monkeypatch):
    with pytest.raises(ZeroDivisionError):
        measured(lambda: 1 / 0)
    monkeypatch.setattr(StubEngine, "apply", lambda *_, **__: 1 / 0)
    _, record = evaluate(dataset)
    assert record["pairs"][0]["methods"]["iris"]["seconds"] is None
    assert record["pairs"][0]["methods"]["copy-prompt"]["seconds"] >= 0


# the picture


def test_the_picture_is_drawn_and_shows_a_dot_of_every_method(dataset, caplog):
    file = dataset.parent / "pictures/dice.png"
    with caplog.at_level(logging.ERROR):
        evaluate(dataset, "--picture", str(file))
    colours = Image.open(file).convert("RGB").getcolors(1 << 24)
    shown = {colour for count, colour in colours if count > 20}
    assert {(31, 119, 180), (255, 127, 14)} <= shown  # the first two of the cycle: the model, copy-prompt
