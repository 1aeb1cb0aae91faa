"""nnU-Net itself as a peer, on generated studies: trains, goes on, and writes what `iris evaluate` reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from iris_core.evaluation.peers.folder import PeerFolder
from iris_core.volume_io import read_image
from tests.raw_sets import OBLIQUE, STRAIGHT, write_raw_set

pytestmark = [pytest.mark.hosts, pytest.mark.nnunet, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
VALUES = {"left": 2, "right": 7}


def run(dataset: Path, *words: str) -> subprocess.CompletedProcess:
    draw = ["--references", "1", "--shots", "2", "--queries", "2"]
    command = [sys.executable, "-m", "benchmarks.peer_nnunet", str(dataset), str(dataset.parent / "results")]
    command += ["--work", str(dataset.parent / "work"), *draw, "--steps", "1", "--no-mirroring", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("peer") / "Dataset011_Blocks"
    return write_raw_set(folder, labels=VALUES, cases=5, affines=(STRAIGHT, OBLIQUE))


def curve(dataset: Path) -> list[dict]:
    return json.loads((dataset.parent / "work/set_0/curve.json").read_text())


def test_it_trains_on_the_references_and_writes_the_queries_in_their_own_grid(dataset):
    early = run(dataset, "--predict-now")
    assert early.returncode != 0 and "nothing was trained" in early.stderr
    done = run(dataset, "--minutes", "0.01", "--most", "0.01")
    assert done.returncode == 0, done.stderr[-3000:]
    folder = PeerFolder(dataset.parent / "results")
    sheet = json.loads((folder.folder / "peer.json").read_text())
    references, queries = sheet["sets"][0]["references"], sheet["sets"][0]["queries"]
    assert len(references) == len(queries) == 2
    (left,) = {f"case_{n}" for n in range(5)} - {*references, *queries}
    assert sheet["about"]["set 0"]["looked_at"] == left
    trained = sorted((dataset.parent / "work/raw").glob("*/labelsTr/*"))
    assert [path.name for path in trained] == [f"{name}.nii.gz" for name in sorted(references)]
    for query in queries:
        image = read_image(dataset / "imagesTr" / f"{query}_0000.nii.gz")
        label = folder.read(0, query, image)  # refuses another grid
        assert set(label.values) <= set(VALUES.values())
        assert sheet["costs"][f"0/{query}"]["seconds"] > 0
    assert (dataset.parent / "work/set_0/curve.png").is_file()


def test_it_goes_on_with_more_minutes_and_predicts_anew(dataset):
    before = curve(dataset)
    more = f"{before[-1]['minutes'] + 0.01:.3f}"
    done = run(dataset, "--minutes", more, "--most", more)
    assert done.returncode == 0, done.stderr[-3000:]
    after = curve(dataset)
    assert after[: len(before)] == before and len(after) > len(before)
    sheet = json.loads((dataset.parent / "results/peer.json").read_text())
    assert sheet["about"]["set 0"]["minutes"] == after[-1]["minutes"]


def test_the_rate_falls_with_the_minutes_spent():
    import torch

    from benchmarks.peer_nnunet.trainer import MinutesRate

    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.01)
    rate, seen = MinutesRate(optimiser, 0.01, 60), []
    for spent in (0, 30, 60, 90):
        rate.spent = spent
        rate.step(5)
        seen.append(optimiser.param_groups[0]["lr"])
    assert seen[0] == 0.01 and seen[1] == pytest.approx(0.01 * 0.515**0.9)
    assert seen[2] == seen[3] and 0 < seen[3] < 0.001
