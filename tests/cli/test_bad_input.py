"""A user's mistake: one line that names the file and the fault, exit status 2, nothing written."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.cli import engine
from iris_core.cli.main import main
from tests.stub_engine import AFFINE, StubEngine, label_array, write_study


class Bench:
    """One reference and one query, and the words of a command that works until something is broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.image, self.label = write_study(folder, "reference")
        self.query, _ = write_study(folder, "query", shift=2, seed=1)
        self.output = folder / "result.nii.gz"
        self.extra: list[str] = []

    def segment(self) -> int:
        return main(["segment", "--reference", str(self.image), str(self.label), "--query", str(self.query),
                     "--output", str(self.output), *self.extra])  # fmt: skip

    def replace(self, path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
        nib.save(nib.Nifti1Image(array, affine), path)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(engine, "Engine", StubEngine)
    return Bench(tmp_path)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def smaller_label(b: Bench) -> None:
    b.replace(b.label, label_array()[:-1])


def shifted_label(b: Bench) -> None:
    affine = AFFINE.copy()
    affine[0, 3] = 30
    b.replace(b.label, label_array(), affine)


def empty_label(b: Bench) -> None:
    b.replace(b.label, np.zeros_like(label_array()))


def fractional_label(b: Bench) -> None:
    b.replace(b.label, noise(*label_array().shape))


def absent_class(b: Bench) -> None:
    b.extra = ["--classes", "1,spleen"]


def flat_image(b: Bench) -> None:
    b.replace(b.query, noise(12, 14))


def series_of_images(b: Bench) -> None:
    b.replace(b.query, noise(12, 14, 10, 3))


def image_with_nan(b: Bench) -> None:
    array = noise(12, 14, 10)
    array[3, 3, 3] = np.nan
    b.replace(b.query, array)


def constant_image(b: Bench) -> None:
    b.replace(b.query, np.full((12, 14, 10), 7, np.float32))


def truncated_image(b: Bench) -> None:
    b.query.write_bytes(b.query.read_bytes()[:-200])


def no_image_at_all(b: Bench) -> None:
    b.query.write_bytes(gzip.compress(b"hello" * 200))


def missing_query(b: Bench) -> None:
    b.query.unlink()


def missing_label(b: Bench) -> None:
    b.label.unlink()


def empty_query_folder(b: Bench) -> None:
    b.query = b.folder / "nothing"
    b.query.mkdir()


def output_is_the_query(b: Bench) -> None:
    b.output, b.extra = b.query, ["--overwrite"]


def output_is_the_reference_label(b: Bench) -> None:
    b.output, b.extra = b.label, ["--overwrite"]


def output_among_the_queries(b: Bench) -> None:
    b.query = b.output = b.query.parent


def output_below_a_file(b: Bench) -> None:
    (b.folder / "results").write_text("a file")
    b.output = b.folder / "results" / "result.nii.gz"


def output_of_unknown_kind(b: Bench) -> None:
    b.output = b.folder / "result.jpg"


def one_file_for_a_folder(b: Bench) -> None:
    b.query = b.query.parent


def report_over_the_label(b: Bench) -> None:
    b.extra = ["--report", str(b.label)]


def labels_that_are_no_json(b: Bench) -> None:
    (b.folder / "labels.json").write_text("{liver: 1")
    b.extra = ["--labels", str(b.folder / "labels.json")]


def labels_of_unknown_form(b: Bench) -> None:
    (b.folder / "labels.json").write_text('{"liver": "one"}')
    b.extra = ["--labels", str(b.folder / "labels.json")]


def two_names_of_one_value(b: Bench) -> None:
    (b.folder / "labels.json").write_text('{"liver": 1, "spleen": 1}')
    b.extra = ["--labels", str(b.folder / "labels.json")]


def spacing_of_zero(b: Bench) -> None:
    b.extra = ["--spacing", "0"]


def missing_checkpoint(b: Bench) -> None:
    b.extra = ["--checkpoint", str(b.folder / "none.safetensors")]


MISTAKES = [
    (smaller_label, "labelsTr/reference.nii.gz", "grid"),
    (shifted_label, "labelsTr/reference.nii.gz", "grid"),
    (empty_label, "labelsTr/reference.nii.gz", "empty"),
    (fractional_label, "labelsTr/reference.nii.gz", "whole numbers"),
    (absent_class, "labelsTr/reference.nii.gz", "spleen"),
    (flat_image, "query_0000.nii.gz", "2D"),
    (series_of_images, "query_0000.nii.gz", "several channels"),
    (image_with_nan, "query_0000.nii.gz", "NaN"),
    (constant_image, "query_0000.nii.gz", "same value"),
    (truncated_image, "query_0000.nii.gz", "cut short"),
    (no_image_at_all, "query_0000.nii.gz", "cannot be read"),
    (missing_query, "query_0000.nii.gz", "no such file"),
    (missing_label, "labelsTr/reference.nii.gz", "no such file"),
    (empty_query_folder, "nothing", "no image"),
    (output_is_the_query, "query_0000.nii.gz", "one of the inputs"),
    (output_is_the_reference_label, "labelsTr/reference.nii.gz", "one of the inputs"),
    (output_among_the_queries, "imagesTr", "among the queries"),
    (output_below_a_file, "results", "a file stands"),
    (output_of_unknown_kind, "result.jpg", "format"),
    (one_file_for_a_folder, "result.nii.gz", "a folder"),
    (report_over_the_label, "labelsTr/reference.nii.gz", "input"),
    (labels_that_are_no_json, "labels.json", "JSON"),
    (labels_of_unknown_form, "labels.json", "not understood"),
    (two_names_of_one_value, "labels.json", "twice"),
    (spacing_of_zero, "--spacing", "0.01-50 mm"),
    (missing_checkpoint, "none.safetensors", "no such file"),
]


@pytest.mark.parametrize(("mistake", "where", "said"), MISTAKES, ids=[m[0].__name__ for m in MISTAKES])
def test_a_mistake_is_one_line_with_status_2_and_writes_nothing(bench: Bench, capsys, mistake, where, said):
    mistake(bench)
    before = contents(bench.folder)
    assert bench.segment() == 2
    told = capsys.readouterr()
    assert len(told.err.strip().splitlines()) == 1, told.err
    assert told.out == ""
    assert where in told.err and said in told.err
    assert contents(bench.folder) == before


@pytest.mark.parametrize(
    ("option", "value", "said"), [("--minutes", "0", "positive"), ("--batch", "x", "whole")]
)
def test_pretraining_refuses_settings_that_make_no_sense(tmp_path: Path, capsys, option, value, said):
    assert main(["pretrain", "--output", str(tmp_path / "run"), "--device", "cpu", option, value]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_bench_itself_is_sound(bench: Bench):
    assert bench.segment() == 0
    np.testing.assert_array_equal(nib.load(bench.output).dataobj, label_array(2))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder_is_named(bench: Bench, capsys):
    bench.output = bench.folder / "locked" / "result.nii.gz"
    bench.output.parent.mkdir(mode=0o500)
    assert bench.segment() == 2
    assert "locked: cannot be written to" in capsys.readouterr().err


def test_a_device_that_refuses_to_be_written_is_named_also_for_root(bench: Bench, capsys):
    bench.output = Path("/proc/iris/result.nii.gz")
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc, a folder in which nobody can make files")
    assert bench.segment() == 2
    told = capsys.readouterr().err
    assert "/proc/iris" in told and len(told.strip().splitlines()) == 1


def test_no_source_is_wrong_use(bench: Bench, capsys):
    assert main(["segment", "--query", str(bench.query), "--output", str(bench.output)]) == 2
    assert "--reference" in capsys.readouterr().err


def test_task_options_beside_a_card_are_refused(bench: Bench, capsys):
    words = ["segment", "--task", str(bench.folder / "card.safetensors"), "--query", str(bench.query),
             "--output", str(bench.output), "--classes", "a"]  # fmt: skip
    assert main(words) == 2
    assert "--classes" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"not weights", b"\x80\x02}q\x00."])
def test_a_foreign_checkpoint_is_refused_in_one_line(tmp_path: Path, capsys, content):
    bench, checkpoint = Bench(tmp_path), tmp_path / "weights.safetensors"
    if content is not None:
        checkpoint.write_bytes(content)
    bench.extra = ["--checkpoint", str(checkpoint)]
    assert bench.segment() == 2
    told = capsys.readouterr().err
    assert "weights.safetensors" in told and len(told.strip().splitlines()) == 1
    assert not bench.output.exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
