"""Laws of the UniverSeg peer: its blocks, its size, which slices meet, that it learns, and its files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks.peer_universeg.__main__ import main
from benchmarks.peer_universeg.cross_block import CrossBlock, CrossConv
from benchmarks.peer_universeg.network import UniverSeg, load, save
from benchmarks.peer_universeg.slice_episode import draw_episode, positions
from benchmarks.peer_universeg.slice_wise import segment, slice_axis, slices_each
from benchmarks.peer_universeg.training import Settings, control_figures, loss_of, train
from iris_core.cli import engine
from iris_core.cli.main import main as iris
from iris_core.errors import CheckpointError
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_label
from tests.stub_engine import AFFINE, StubEngine, write_dataset

TINY = {"width": 8, "stages": 3, "side": 32, "batch": 4, "references": 3, "controls": 2}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# the network


def test_a_cross_convolution_is_one_of_the_joined_maps():
    layer, query, references = CrossConv(3, 5, 7), noise(2, 3, 8, 6), noise(2, 4, 5, 8, 6, seed=1)
    joined = torch.cat([query[:, None].expand(-1, 4, -1, -1, -1), references], dim=2)
    literal = layer.joint(joined.flatten(0, 1)).view(2, 4, 7, 8, 6)
    torch.testing.assert_close(layer(query, references), literal)


def test_a_cross_block_gives_the_mean_of_what_the_references_say_and_a_map_each():
    block = CrossBlock(3, 5, 7)
    query, references = block(noise(1, 3, 8, 8), noise(1, 4, 5, 8, 8, seed=1))
    alone = [block(noise(1, 3, 8, 8), noise(1, 4, 5, 8, 8, seed=1)[:, n : n + 1])[0] for n in range(4)]
    torch.testing.assert_close(query, torch.stack(alone).mean(0))
    assert references.shape == (1, 4, 7, 8, 8)


def test_the_published_sizes_give_the_published_number_of_weights():
    assert round(sum(p.numel() for p in UniverSeg().parameters()) / 1e6, 2) == 1.18


def test_the_order_of_the_references_does_not_matter():
    network = UniverSeg(8, 3).eval()
    query, images, masks = noise(1, 1, 16, 16), noise(1, 3, 1, 16, 16, seed=1), noise(1, 3, 1, 16, 16, seed=2)
    turned = [2, 0, 1]
    torch.testing.assert_close(
        network(query, images, masks), network(query, images[:, turned], masks[:, turned])
    )


def test_weights_come_back_with_their_progress(tmp_path):
    network = UniverSeg(8, 3)
    save(tmp_path / "w.safetensors", network, {"steps": 12, "seconds": 3.5})
    again, done = load(tmp_path / "w.safetensors")
    assert done == {"steps": 12, "seconds": 3.5}
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)


def test_what_holds_no_weights_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="train first"):
        load(tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="no weights"):
        load(tmp_path / "w.safetensors")


# slices


def test_slices_lie_around_the_relative_position_and_inside():
    assert positions(10, 0.55, 1) == [5]
    assert positions(100, 0.5, 3, spread=0.1) == [40, 50, 60]
    assert positions(10, 0.05, 3, spread=0.2) == [0, 0, 2]
    assert positions(10, 0.99, 3, spread=0.2)[-1] == 9


def test_several_references_share_the_slices():
    assert [slices_each(6, n) for n in (1, 2, 3, 5, 9)] == [6, 3, 2, 2, 2]


def test_slices_are_stacked_along_the_thick_axis_or_else_the_axial_one():
    def image(*spacing: float) -> Volume:
        return Volume(np.zeros((4, 4, 4), np.float32), np.diag([*spacing, 1.0]))

    assert slice_axis(image(1, 1, 1)) == slice_axis(image(1.1, 1, 1)) == 2
    assert slice_axis(image(1, 3, 1)) == 1
    turned = np.array([[0, 0, 4, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)  # k runs to the right
    assert slice_axis(Volume(np.zeros((4, 4, 4), np.float32), turned)) == 0


def test_an_episode_is_repeatable_and_asks_only_what_its_references_show():
    def draw():
        return draw_episode(torch.Generator().manual_seed(3), batch=4, references=3, side=16)

    one, two = draw(), draw()
    assert one.query.shape == (4, 1, 16, 16) and one.images.shape == one.masks.shape == (4, 3, 1, 16, 16)
    assert one.truth.shape == (4, 16, 16)
    torch.testing.assert_close(one.query, two.query)
    assert one.masks.flatten(1).any(dim=1).all()


def test_an_empty_truth_costs_nothing_when_the_answer_is_empty():
    empty, sure = torch.zeros(1, 4, 4), torch.full((1, 4, 4), -30.0)
    assert loss_of(sure, empty) < 1e-6 < loss_of(-sure, empty)


# learning


def test_it_learns_to_find_what_its_references_show():
    """Trained on a few synthetic slices it fits them, and no more when the masks are another task's."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(5)
    one = draw_episode(generator, batch=6, references=3, side=32)
    network = UniverSeg(12, 3)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(80):
        loss = loss_of(network(one.query, one.images, one.masks), one.truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    figures = control_figures(network, [one])
    assert figures["own"] > 0.6 and figures["own"] > figures["rolled"] + 0.3


def test_a_training_goes_on_where_it_stopped(tmp_path):
    def rows() -> list[dict]:
        return [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]

    train(Settings(tmp_path, minutes=0.01, log_every=1000, **TINY))
    (first,) = rows()
    train(Settings(tmp_path, minutes=0.02, log_every=1000, **TINY))
    assert rows()[-1]["steps"] > first["steps"] > 0
    assert 0.02 <= rows()[-1]["minutes"] < 0.2
    assert (tmp_path / "curve.png").is_file()


# volumes and files


class Copying(torch.nn.Module):
    """Says what the mean of the reference masks says."""

    def forward(self, query, images, masks):
        return 20 * (masks[:, :, 0].mean(1) - 0.5)


def study(shift: int = 0) -> tuple[Volume, LabelVolume]:
    """Two boxes in an image whose second axis is thick and runs backwards."""
    affine = np.diag([1.0, -4.0, 1.0, 1.0])
    array = np.zeros((20, 10, 24), np.uint8)
    array[3:9, 2:6, 4:12] = 2
    array[10 + shift : 16 + shift, 5:9, 12:20] = 7
    image = 1.0 + array + np.random.default_rng(0).random(array.shape)
    return Volume(image.astype(np.float32), affine), LabelVolume(array, affine)


def test_a_network_that_copies_masks_gives_the_reference_back_in_the_file_s_own_order():
    image, label = study()
    found = segment(Copying(), [(image, label)], image, (2, 7), modality="mr", slices=1, side=64)
    assert found.array.shape == label.array.shape and np.array_equal(found.affine, image.affine)
    for value in (2, 7):
        shared = np.sum((found.array == value) & (label.array == value))
        assert 2 * shared / (np.sum(found.array == value) + np.sum(label.array == value)) > 0.97


def test_a_class_that_no_near_slice_shows_is_not_asked():
    """Slices 2 to 5 show value 2; one slice at the same place is asked of each."""
    image, label = study()
    calls = []

    class Counting(Copying):
        def forward(self, query, images, masks):
            calls.append(1)
            return super().forward(query, images, masks)

    segment(Counting(), [(image, label)], image, (2,), modality="mr", slices=1, side=16)
    assert len(calls) == 4


def test_results_lie_where_evaluate_looks_and_are_made_once(tmp_path, monkeypatch):
    dataset = write_dataset(tmp_path / "Dataset001_Boxes", cases=4)
    save(tmp_path / "work.safetensors", UniverSeg(8, 3), {"steps": 1, "seconds": 60.0})
    (tmp_path / "work").mkdir()
    (tmp_path / "work.safetensors").rename(tmp_path / "work/weights.safetensors")
    words = ["predict", str(dataset), str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    draw = ["--references", "2", "--queries", "2", "--slices", "2"]
    assert main(words + draw) == 0
    sheet = json.loads((tmp_path / "out/peer.json").read_text())
    assert len(sheet["costs"]) == 4 and sheet["about"]["minutes"] == 1.0
    for index, entry in enumerate(sheet["sets"]):
        for query in entry["queries"]:
            label = read_label(tmp_path / "out" / str(index) / f"{query}.nii.gz")
            assert label.shape == (12, 14, 10) and np.allclose(label.affine, AFFINE)
            assert set(label.values) <= {1, 3}
    assert main(words + draw) == 0
    assert json.loads((tmp_path / "out/peer.json").read_text()) == sheet
    monkeypatch.setattr(engine, "Engine", StubEngine)
    peer = ["--peer", f"universeg={tmp_path / 'out'}", "--json", str(tmp_path / "figures.json")]
    assert iris(["evaluate", str(dataset), *draw[:4], *peer]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())["summary"]["methods"]["universeg"]
    assert figures["failures"] == 0 and figures["seconds"] > 0
    assert iris(["evaluate", str(dataset), *draw[:4], "--seed", "1", *peer]) == 2  # another draw
