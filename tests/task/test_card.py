"""Laws of task cards: the same masks bit for bit, small, without an image, for the model that made them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from iris_core.checkpoint import fingerprint
from iris_core.config import PRESETS
from iris_core.errors import CardError, InputError
from iris_core.inference.pair_fit.reference_edges import MARGIN
from iris_core.segmenter import Segmenter
from iris_core.strategies import STRATEGIES, tune
from iris_core.task.card import load_card, save_card
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.reference import ClassInfo, Reference
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from tests.tiny import PLAIN, PLAIN_LIMIT, QUICK, network, study


def segmenter(config=None) -> Segmenter:
    model = network(config) if config else network()
    name = fingerprint(model.config, model.state_dict())
    return Segmenter(model, window=(32, 32, 32), fingerprint=name, **QUICK)


def task_of(runner: Segmenter, strategy: str = "one-shot", references: int = 1) -> Task:
    studies = [Reference(*study(seed), name=f"study {seed}") for seed in range(references)]
    return encode_task(runner, studies, modality="mr", spacing=2.0, strategy=strategy, seed=3)


@pytest.fixture
def card(tmp_path):
    """A card, its task and the network's fingerprint."""
    runner = segmenter()
    task = task_of(runner)
    save_card(task, tmp_path / "card.safetensors")
    return tmp_path / "card.safetensors", task, runner.fingerprint


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_stored_card_gives_the_same_masks_bit_for_bit(tmp_path, monkeypatch, strategy):
    monkeypatch.setattr("iris_core.task_encoding.tune", partial(tune, steps=2))
    runner, query = segmenter(), study(7, shift=1)[0]
    task = task_of(runner, strategy, references=2)
    save_card(task, tmp_path / "card.safetensors")
    kept = load_card(tmp_path / "card.safetensors", runner.fingerprint)
    before, after = apply_task(runner, task, query), apply_task(segmenter(), kept, query)
    np.testing.assert_array_equal(before.masks, after.masks)
    np.testing.assert_array_equal(before.label.array, after.label.array)
    assert before.quality == after.quality and before.references_used == after.references_used


def test_the_paper_s_network_has_cards_without_extras(tmp_path):
    runner, query = segmenter(PLAIN), study(7)[0]
    task = task_of(runner)
    assert save_card(task, tmp_path / "card.safetensors")["extras"] == 0
    kept = load_card(tmp_path / "card.safetensors", runner.fingerprint)
    np.testing.assert_array_equal(
        apply_task(runner, task, query).masks, apply_task(runner, kept, query).masks
    )


def test_a_card_keeps_everything_that_is_said_of_the_task(card):
    path, task, name = card
    kept = load_card(path, name)
    said = ("classes", "modality", "spacing", "strategy", "fingerprint", "provenance", "seed")
    for field in (*said, "modality_given"):
        assert getattr(kept, field) == getattr(task, field), field


@pytest.mark.parametrize("preset", PRESETS)
def test_a_plain_embedding_takes_at_most_100_kb_a_class_and_reference(tmp_path, preset):
    config = PRESETS[preset]
    names = ("a", "b", "c")
    tokens = torch.randn(3, config.context_tokens + 1, config.channels[-1])
    embedding = TaskEmbedding(names, tokens, image=torch.randn(config.channels[-1]))
    classes = tuple(ClassInfo(name, value, (1, 2, 3)) for value, name in enumerate(names, 1))
    path = tmp_path / "card.safetensors"
    save_card(Task(classes, "ct", (1.5, 1.5, 1.5), (embedding, embedding), "ensemble", "f" * 16), path)
    assert path.stat().st_size <= PLAIN_LIMIT * 3 * 2 == 600_000


def test_the_stated_sizes_are_those_of_the_file(tmp_path):
    path = tmp_path / "card.safetensors"
    sizes = save_card(task_of(segmenter(), references=2, strategy="ensemble"), path)
    assert sizes["plain"] + sizes["extras"] == sum(
        t.numel() * t.element_size() for t in load_file(path).values()
    )
    assert sizes["plain"] <= PLAIN_LIMIT * 2 * 2


def test_no_tensor_of_a_card_holds_the_values_of_the_image(card):
    """What is near the labels could still be rebuilt from its edges (docs/decisions/0034)."""
    path, _, _ = card
    image = study(0)[0].array
    for name, tensor in load_file(path).items():
        values = tensor.float().flatten().numpy()
        assert len(values) < image.size or not np.isin(np.float16(image.ravel()), np.float16(values)).all(), (
            name
        )
        finer = tensor.dim() == 5 and int(np.prod(tensor.shape[-3:])) > 16**3
        assert not finer or name.endswith(".edges"), f"{name} is finer than every second voxel of 32^3"


def test_edges_are_kept_near_what_is_labelled_only():
    """Of a reference much larger than its structures."""
    image, label = study(0)
    wide = np.full((90, 60, 60), 100.0, np.float32) + np.random.default_rng(1).normal(0, 8, (90, 60, 60))
    wide[: image.shape[0], : image.shape[1], : image.shape[2]] = image.array
    told = np.zeros(wide.shape, label.array.dtype)
    told[: image.shape[0], : image.shape[1], : image.shape[2]] = label.array
    reference = Reference(replace(image, array=wide.astype(np.float32)), replace(label, array=told), "wide")
    memory = encode_task(segmenter(), [reference], modality="mr", spacing=2.0).pool[0].memories[0]
    assert memory.edges.shape[2:] == memory.outlines.shape[2:]
    assert memory.edges.shape[2] <= 20 + 2 * MARGIN < 90
    assert int(memory.outlines.sum()) == int((told > 0).sum())


def test_a_card_of_another_model_is_refused_with_what_to_do(card):
    path, _, name = card
    told = f"was made by another model; expected weights {'0' * 16}; found weights {name}"
    with pytest.raises(CardError, match=told):
        load_card(path, "0" * 16)


def broken(path, out, *, drop: str = "", header: dict | None = None) -> None:
    with safe_open(path, framework="pt") as file:
        meta = file.metadata()
    tensors = {k: v for k, v in load_file(path).items() if k != drop}
    save_file(tensors, out, metadata=meta | (header or {}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": "0.tokens"}, "is damaged"),
        ({"drop": "0.0.features"}, "is damaged"),
        ({"drop": "0.0.edges"}, "is damaged"),
        ({"drop": "0.0.outlines"}, "is damaged"),
        ({"drop": "0.0.aside"}, "is damaged"),
        ({"header": {"task": "{"}}, "is damaged"),
        ({"header": {"task": json.dumps({"classes": []})}}, "is damaged"),
        ({"header": {"format": "iris-task-card-0"}}, "is no task card; expected iris-task-card-5"),
    ],
)
def test_a_damaged_card_is_refused(card, tmp_path, options, message):
    path, _, name = card
    broken(path, tmp_path / "broken.safetensors", **options)
    with pytest.raises(CardError, match=f"broken.safetensors: {message}"):
        load_card(tmp_path / "broken.safetensors", name)


@pytest.mark.parametrize("content", [b"", b"no card", None])
def test_a_file_that_is_no_safetensors_or_was_cut_off_is_refused(card, tmp_path, content):
    path, _, name = card
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(CardError, match="cannot be read as a task card"):
        load_card(tmp_path / "cut", name)


def test_a_card_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="no such task card"):
        load_card(tmp_path / "none.safetensors", "")
