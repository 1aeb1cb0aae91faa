"""Laws of names on the command line: where they come from, how references join, what is said without."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.cli import engine
from iris_core.cli.main import main
from iris_core.cli.notices.class_choice import chosen_names, split_names
from iris_core.cli.references import read_references
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_label, write_label
from tests.stub_engine import AFFINE, StubEngine, label_array, write_dataset, write_study


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four studies with liver = 1 and kidney = 3 in their dataset.json; the network is the stub."""
    monkeypatch.setattr(engine, "Engine", StubEngine)
    return write_dataset(tmp_path / "Dataset001_Boxes")


def pair(dataset: Path, number: int) -> tuple[Path, Path]:
    return dataset / f"imagesTr/case_{number}_0000.nii.gz", dataset / f"labelsTr/case_{number}.nii.gz"


def elsewhere(dataset: Path, number: int, names: dict[int, str] | None = None) -> tuple[Path, Path]:
    """A study whose label lies in no dataset, with names of its own or none."""
    image, label = pair(dataset, number)
    moved = dataset.parent / "loose" / label.name
    if names is None:
        moved.parent.mkdir(exist_ok=True)
        moved.write_bytes(label.read_bytes())
    else:
        write_label(LabelVolume(label_array(number - 1), AFFINE, names), moved)
    return image, moved


def segment(dataset: Path, *pairs: tuple[Path, Path], more: tuple[str, ...] = (), number: int = 4) -> int:
    words = [word for image, label in pairs for word in ("--reference", str(image), str(label))]
    query, output = pair(dataset, number)[0], dataset.parent / "out.nii.gz"
    report = ["--report", str(dataset.parent / "run.json")]
    return main(["segment", *words, "--query", str(query), "--output", str(output), *report, *more])


def warnings(dataset: Path) -> str:
    return "\n".join(json.loads((dataset.parent / "run.json").read_text())["warnings"])


def test_an_own_result_serves_as_a_second_reference(dataset):
    assert segment(dataset, pair(dataset, 1), number=2) == 0
    result = dataset.parent / "out.nii.gz"
    assert read_label(result).names == {1: "liver", 3: "kidney"}
    own = result.rename(dataset.parent / "result.nii.gz")
    assert segment(dataset, pair(dataset, 1), (pair(dataset, 2)[0], own)) == 0
    assert read_label(result).names == {1: "liver", 3: "kidney"}
    assert warnings(dataset) == ""


def test_a_reference_without_names_takes_those_of_the_others_by_value_and_says_so(dataset, capsys):
    assert segment(dataset, elsewhere(dataset, 2), pair(dataset, 1)) == 0
    assert read_label(dataset.parent / "out.nii.gz").names == {1: "liver", 3: "kidney"}
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "names no values" in line]
    assert "loose/case_2.nii.gz" in line and "1 = liver, 3 = kidney" in line
    assert "1 = liver, 3 = kidney" in warnings(dataset)


@pytest.mark.parametrize("names", [{1: "1", 3: "label_3"}, {1: "label_1", 3: "3"}])
def test_names_that_repeat_the_value_are_none(dataset, names):
    references = read_references([pair(dataset, 1), elsewhere(dataset, 2, names)], warn=lambda _: None)
    assert references[1][1].names[1] == "liver" and references[1][1].names[3] == "kidney"


def test_a_value_with_two_names_elsewhere_is_refused_with_both(dataset):
    other = elsewhere(dataset, 3, {1: "spleen", 3: "kidney"})
    said = r"value 1 has no name here, and several elsewhere.*liver.*spleen.*--labels"
    with pytest.raises(InputError, match=said):
        read_references([pair(dataset, 1), other, elsewhere(dataset, 2)])


def test_a_name_that_the_label_has_for_another_value_is_not_taken(dataset):
    with pytest.raises(InputError, match="value 1 has no name here, and elsewhere the name of value 3"):
        read_references([pair(dataset, 1), elsewhere(dataset, 2, {3: "liver"})])


def test_a_datasets_file_names_what_the_label_leaves_open_and_is_not_asked_for_more(dataset):
    image, label = pair(dataset, 1)
    write_label(LabelVolume(label_array(), AFFINE, {1: "Leber", 3: "3"}), label)
    (_, read), = read_references([(image, label)], warn=lambda _: None)
    assert read.names[1] == "Leber" and read.names[3] == "kidney"
    write_label(LabelVolume(label_array(), AFFINE, {1: "Leber", 3: "Niere"}), label)
    write_dataset_names(dataset, {"whole": [1, 3]})  # regions, which are not read
    (_, read), = read_references([(image, label)], warn=lambda _: None)
    assert read.names == {1: "Leber", 3: "Niere"}


