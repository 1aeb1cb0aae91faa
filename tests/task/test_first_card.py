"""A card that the code of commit e114d20 wrote gives the result that this code gave."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from iris_core.segmenter import Segmenter
from iris_core.task.card import load_card
from iris_core.task.task import Task
from iris_core.task_prediction import apply_task
from iris_core.volume.volume import Volume
from tests.tiny import network

FIRST = Path(__file__).with_name("first_card.safetensors.gz")


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Task:
    path = tmp_path_factory.mktemp("cards") / "card.safetensors"
    path.write_bytes(gzip.decompress(FIRST.read_bytes()))
    return load_card(path, "the first cards")


def test_a_card_of_older_code_is_read_whole(first):
    assert first.names == ("nodule",) and len(first.close_ups) == 1
    assert first.modality_given, "its provenance says that a person gave the modality"


def test_a_card_of_older_code_gives_the_logits_that_it_gave(first):
    array = np.random.default_rng(6).normal(size=(16, 16, 16)).astype(np.float32)
    array[5:9, 6:10, 7:11] += 4
    runner = Segmenter(network(), window=(32, 32, 32))
    found = apply_task(runner, first, Volume(array, np.eye(4)))
    # the tests compute small convolutions in another order
    assert found.quality == {"nodule": pytest.approx(0.1652, abs=1e-4)}
    assert float(found.maps[0].logits.max()) == pytest.approx(2.922, abs=5e-3)
    assert float(found.maps[0].logits.sum()) == pytest.approx(-2122.7, abs=5.0)
