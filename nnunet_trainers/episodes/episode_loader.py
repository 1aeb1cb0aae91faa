"""EpisodeLoader: draws batches of episodes from nnU-Net's preprocessed storage, for nnU-Net's own workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from batchgenerators.dataloading.data_loader import SlimDataLoaderBase
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from torch import Tensor

from iris_core.training.synthesis.imperfect_mask import imperfect
from nnunet_trainers.episodes.augmentation import Augmentation, wide_window
from nnunet_trainers.episodes.axes import permuted
from nnunet_trainers.episodes.case_index import CaseIndex, Pair, Task
from nnunet_trainers.episodes.case_window import CaseWindow, cut, draw_start
from nnunet_trainers.episodes.episode import Episode, collate
from nnunet_trainers.training.settings import TrainerSettings


class EpisodeLoader(SlimDataLoaderBase):
    """Episodes without end; number n of a worker is the same whenever the seed is.

    Args:
        dataset: nnU-Net's, of the fold's cases.
        index: who may take part.
        values: class name -> label value, all classes of the dataset, in the order of the memory bank.
        window: sides of a window in nnU-Net's axes, multiples of 16.
        order: from nnU-Net's axes to (i, j, k).
        settings: of the training.
        batch: episodes of a batch.
        seed: of everything, with the worker's number.
        ignore: nnU-Net's ignore label, or None.
        augment: False for validation, where the same `cycle` batches come again and again.
        cycle: batches after which the episodes repeat; None: never. The leading classes then take turns.
    """

    def __init__(
        self,
        dataset: nnUNetBaseDataset,
        index: CaseIndex,
        values: Mapping[str, int],
        window: Sequence[int],
        order: Sequence[int],
        settings: TrainerSettings,
        batch: int,
        *,
        seed: Sequence[int] = (0,),
        ignore: int | None = None,
        augment: bool = True,
        cycle: int | None = None,
    ) -> None:
        super().__init__(dataset, batch)
        self.index, self.values, self.settings = index, dict(values), settings
        self.window, self.order, self.ignore = tuple(window), tuple(order), ignore
        self.seed, self.cycle, self.count = tuple(seed), cycle, 0
        self.augmentation = Augmentation(self.window) if augment else None
        self._names = list(self.values)
        self._turns = np.random.default_rng(self.seed).permutation(len(index.tasks))

    def generate_train_batch(self) -> dict[str, object]:
        """The next batch, as a mapping of tensors."""
        number = self.count if self.cycle is None else self.count % self.cycle
        self.count += 1
        rng = np.random.default_rng((*self.seed, self.thread_id, number))
        tasks = [self._task(number * self.batch_size + place) for place in range(self.batch_size)]
        return collate([self.episode(rng, task) for task in tasks]).to_mapping()

    def _task(self, number: int) -> Task | None:
        """What episode `number` of a cycle leads with; None: any."""
        return None if self.cycle is None else self.index.tasks[self._turns[number % len(self._turns)]]

    def episode(self, rng: np.random.Generator, task: Task | None = None) -> Episode:
        """Draws one episode.

        Args:
            rng: source of all choices.
            task: a dataset and the class to lead with; None: any.
        """
        anywhere = rng.random() < self.settings.query_anywhere
        pair = self.index.draw(rng, anywhere=anywhere, task=task)
        reference = self._window(pair.reference, pair.lead, rng, keep=self.values[pair.lead])
        query = self._window(pair.query, None if anywhere else pair.lead, rng)
        names = self._classes(pair, reference, rng)
        masks = [self._mask(reference, name) for name in names]
        if self.augmentation is not None:
            masks = [self._mistaken(mask, rng) for mask in masks]
        ignored = torch.zeros_like(query.labels, dtype=torch.bool)
        if self.ignore is not None:
            ignored = query.labels == self.ignore
        return Episode(
            permuted(reference.image, self.order).contiguous(),
            permuted(torch.stack(masks), self.order),
            permuted(query.image, self.order).contiguous(),
            permuted(torch.stack([self._mask(query, name) for name in names]), self.order),
            permuted(ignored, self.order),
            reference.offset[list(self.order)],
            query.offset[list(self.order)],
            tuple(self._names.index(name) for name in names),
            pair.group,
        )

    def _window(
        self, case: str, holding: str | None, rng: np.random.Generator, keep: int | None = None
    ) -> CaseWindow:
        """A window of a case, around a voxel of a class where one is given and the case holds it.

        With `keep`, as in a reference, the window holds the whole class along every axis on which it fits.
        """
        image, labels, _, properties = self._data.load_case(case)
        voxel = box = None
        if holding is not None and holding in self.index.held[case]:
            places = np.asarray(properties["class_locations"][self.values[holding]])[:, 1:]
            voxel = places[int(rng.integers(len(places)))]
            box = None if keep is None else (places.min(axis=0), places.max(axis=0))
        start = draw_start(image.shape[1:], self.window, voxel, rng, box)
        if self.augmentation is None:
            return cut(image, labels, start, self.window)
        wide = wide_window(self.window)
        start = tuple(s - (big - small) // 2 for s, big, small in zip(start, wide, self.window, strict=True))
        return self.augmentation(cut(image, labels, start, wide), int(rng.integers(2**31)), keep)

    def _classes(self, pair: Pair, reference: CaseWindow, rng: np.random.Generator) -> list[str]:
        """The leading class and others that the reference's window holds, in random order."""
        seen = set(reference.labels.unique().tolist())
        others = [n for n in self.index.held[pair.reference] if n != pair.lead and self.values[n] in seen]
        rng.shuffle(others)
        most = self.settings.classes - 1
        if rng.random() < self.settings.drop_classes:
            most = int(rng.integers(most + 1))
        return [pair.lead, *others[:most]]

    def _mask(self, window: CaseWindow, name: str) -> Tensor:
        return window.labels[0] == self.values[name]

    def _mistaken(self, mask: Tensor, rng: np.random.Generator) -> Tensor:
        if rng.random() >= self.settings.imperfect:
            return mask
        return imperfect(mask, rng, torch.Generator().manual_seed(int(rng.integers(2**31))))
