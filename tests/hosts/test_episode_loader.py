"""Episodes out of preprocessed storage, with the installed batchgeneratorsv2."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.episodes.case_index import CaseIndex
from nnunet_trainers.training.settings import TrainerSettings
from tests.stored_cases import SHAPE, StoredCases

pytestmark = [pytest.mark.hosts, pytest.mark.nnunet]

DESCRIPTION = {"labels": {"background": 0, "a": 1, "b": 2}}
EXACT = TrainerSettings(imperfect=0.0, drop_classes=0.0, query_anywhere=0.0)
WINDOW = (32, 32, 32)


def loader(settings: TrainerSettings = EXACT, window=WINDOW, order=(0, 1, 2), batch: int = 2, **options):
    from nnunet_trainers.episodes.episode_loader import EpisodeLoader

    index = CaseIndex(StoredCases.held, PartialLabels.of_dataset(DESCRIPTION, StoredCases.identifiers))
    return EpisodeLoader(StoredCases(), index, {"a": 1, "b": 2}, window, order, settings, batch, **options)


def test_the_same_seed_gives_the_same_episodes_and_another_worker_others():
    first, second, other = loader(), loader(), loader()
    other.set_thread_id(1)
    batches = [next(one) for one in (first, second, other)]
    assert torch.equal(batches[0]["query_image"], batches[1]["query_image"])
    assert not torch.equal(batches[0]["query_image"], batches[2]["query_image"])
    assert not torch.equal(next(first)["query_image"], batches[0]["query_image"])


def test_augmenting_leaves_the_global_generators_alone():
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    next(loader())
    assert (torch.rand(1), np.random.rand()) == expected


def test_every_reference_holds_its_classes_and_the_leading_one_keeps_most_of_its_voxels():
    source = loader(batch=1)
    for _ in range(12):
        batch = next(source)
        assert batch["valid"][0, 0] and batch["valid"].any()
        assert batch["reference_mask"][0, 0].sum() > 100
        assert set(batch["classes"][0].tolist()) <= {0, 1}


def test_a_reference_holds_the_whole_class_that_leads_and_a_query_need_not():
    source = loader(augment=False, batch=1)
    cases = [StoredCases().load_case(name)[1] for name in StoredCases.identifiers]
    whole = [{int((labels == value).sum()) for labels in cases} for value in (1, 2)]
    cut = set()
    for _ in range(40):  # some windows end within class 2
        batch = next(source)
        lead = int(batch["classes"][0, 0])
        assert int(batch["reference_mask"][0, 0].sum()) in whole[lead]
        cut.add(int(batch["query_mask"][0, 0].sum()) not in whole[lead])
    assert cut == {True, False}


def test_validation_leads_with_every_class_in_turn():
    source = loader(augment=False, cycle=2, batch=1)
    assert {int(next(source)["classes"][0, 0]) for _ in range(2)} == {0, 1}


def test_validation_repeats_its_few_episodes_without_augmentation():
    source = loader(augment=False, cycle=2, batch=1)
    first, second, third = next(source), next(source), next(source)
    assert torch.equal(first["query_image"], third["query_image"])
    assert not torch.equal(first["query_image"], second["query_image"])
    values = torch.from_numpy(np.concatenate([StoredCases().load_case(n)[0].ravel() for n in "xyz"]))
    assert torch.isin(first["query_image"][first["query_image"] != 0], values).all()


def test_masks_lie_on_the_image_in_our_axes_with_offsets_turned_alike():
    order = (2, 1, 0)
    batch = next(loader(augment=False, window=(32, 32, 48), order=order, batch=1))
    assert batch["query_image"].shape == (1, 1, 48, 32, 32)
    image, mask = batch["query_image"][0, 0], batch["query_mask"][0, 0] > 0
    assert image[mask].mean() > image[~mask].mean() + 2
    centre = torch.tensor([(n - 1) / 2 for n in (48, 32, 32)]) - torch.nonzero(image).float().mean(0)
    limits = torch.tensor([48 - SHAPE[2], 32 - SHAPE[1], 32 - SHAPE[0]]) / 2
    assert torch.allclose(batch["query_offset"][0], centre, atol=0.3)  # the volume lies whole in the window
    assert (batch["query_offset"][0].abs() <= limits).all()


def test_voxels_with_the_ignore_label_are_marked_in_the_query_alone():
    batch = next(loader(augment=False, window=(32, 32, 48), ignore=3, batch=1))
    assert batch["ignored"].sum() == SHAPE[0] * SHAPE[1] * 2
    assert not (batch["ignored"] & (batch["query_mask"].sum(1, keepdim=True) > 0)).any()


def test_imperfect_references_differ_from_the_truth_and_queries_never_do():
    exact, wrong = (next(loader(replace(EXACT, imperfect=share), batch=1)) for share in (0.0, 1.0))
    assert torch.equal(exact["reference_image"], wrong["reference_image"])
    assert not torch.equal(exact["reference_mask"], wrong["reference_mask"])
    assert torch.equal(exact["query_mask"], wrong["query_mask"])


def test_nnunets_workers_can_take_it_along():
    again = pickle.loads(pickle.dumps(loader()))
    assert torch.equal(next(again)["query_image"], next(loader())["query_image"])


def test_a_batch_comes_through_nnunets_own_workers():
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter

    workers = NonDetMultiThreadedAugmenter(loader(), None, 1, 2)
    try:
        assert next(workers)["query_image"].shape == (2, 1, *WINDOW)
    finally:
        workers._finish()
