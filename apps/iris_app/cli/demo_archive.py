"""Sample studies for `iris serve --demo-dicom`: CT and MR series, the first of each labelled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from apps.iris_app.cli.archive import Archive
from apps.iris_app.cli.dicom_series import series_files
from apps.iris_app.datastores.anatomy_codes import segment_attribute
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_image, read_label, write_label
from iris_core.volume_io.folder.raw_dataset import RawDataset


def fill_archive(archive: Archive, studies: int = 3) -> None:
    """Stores phantoms in an archive that is empty.

    Args:
        archive: running.
        studies: of each kind.
    """
    from sample_data.make_phantoms import make_phantoms

    if archive.get("/series"):
        return
    with tempfile.TemporaryDirectory() as scratch:
        for dataset in map(RawDataset.open, make_phantoms(Path(scratch) / "sets", studies=studies)):
            modality = "CT" if dataset.modality == "ct" else "MR"
            for number, case in enumerate(dataset.cases):
                folder = Path(scratch) / case.name
                folder.mkdir()
                files = series_files(read_image(case.image), modality, case.name, f"{modality} phantom")
                for index, file in enumerate(files):
                    (folder / f"{index:04d}.dcm").write_bytes(file)
                    archive.add(file)
                if number == 0:
                    archive.add(seg_file(read_label(case.label, labels=dataset.label_names), folder))


def seg_file(label: LabelVolume, series: Path) -> bytes:
    """A label as DICOM SEG.

    Args:
        label: on the grid of the series.
        series: folder of its DICOM files.

    Raises:
        InputError: the converter is missing or fails.
    """
    segments = [segment_attribute(label.name_of(v), v, label.color_of(v)) for v in label.values]
    description = {
        "ContentCreatorName": "Iris", "SeriesDescription": "Labels", "SeriesNumber": "300",
        "InstanceNumber": "1", "ContentLabel": "SEGMENTATION", "ContentDescription": "Sample labels",
        "segmentAttributes": [segments],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_label(label, folder / "label.nrrd")
        (folder / "meta.json").write_text(json.dumps(description))
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        program = shutil.which("itkimage2segimage", path=path)
        if program is None:
            raise InputError("itkimage2segimage is missing", remedy="pip install 'iris-incontext[app]'")
        files = {"--inputImageList": "label.nrrd", "--inputMetadata": "meta.json", "--outputDICOM": "seg.dcm"}
        words = [word for option, name in files.items() for word in (option, str(folder / name))]
        command = [program, *words, "--inputDICOMDirectory", str(series)]
        done = subprocess.run(command, capture_output=True, text=True)
        if not (folder / "seg.dcm").is_file():
            raise InputError("dcmqi cannot write the sample labels", found=done.stderr.strip()[-200:])
        return (folder / "seg.dcm").read_bytes()
