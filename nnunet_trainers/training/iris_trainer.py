"""nnUNetTrainerIris: episodic training inside unmodified nnU-Net.

    nnUNet_extTrainer=$(iris trainer-path) nnUNetv2_train DATASET 3d_fullres FOLD -tr nnUNetTrainerIris

nnU-Net keeps folders, splits, storage, workers, log, curves, `--c`, `--val` and the sliding window; what is
drawn, learnt and kept is ours. One epoch:

    loader: pairs of one dataset -> windows -> episodes             episode_loader, case_index
    step:   reference -> tokens, query -> logits -> loss -> LAMB    episode_step
            tokens -> memory bank, the same on every process        episode_step.remember
    end:    one-shot Dice and bank Dice, checkpoint, picture        here, pictures
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from pytorch_optimizer import Lamb
from torch import Tensor, distributed

from iris_core.errors import InputError, IrisError
from iris_core.training.pretraining.workers import Team
from iris_core.volume.label_names import parse_label_names
from iris_core.volume_io import atomic_path
from iris_core.windows.windows import fitting
from nnunet_trainers.datasets.dataset_folder import nnunet_folder
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.episodes.axes import to_ijk
from nnunet_trainers.episodes.episode import LabelledBatch
from nnunet_trainers.episodes.episode_loader import EpisodeLoader
from nnunet_trainers.planning.recipe import recipe_of
from nnunet_trainers.training.bank_network import BankNetwork, build_bank_network
from nnunet_trainers.training.episode_step import counts, decode_episodes, draw_source, loss_of, remember
from nnunet_trainers.training.fold import (
    refuse_too_few_cases,
    refuse_what_is_not_for_us,
    training_and_validation,
)
from nnunet_trainers.training.pictures import draw_episode
from nnunet_trainers.training.portable import PORTABLE, save_portable
from nnunet_trainers.training.schedule import StepSchedule
from nnunet_trainers.training.settings import TrainerSettings
from nnunet_trainers.training.start import start_weights

BETAS, EPSILON = (0.9, 0.999), 1e-6
LATEST, FINAL = "checkpoint_latest.pth", "checkpoint_final.pth"  # nnU-Net's names


class nnUNetTrainerIris(nnUNetTrainer):
    """Trains Iris on nnU-Net's preprocessed storage. Arguments as nnU-Net's trainer; see TrainerSettings."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008, nnU-Net's own signature
    ) -> None:
        settings = TrainerSettings.of_plans(plans, os.environ)
        super().__init__(settings.written_into(plans), configuration, fold, dataset_json, device)
        refuse_what_is_not_for_us(plans, self.configuration_manager.configuration, dataset_json)
        names = parse_label_names(dataset_json, where="dataset.json")
        self.values = {name: value for value, name in names.items()}
        self.window = tuple(fitting(side) for side in self.configuration_manager.patch_size)
        self.enable_deep_supervision = False
        self.save_every, self.resumed = 1, False
        self._adopt(settings)
        if self.device.type == "cpu" and "OMP_NUM_THREADS" in os.environ:
            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # nnU-Net takes every core

    def _adopt(self, settings: TrainerSettings) -> None:
        self.settings = settings
        settings.written_into(self.plans_manager.plans)
        self.num_epochs, self.num_iterations_per_epoch = settings.epochs, settings.steps
        self.num_val_iterations_per_epoch = settings.validation_steps
        self.initial_lr, self.weight_decay = settings.rate, settings.decay
        self.autocast = _autocast(settings.precision) if self.device.type == "cuda" else None
        if self.autocast is not torch.float16:
            self.grad_scaler = None

    @staticmethod
    def build_network_architecture(
        plans_manager: Any,
        configuration_manager: Any,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = False,
    ) -> BankNetwork:
        """The network and its bank, for training and for nnU-Net's predictor alike."""
        return build_bank_network(plans_manager.plans, num_output_channels - 1)

    @property
    def module(self) -> BankNetwork:
        """The network without what nnU-Net wraps around it."""
        return self.network.module if self.is_ddp else self.network

    def initialize(self) -> None:
        """As nnU-Net's, then the weights to start from, where the training goes on from no checkpoint."""
        for variable in ("nnUNet_preprocessed", "nnUNet_results"):
            nnunet_folder(variable)
        super().initialize()
        self.batch_size: int = self.settings.batch or self.batch_size
        self.team = Team(self.local_rank, distributed.get_world_size() if self.is_ddp else 1)
        if not self.resumed:
            self.print_to_log_file(start_weights(self.module.iris, self.settings))
        self.skipped = 0
        try:
            recipe_of(self.plans_manager.plans, self.configuration_name)
        except InputError as error:
            self.print_to_log_file(
                f"WARNING: iris export will refuse this training, predict with nnU-Net: {error}"
            )

    def configure_optimizers(self) -> tuple[Lamb, StepSchedule]:
        """LAMB (paper: supplement 7) and a rate by step."""
        optimiser = Lamb(
            self.network.parameters(), self.initial_lr, BETAS, self.weight_decay, eps=EPSILON,
            adam_debias=True,  # keeps the first steps from being ten times as long
        )  # fmt: skip
        return optimiser, StepSchedule(optimiser, self.settings)

    def _do_i_compile(self) -> bool:
        return False  # episodes differ in their number of classes: every shape would be compiled anew

    def _build_loss(self) -> Callable[..., Tensor]:
        return loss_of

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """There is none."""

    def plot_network_architecture(self) -> None:
        """Left out: it draws one input to one output."""

    def do_split(self) -> tuple[list[str], list[str]]:
        """As nnU-Net's, where its folds can be made."""
        cases = len(self.dataset_class.get_identifiers(self.preprocessed_dataset_folder))
        splits = Path(self.preprocessed_dataset_folder_base) / "splits_final.json"
        refuse_too_few_cases(cases, splits, self.fold)
        return super().do_split()

    def get_dataloaders(self) -> tuple:
        """Episodes for training from nnU-Net's workers, and the same few for validation every epoch."""
        training, validation = self.do_split()
        dataset = self.dataset_class(self.preprocessed_dataset_folder, sorted({*training, *validation}))
        labels = PartialLabels.of_dataset(self.dataset_json, dataset.identifiers)
        index, held_out = training_and_validation(dataset, self.values, labels, training, validation)
        unseen = [name for name in self.values if name not in index.classes]
        if unseen:
            self.print_to_log_file(
                f"WARNING: no training case of this fold holds {', '.join(unseen)}: the memory bank will not "
                "know it, and nnUNetv2_predict will not draw it"
            )
        ways = (self.values, self.window, to_ijk(self.plans_manager.plans))
        ignore, cycle = self.label_manager.ignore_label, self.num_val_iterations_per_epoch
        train = EpisodeLoader(
            dataset, index, *ways, self.settings, self.batch_size, ignore=ignore,
            seed=(self.settings.seed, self.local_rank, self.current_epoch),
        )  # fmt: skip
        check = EpisodeLoader(
            dataset, held_out, *ways, replace(self.settings, query_anywhere=0.0), self.batch_size,
            ignore=ignore, seed=(self.settings.seed, 1), augment=False, cycle=cycle,
        )  # fmt: skip
        processes = get_allowed_n_proc_DA()
        if processes == 0:
            return SingleThreadedAugmenter(train, None), SingleThreadedAugmenter(check, None)
        workers = NonDetMultiThreadedAugmenter(
            train, None, processes, max(6, processes // 2), pin_memory=self.device.type == "cuda"
        )
        return workers, SingleThreadedAugmenter(check, None)

    def on_train_epoch_start(self) -> None:
        """As nnU-Net's; what a step is given is drawn anew from the epoch's number."""
        super().on_train_epoch_start()
        self.step_number = self.current_epoch * self.num_iterations_per_epoch
        self.choices = np.random.default_rng((self.settings.seed, self.local_rank, self.current_epoch, 7))

    def train_step(self, batch: dict) -> dict:
        """Paper: Algorithm 1, lines 10-15, and Eq. 7."""
        episodes = LabelledBatch.of_mapping(batch).to(self.device)
        self.lr_scheduler.at(self.step_number)
        self.step_number += 1
        self.optimizer.zero_grad(set_to_none=True)
        source, total = draw_source(self.choices, self.settings), torch.zeros((), device=self.device)
        made: list[Tensor] = []
        for part in episodes.parts(self.settings.parts):
            with self._precision():
                decoded, tokens = decode_episodes(self.module, part, source)
                loss = self.loss(decoded, part) * (len(part) / len(episodes))
            (loss if self.grad_scaler is None else self.grad_scaler.scale(loss)).backward()
            total, made = total + loss.detach().float(), [*made, tokens.detach()]
        self.team.share_gradients(self.module)
        self._update()
        remember(self.module, episodes, torch.cat(made))
        return {"loss": total.cpu().numpy()}

    def _update(self) -> None:
        """Clips and steps; a step whose gradient is not finite is left out."""
        if self.grad_scaler is not None:
            self.grad_scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.clip)
        if self.grad_scaler is not None:
            self.grad_scaler.step(self.optimizer)
            self.grad_scaler.update()
        elif torch.isfinite(norm):
            self.optimizer.step()
        self.skipped += int(not torch.isfinite(norm))

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None)

    def validation_step(self, batch: dict) -> dict:
        """One-shot counts, which nnU-Net plots as pseudo Dice, and those of the memory bank."""
        episodes = LabelledBatch.of_mapping(batch).to(self.device)
        with self._precision():
            one_shot, _ = decode_episodes(self.module, episodes, "reference")
            banked, _ = decode_episodes(self.module, episodes, "bank")
            loss = self.loss(one_shot, episodes)
        self.shown = (episodes, one_shot.logits)
        tp, fp, fn = counts(one_shot.logits, episodes, len(self.values)).cpu().numpy()
        bank = counts(banked.logits, episodes, len(self.values)).cpu().numpy()
        return {"loss": loss.float().cpu().numpy(), "tp_hard": tp, "fp_hard": fp, "fn_hard": fn, "bank": bank}

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        """As nnU-Net's, and the bank's Dice in the log."""
        tp, fp, fn = np.sum([output.pop("bank") for output in val_outputs], axis=0)
        dice = (2 * tp / np.maximum(2 * tp + fp + fn, 1)).astype(float).round(4).tolist()
        told = self.module.bank.seen.cpu().numpy() & (tp + fp + fn > 0)
        self.bank_dice = {n: d if t else None for n, d, t in zip(self.values, dice, told, strict=True)}
        super().on_validation_epoch_end(val_outputs)

    def on_epoch_end(self) -> None:
        """As nnU-Net's, with the bank's Dice and, now and then, a picture."""
        self.print_to_log_file("Bank pseudo dice", self.bank_dice)
        if self.skipped:
            self.print_to_log_file(f"{self.skipped} steps so far were not finite and were left out")
        every = self.settings.pictures
        if self.local_rank == 0 and every and (self.current_epoch + 1) % every == 0:
            path = Path(self.output_folder) / "episodes" / f"epoch_{self.current_epoch + 1:04d}.png"
            draw_episode(*self.shown, list(self.values), path)
        super().on_epoch_end()

    def on_train_end(self) -> None:
        """As nnU-Net's, and the portable checkpoint beside the final one."""
        super().on_train_end()
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        try:
            save_portable(
                self.module, self.plans_manager.plans, self.configuration_name, self.dataset_json,
                f"{self.output_folder}/{PORTABLE}", {"epochs": self.current_epoch, "fold": str(self.fold)},
            )  # fmt: skip
        except IrisError as error:
            self.print_to_log_file(f"WARNING: no portable checkpoint was written: {error}")

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint, whole or not at all.

        A final one of an earlier, shorter training goes when the first epoch after it is saved: `--c` would
        prefer it to all that was learnt since.
        """
        if self.local_rank == 0 and not self.disable_checkpointing:
            with atomic_path(filename) as hidden:
                super().save_checkpoint(str(hidden))
            if Path(filename).name == LATEST:
                Path(filename).with_name(FINAL).unlink(missing_ok=True)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """nnU-Net's, after taking over the settings that the checkpoint was trained with.

        What the environment says still wins, so that a training can be made longer.
        """
        stored = torch.load(filename_or_checkpoint, map_location="cpu", weights_only=False)
        self._adopt(TrainerSettings.of_plans(stored["init_args"]["plans"], os.environ))
        self.resumed = True
        super().load_checkpoint(filename_or_checkpoint)
        self.settings.written_into(self.my_init_kwargs["plans"])  # what the next checkpoint will say


def _autocast(precision: str) -> torch.dtype | None:
    if precision == "auto":
        precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}[precision]
