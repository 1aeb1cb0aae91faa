"""Laws of the command line: exit status, names of results, what is kept, what is said where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.cli import engine
from iris_core.cli.main import COMMANDS, main
from iris_core.cli.other_commands import other_commands
from iris_core.volume_io import read_label
from tests.stub_engine import AFFINE, StubEngine, label_array, write_dataset


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four studies of two boxes; the network is the stub."""
    monkeypatch.setattr(engine, "Engine", StubEngine)
    StubEngine.encode_calls = 0
    return write_dataset(tmp_path / "Dataset001_Boxes")


def reference(dataset: Path, number: int = 1) -> list[str]:
    image, label = dataset / f"imagesTr/case_{number}_0000.nii.gz", dataset / f"labelsTr/case_{number}.nii.gz"
    return ["--reference", str(image), str(label)]


def segment(dataset: Path, output: Path, *more: str, query: Path | None = None) -> int:
    query = query or dataset / "imagesTr"
    return main(["segment", *reference(dataset), "--query", str(query), "--output", str(output), *more])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("command", ["", *COMMANDS, *other_commands()])
def test_help_answers_without_importing_torch_or_numpy(command: str):
    probe = (
        "import sys; from iris_core.cli.main import main; status = main(sys.argv[1:]); "
        "sys.exit(9 if {'torch', 'numpy', 'monai'} & set(sys.modules) else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *command.split(), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "usage: iris" in done.stdout


def test_a_wrong_option_is_one_line_and_status_2(capsys):
    assert main(["segment", "--nonsense"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_no_command_prints_the_help_and_is_wrong_use(capsys):
    assert main([]) == 2
    assert "segment" in capsys.readouterr().out


def test_a_folder_s_results_keep_the_queries_names_and_the_reference_s_values(dataset, tmp_path):
    assert segment(dataset, tmp_path / "out") == 0
    assert files(tmp_path / "out") == ["case_2.nii.gz", "case_3.nii.gz", "case_4.nii.gz"]
    for number in (2, 3, 4):
        result = nib.load(tmp_path / f"out/case_{number}.nii.gz")
        np.testing.assert_array_equal(np.asarray(result.dataobj), label_array(number - 1))
        np.testing.assert_allclose(result.affine, AFFINE)


def test_a_folder_run_encodes_the_references_once(dataset, tmp_path):
    segment(dataset, tmp_path / "out")
    assert StubEngine.encode_calls == 1


def test_a_reference_in_the_query_folder_is_left_alone_and_said(dataset, tmp_path, capsys):
    segment(dataset, tmp_path / "out")
    assert "case_1_0000.nii.gz: is a reference" in capsys.readouterr().err


def test_a_reference_s_label_among_the_queries_is_no_query(dataset, tmp_path):
    image, label = (Path(word) for word in reference(dataset)[1:])
    beside = label.rename(image.parent / "case_1_label.nii.gz")
    words = ["segment", "--reference", str(image), str(beside), "--query", str(image.parent)]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    assert files(tmp_path / "out") == ["case_2.nii.gz", "case_3.nii.gz", "case_4.nii.gz"]


def test_one_file_goes_to_the_file_that_is_named(dataset, tmp_path):
    output = tmp_path / "new" / "result.seg.nrrd"
    assert segment(dataset, output, query=dataset / "imagesTr/case_3_0000.nii.gz") == 0
    label = read_label(output)
    np.testing.assert_array_equal(label.array, label_array(2))
    assert label.names == {1: "liver", 3: "kidney"}


def test_overlapping_structures_are_kept_in_the_layers_of_a_segmentation(dataset, tmp_path):
    assert segment(dataset, tmp_path / "out", "--overlaps") == 0
    assert files(tmp_path / "out") == [f"case_{number}.seg.nrrd" for number in (2, 3, 4)]
    both = read_label(tmp_path / "out/case_2.seg.nrrd")
    assert both.masks([1, 3]).all(axis=0).any()
    assert both.names == {1: "liver", 3: "kidney"}
    query = dataset / "imagesTr/case_3_0000.nii.gz"
    assert segment(dataset, tmp_path / "a.nii.gz", "--overlaps", query=query) == 2


def test_names_come_from_the_dataset_json_beside_the_label(dataset, tmp_path):
    assert segment(dataset, tmp_path / "out", "--classes", "kidney") == 0
    assert set(np.unique(nib.load(tmp_path / "out/case_2.nii.gz").dataobj)) == {0, 3}


def test_a_labels_file_goes_before_the_dataset_json(dataset, tmp_path):
    for number, form in enumerate([{"leber": 1}, {"1": "leber"}, {"labels": {"background": 0, "leber": 1}}]):
        labels = tmp_path / "labels.json"
        labels.write_text(json.dumps(form))
        out = tmp_path / f"out{number}"
        assert segment(dataset, out, "--labels", str(labels), "--classes", "leber") == 0
        assert set(np.unique(nib.load(out / "case_2.nii.gz").dataobj)) == {0, 1}


def test_values_that_nobody_names_are_called_by_their_number(dataset, tmp_path):
    (dataset / "dataset.json").unlink()
    assert segment(dataset, tmp_path / "out", "--classes", "3") == 0
    assert set(np.unique(nib.load(tmp_path / "out/case_2.nii.gz").dataobj)) == {0, 3}


def test_existing_results_are_kept_and_said(dataset, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/case_2.nii.gz").write_bytes(b"mine")
    assert segment(dataset, tmp_path / "out") == 0
    assert (tmp_path / "out/case_2.nii.gz").read_bytes() == b"mine"
    assert "--overwrite" in capsys.readouterr().err
    assert segment(dataset, tmp_path / "out", "--overwrite") == 0
    assert (tmp_path / "out/case_2.nii.gz").read_bytes() != b"mine"


def test_nothing_left_to_do_loads_no_weights(dataset, tmp_path):
    segment(dataset, tmp_path / "out")
    assert segment(dataset, tmp_path / "out") == 0
    assert StubEngine.encode_calls == 1


def test_a_folder_run_goes_on_after_a_bad_case_names_it_and_exits_1(dataset, tmp_path, capsys):
    (dataset / "imagesTr/case_3_0000.nii.gz").write_bytes(b"no image")
    assert segment(dataset, tmp_path / "out") == 1
    assert files(tmp_path / "out") == ["case_2.nii.gz", "case_4.nii.gz"]
    assert "1 of 3 cases failed: case_3" in capsys.readouterr().err


def test_an_interrupted_run_exits_130_and_leaves_only_whole_files(dataset, tmp_path, monkeypatch, capsys):
    import iris_core.volume_io.nifti.images as nifti

    save, saved = nib.save, []

    def interrupted(image, path):
        save(image, path)
        saved.append(path)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(nifti.nib, "save", interrupted)
    assert segment(dataset, tmp_path / "out") == 130
    assert files(tmp_path / "out") == ["case_2.nii.gz"]
    assert "Traceback" not in capsys.readouterr().err


def test_a_terminated_run_ends_like_an_interrupted_one(dataset, tmp_path, monkeypatch):
    import os
    import signal

    monkeypatch.setattr(StubEngine, "apply", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert segment(dataset, tmp_path / "out") == 143
    assert files(tmp_path / "out") == []


def test_json_prints_the_record_on_stdout_and_nothing_else(dataset, tmp_path, capsys):
    (dataset / "imagesTr/case_3_0000.nii.gz").write_bytes(b"no image")
    segment(dataset, tmp_path / "out", "--json", "--report", str(tmp_path / "run.json"))
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "run.json").read_text())
    assert {case["name"]: case["status"] for case in printed["cases"]} == {
        "case_1": "skipped", "case_2": "done", "case_3": "failed", "case_4": "done",
    }  # fmt: skip
    assert printed["failures"] == ["case_3"]
    assert printed["task"]["classes"] == [{"name": "liver", "value": 1}, {"name": "kidney", "value": 3}]
    assert {"python", "torch", "iris"} <= set(printed["versions"])


def test_quiet_says_nothing_when_all_went_well(dataset, tmp_path, capsys):
    segment(dataset, tmp_path / "out", "--quiet")
    assert capsys.readouterr() == ("", "")


def test_preview_writes_a_picture_of_each_result_beside_the_results(dataset, tmp_path):
    from PIL import Image

    segment(dataset, tmp_path / "out", "--preview")
    assert files(tmp_path / "out/previews") == ["case_2.png", "case_3.png", "case_4.png"]
    colors = Image.open(tmp_path / "out/previews/case_2.png").convert("RGB").getcolors(1 << 20)
    assert (230, 75, 53) in {color for _, color in colors}  # the first class's outline


def test_a_stored_card_gives_the_same_mask_as_its_references(dataset, tmp_path):
    card, query = tmp_path / "boxes.safetensors", dataset / "imagesTr/case_2_0000.nii.gz"
    assert main(["encode", *reference(dataset), "--output", str(card)]) == 0
    by_card = ["segment", "--task", str(card), "--query", str(query), "--output", str(tmp_path / "a.nii.gz")]
    assert main(by_card) == 0
    assert segment(dataset, tmp_path / "b.nii.gz", query=query) == 0
    a, b = (nib.load(tmp_path / name).dataobj for name in ("a.nii.gz", "b.nii.gz"))
    np.testing.assert_array_equal(a, b)


def test_encode_states_the_sizes_of_embedding_and_extras(dataset, tmp_path, capsys):
    card = tmp_path / "boxes.safetensors"
    words = ["encode", *reference(dataset), "--output", str(card)]
    main(words)
    assert "(embedding 0 kB, extras 0 kB)" in capsys.readouterr().out
    main([*words, "--overwrite", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["embedding_bytes"] + told["extras_bytes"] == told["bytes"] == card.stat().st_size


def test_modality_its_reason_and_the_spacing_are_said_once_a_run(dataset, tmp_path, capsys):
    segment(dataset, tmp_path / "out", "--modality", "ct")
    said = "modality ct (of the stub), worked at 1.5 x 1.5 x 2 mm, one-shot\n"
    assert capsys.readouterr().err.count(said) == 1


def test_an_existing_card_is_kept_unless_overwritten(dataset, tmp_path):
    card = tmp_path / "boxes.safetensors"
    card.write_text("mine")
    words = ["encode", *reference(dataset), "--output", str(card)]
    assert main(words) == 0
    assert card.read_text() == "mine"
    assert main([*words, "--overwrite"]) == 0
    assert card.read_text() != "mine"


def test_demo_writes_labels_pictures_and_a_contact_sheet(dataset, tmp_path, capsys):
    assert main(["demo", "--data", str(dataset), "--output", str(tmp_path / "demo")]) == 0
    folder = tmp_path / "demo/prelabels/Dataset001_Boxes"
    assert files(folder) == sorted(f"case_{n}.{kind}" for n in (2, 3, 4) for kind in ("nii.gz", "png"))
    assert (tmp_path / "demo/demo.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert printed.count("not a medical device") == 1
    assert "liver" in printed and "1.000" in printed


def test_a_fault_of_the_program_is_told_apart_from_bad_input(dataset, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(StubEngine, "encode", broken)
    assert segment(dataset, tmp_path / "out") == 70


def test_bars_and_notes_stay_off_a_terminal_that_is_none(capsys):
    from iris_core.cli.console import Console

    console = Console()
    step = console.steps("volume", "window")
    for done in (1, 2, 3, 1, 2, 3):
        step(done, 3)
    console.warn("twice")
    console.warn("twice")
    assert capsys.readouterr().err == "note: twice\n"
    assert console.warnings == ["twice"]


def test_bars_are_drawn_on_a_terminal(monkeypatch, capsys):
    from iris_core.cli.console import Console

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    step = Console().steps("volume", "window")
    assert "volume: 0window" in capsys.readouterr().err  # before the first report
    step(1, 2)
    assert "1/2" in capsys.readouterr().err
    Console(quiet=True).steps("volume", "window")(1, 2)
    assert capsys.readouterr().err == ""
