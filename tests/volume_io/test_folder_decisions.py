"""Laws of a folder's run: one decision about every entry, each thing left out is named with its reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from test_dicom import save_series

from iris_core.cli import engine
from iris_core.cli.main import main
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import write_label
from tests.dicom_files import AXIAL, write_enhanced
from tests.stub_engine import AFFINE, StubEngine, label_array, write_dataset


class Bench:
    """Four studies as references and queries, and the command that segments a folder of them."""

    def __init__(self, folder: Path) -> None:
        self.dataset, self.output = write_dataset(folder / "Dataset001_Boxes"), folder / "out"
        self.queries = folder / "queries"
        self.queries.mkdir()
        for number in (2, 3):
            source = self.dataset / f"imagesTr/case_{number}_0000.nii.gz"
            (self.queries / source.name).write_bytes(source.read_bytes())

    def run(self, *more: str, query: Path | None = None, output: Path | None = None) -> int:
        image, label = self.dataset / "imagesTr/case_1_0000.nii.gz", self.dataset / "labelsTr/case_1.nii.gz"
        words = ["segment", "--reference", str(image), str(label), "--query", str(query or self.queries)]
        report = self.output.with_suffix(".json")
        return main([*words, "--output", str(output or self.output), "--report", str(report), *more])

    @property
    def record(self) -> dict:
        return json.loads(self.output.with_suffix(".json").read_text())

    @property
    def left_out(self) -> dict[str, str]:
        """Name -> reason, as the report says."""
        return {Path(entry["path"]).name: entry["reason"] for entry in self.record["left_out"]}

    def results(self, folder: Path | None = None) -> list[str]:
        return sorted(path.name for path in (folder or self.output).iterdir() if path.is_file())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(engine, "Engine", StubEngine)
    return Bench(tmp_path)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 900, (12, 14, 10)).astype(np.int16)


def as_label(path: Path, suffix: str = ".nii.gz") -> Path:
    """A label map of another program: whole numbers and nothing in its header."""
    path = path.with_name(path.name + suffix)
    nib.save(nib.Nifti1Image(label_array(2), AFFINE), path)
    return path


def test_everything_in_the_folder_is_segmented_or_named_with_its_reason(bench, capsys):
    queries = bench.queries
    for name in ("._case_2_0000.nii.gz", ".DS_Store", "notes.txt", "case.dcm.png"):
        (queries / name).write_bytes(b"x")
    (queries / "gone.nii.gz").symlink_to(queries / "nowhere.nii.gz")
    (queries / "deeper" / "still").mkdir(parents=True)
    (queries / "empty").mkdir()
    (queries / "drawn.seg.nrrd").write_bytes(b"x")
    write_label(LabelVolume(label_array(2), AFFINE, {1: "liver"}), queries / "result.nii.gz")
    as_label(queries / "other")
    save_series(queries / "series", noise())
    (queries / "series" / "beside.nii.gz").write_bytes((queries / "case_2_0000.nii.gz").read_bytes())

    assert bench.run() == 0
    assert bench.results() == ["case_2.nii.gz", "case_3.nii.gz", "series.nii.gz"]
    expected = {
        "._case_2_0000.nii.gz": "hidden", ".DS_Store": "hidden", "notes.txt": "of no kind",
        "case.dcm.png": "of no kind", "gone.nii.gz": "leads nowhere", "deeper": "run of its own",
        "empty": "folder without an image", "drawn.seg.nrrd": "segmentation", "result.nii.gz": "Iris wrote",
        "other.nii.gz": "looks like a label map", "beside.nii.gz": "beside a DICOM series",
    }  # fmt: skip
    told = capsys.readouterr().err
    assert set(bench.left_out) == set(expected)
    for name, reason in expected.items():
        assert reason in bench.left_out[name], name
        assert name in told and reason in told
    assert bench.record["failures"] == []


def test_a_series_with_other_files_beside_it_is_the_image(bench, capsys):
    folder = bench.queries.parent / "study"
    voxels = noise()
    save_series(folder, voxels)
    as_label(folder / "label")
    (folder / "image.nii.gz").write_bytes((bench.queries / "case_2_0000.nii.gz").read_bytes())
    (folder / "sub").mkdir()
    assert bench.run(query=folder) == 0
    assert bench.results() == ["study.nii.gz"]
    assert nib.load(bench.output / "study.nii.gz").shape == voxels.shape
    assert set(bench.left_out) == {"label.nii.gz", "image.nii.gz", "sub"}
    assert "beside a DICOM series" in capsys.readouterr().err


def test_loose_slices_beside_more_image_files_are_no_series(bench):
    folder = bench.queries
    save_series(folder, noise()[:, :, :2])
    assert bench.run() == 0
    assert bench.results() == ["case_2.nii.gz", "case_3.nii.gz"]
    assert len(bench.left_out) == 2
    assert all("DICOM file beside other images" in reason for reason in bench.left_out.values())


@pytest.mark.dicom
@pytest.mark.parametrize("beside", [True, False], ids=["beside files", "alone"])
def test_multi_frame_files_are_cases_of_their_own(bench, beside):
    folder = bench.queries if beside else bench.queries.parent / "frames"
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(("m1.dcm", "m2.dcm")):
        write_enhanced(folder / name, noise(), AXIAL, series=f"1.2.3.{number}")
    assert bench.run(query=folder) == 0
    assert bench.results() == [
        *(["case_2.nii.gz", "case_3.nii.gz"] if beside else []),
        "m1.nii.gz",
        "m2.nii.gz",
    ]
    assert bench.left_out == {}


@pytest.mark.parametrize("kind", ["series", "files"])
def test_results_inside_the_query_folder_are_no_queries_of_the_next_run(bench, kind):
    folder = bench.queries
    if kind == "series":
        folder = bench.queries.parent / "study"
        save_series(folder, noise())
    inside = folder / "results"
    assert bench.run(query=folder, output=inside) == 0
    first = bench.results(inside)
    for path in inside.iterdir():  # and beside the queries
        (folder / f"again_{path.name}").write_bytes(path.read_bytes())
    assert bench.run("--overwrite", query=folder, output=inside) == 0
    assert bench.results(inside) == first
    again = {name: reason for name, reason in bench.left_out.items() if name.startswith("again")}
    assert len(again) == len(first) and all("Iris wrote" in reason for reason in again.values())
    assert "results" in bench.left_out


def test_a_result_in_the_series_folder_does_not_become_its_image(bench):
    folder = bench.queries.parent / "study"
    save_series(folder, noise())
    for _ in range(2):
        assert bench.run("--overwrite", query=folder, output=folder / "study.nii.gz") == 0
    assert bench.record["cases"][0]["query"] == str(folder)


def test_one_case_in_doubt_is_named_and_the_others_are_done(bench, capsys):
    """a.nii and a.nii.gz would both give a.nii.gz."""
    source = (bench.queries / "case_2_0000.nii.gz").read_bytes()
    nib.save(nib.load(bench.queries / "case_3_0000.nii.gz"), bench.queries / "case_2.nii")
    (bench.queries / "case_2.nii.gz").write_bytes(source)
    (bench.queries / "case_2_0000.nii.gz").unlink()
    assert bench.run() == 1
    assert bench.results() == ["case_3.nii.gz"]
    told = capsys.readouterr().err
    assert "several files are called case_2" in told and "1 of 2 cases failed: case_2" in told
    assert bench.record["failures"] == ["case_2"]
    (bench.queries / "case_3_0000.nii.gz").unlink()
    assert bench.run() == 2  # nothing else is there to do


def test_a_chosen_channel_names_the_others(bench):
    for number in (2, 3):
        source = bench.queries / f"case_{number}_0000.nii.gz"
        source.with_name(f"case_{number}_0001.nii.gz").write_bytes(source.read_bytes())
    assert bench.run("--channel", "0") == 0
    assert set(bench.left_out) == {"case_2_0001.nii.gz", "case_3_0001.nii.gz"}


def test_references_in_the_query_folder_by_whatever_path_are_left_alone(bench):
    image = bench.dataset / "imagesTr/case_1_0000.nii.gz"
    (bench.queries / "case_1_0000.nii.gz").symlink_to(image)
    (bench.queries / "case_1.nii.gz").symlink_to(bench.dataset / "labelsTr/case_1.nii.gz")
    assert bench.run() == 0
    assert bench.results() == ["case_2.nii.gz", "case_3.nii.gz"]
    assert bench.left_out == {name: "is a reference" for name in ("case_1.nii.gz", "case_1_0000.nii.gz")}


def test_results_that_are_kept_are_named(bench, capsys):
    bench.run()
    capsys.readouterr()
    assert bench.run() == 0
    assert "case_2.nii.gz, case_3.nii.gz" in capsys.readouterr().err
    assert set(bench.left_out) == {"case_2_0000.nii.gz", "case_3_0000.nii.gz"}


@pytest.mark.skipif(os.name == "nt", reason="needs names of any bytes, and pipes")
def test_names_that_are_no_text_and_pipes_stop_nothing(bench, capsys):
    odd = Path(os.fsdecode(os.fsencode(bench.queries) + b"/odd\xff.txt"))
    odd.write_text("x")
    (bench.queries / "two\nlines.txt").write_text("x")
    os.mkfifo(bench.queries / "pipe.nii.gz")
    (bench.queries / "loop").symlink_to(bench.queries / "loop")
    save_series(bench.queries / "series", noise())
    os.mkfifo(bench.queries / "series" / "pipe")
    assert bench.run("--json") == 0
    assert set(bench.left_out) == {odd.name, "two\nlines.txt", "pipe.nii.gz", "pipe", "loop"}
    told = capsys.readouterr()
    assert "'two\\nlines.txt'" in told.err and json.loads(told.out)["failures"] == []


@pytest.mark.parametrize("content", [(), ("notes.txt", "._a.nii.gz")])
def test_a_folder_without_an_image_is_one_line_that_says_what_there_is(bench, capsys, content):
    folder = bench.queries.parent / "nothing"
    folder.mkdir()
    for name in content:
        (folder / name).write_text("x")
    assert bench.run(query=folder) == 2
    told = capsys.readouterr().err
    assert "nothing: holds no image" in told and len(told.strip().splitlines()) == 1
    assert all(name in told for name in content) and (content or "found nothing" in told)


def test_one_file_that_is_a_segmentation_is_refused_or_doubted(bench, capsys):
    write_label(LabelVolume(label_array(2), AFFINE), bench.queries / "own.nii.gz")
    assert bench.run(query=bench.queries / "own.nii.gz") == 2
    assert "own.nii.gz: is a segmentation that Iris wrote" in capsys.readouterr().err
    assert bench.run(query=as_label(bench.queries / "mask"), output=bench.output / "a.nii.gz") == 0
    assert "looks like a label map" in capsys.readouterr().err
    assert any("looks like a label map" in line for line in bench.record["warnings"])


def test_freesurfers_image_is_a_query_and_its_result_is_nifti(bench):
    image = nib.load(bench.queries / "case_2_0000.nii.gz")
    nib.save(nib.MGHImage(np.asarray(image.dataobj, np.float32), image.affine), bench.queries / "t1.mgz")
    assert bench.run() == 0
    assert "t1.nii.gz" in bench.results()
    assert np.allclose(nib.load(bench.output / "t1.nii.gz").affine, image.affine, atol=1e-4)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_what_cannot_be_opened_is_named(bench):
    (bench.queries / "case_2_0000.nii.gz").chmod(0)
    (bench.queries / "locked").mkdir(mode=0)
    assert bench.run() == 1
    assert bench.record["failures"] == ["case_2"]
    assert "cannot be opened" in bench.left_out["locked"]


def test_hidden_files_stop_no_dataset(bench):
    from iris_core.volume_io.folder.raw_dataset import RawDataset

    for folder in ("labelsTr", "imagesTr"):
        (bench.dataset / folder / "._case_1.nii.gz").write_bytes(b"x")
    assert [case.name for case in RawDataset.open(bench.dataset).cases] == [f"case_{n}" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    "values", [(0, 0.7), (0, 255), (0, 1017, 2035, 17, 53)], ids=["share", "mask", "aparc"]
)
def test_masks_of_any_value_and_freesurfers_labels_are_left_out(bench, values):
    array = np.zeros((12, 14, 10), np.float32)
    for number, value in enumerate(values[1:]):
        array[2:10, 2:12, 2 * number : 2 * number + 2] = value
    nib.save(nib.Nifti1Image(array, AFFINE), bench.queries / "mask.nii.gz")
    assert bench.run() == 0
    assert "looks like a label map" in bench.left_out["mask.nii.gz"]


def test_the_command_line_runs_as_a_module():
    import subprocess
    import sys

    ran = subprocess.run(
        [sys.executable, "-m", "iris_core.cli.main", "--help"], capture_output=True, text=True
    )
    assert ran.returncode == 0 and "segment" in ran.stdout