def test_a_value_that_nobody_names_keeps_its_number(dataset):
    told = []
    write_dataset_names(dataset, {"liver": 1})
    references = read_references([pair(dataset, 1), elsewhere(dataset, 2)], warn=told.append)
    assert [label.names[3] for _, label in references] == ["3", "3"]
    assert any("dataset.json does not name 3" in line for line in told)


def write_dataset_names(dataset: Path, labels: dict[str, int]) -> None:
    description = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**description, "labels": {"background": 0, **labels}}))


def test_labels_that_name_no_value_of_the_file_are_warned_of(dataset, tmp_path):
    (tmp_path / "labels.json").write_text('{"spleen": 7, "vein": 8}')
    assert segment(dataset, pair(dataset, 1), more=("--labels", str(tmp_path / "labels.json"))) == 0
    assert "labels.json names no value of" in warnings(dataset)
    assert "it names 7, 8, and there are 1, 3" in warnings(dataset)


def test_a_value_that_the_labels_file_leaves_out_is_warned_of(dataset, tmp_path):
    (tmp_path / "labels.json").write_text('{"leber": 1}')
    assert segment(dataset, pair(dataset, 1), more=("--labels", str(tmp_path / "labels.json"))) == 0
    assert "labels.json does not name 3; called by number" in warnings(dataset)


def test_evaluate_warns_of_values_that_the_dataset_does_not_name(dataset, capsys):
    write_dataset_names(dataset, {"liver": 1})
    assert main(["evaluate", str(dataset), "--references", "1", "--queries", "1"]) == 0
    assert "value 3 is not named in" in capsys.readouterr().err


def test_a_label_that_is_the_image_is_refused(dataset):
    image, _ = pair(dataset, 1)
    array = np.where(label_array() > 0, label_array() * 10, 1)
    nib.save(nib.Nifti1Image(array.astype(np.float32), AFFINE), image)
    for label in (image, dataset.parent / "copy.nii.gz"):
        if label != image:
            label.write_bytes(image.read_bytes())
        with pytest.raises(InputError, match="the label is the image itself"):
            read_references([(image, label)])


@pytest.mark.parametrize(
    "typed", ["liver, left", '"liver, left"', "liver\\, left", "liver,left", 'kidney,"liver, left"']
)
def test_a_class_name_with_a_comma_can_be_chosen(dataset, typed):
    write_dataset_names(dataset, {"liver, left": 1, "kidney": 3})
    assert segment(dataset, pair(dataset, 1), more=("--classes", typed)) == 0
    shown = set(np.unique(nib.load(dataset.parent / "out.nii.gz").dataobj)) - {0}
    assert shown == ({1, 3} if "kidney" in typed else {1})


@pytest.mark.parametrize(
    ("typed", "known", "chosen"),
    [
        ("a,b", {"a", "b", "a,b"}, ("a", "b")),  # single names go first
        ('"a,b"', {"a", "b", "a,b"}, ("a,b",)),
        ("a,b", {"a", "a, b"}, ("a, b",)),
        ("a,b,c", {"a,b", "b,c", "a", "c"}, ("a", "b,c")),
        ("a,x", {"a", "b"}, ("a", "x")),  # an unknown name stays, to be refused by its name
        ("Gefäß, a,a", {"Gefäß", "a"}, ("Gefäß", "a")),
    ],
)
def test_words_are_joined_to_names_that_there_are(typed, known, chosen):
    assert chosen_names(split_names(typed), known) == chosen


def test_evaluate_and_encode_choose_names_with_commas_too(dataset, tmp_path):
    write_dataset_names(dataset, {"liver, left": 1, "kidney": 3})
    words = ["--classes", "liver, left"]
    assert main(["evaluate", str(dataset), "--references", "1", "--queries", "1", *words]) == 0
    image, label = pair(dataset, 1)
    card = tmp_path / "card.safetensors"
    assert main(["encode", "--reference", str(image), str(label), "--output", str(card), *words]) == 0
    assert set(json.loads(card.read_text())) == {"liver, left"}


def test_names_of_any_letters_survive_the_way_through_a_result(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "Engine", StubEngine)
    folder = write_dataset(tmp_path / "set")
    names = {"肝臓 <&> \"x\"": 1, "Niere, links": 3}
    write_dataset_names(folder, names)
    write_study(folder, "other", seed=9)
    assert segment(folder, pair(folder, 1)) == 0
    assert read_label(tmp_path / "out.nii.gz").names == {value: name for name, value in names.items()}
