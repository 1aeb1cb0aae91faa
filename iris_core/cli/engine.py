"""The one place where the command line meets the network: weights in, tasks and predictions out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.cli.console import Console
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume, Volume

if TYPE_CHECKING:
    from iris_core.bank.bank_task import BankTask
    from iris_core.prediction import Prediction
    from iris_core.task.task import Applicable, Task


class Engine:
    """Loaded weights on a device.

    Args:
        checkpoint: weights file, or folder of a training; the shipped weights when None.
        device: "auto", "cpu" or "cuda".
        console: where notes and progress go.
        changes: of single settings, each "stage.name=value" (iris_core.inference.settings).

    Raises:
        CheckpointError: the file holds no weights of this model.
        InputError: the device is not there.
    """

    def __init__(
        self, checkpoint: Path | None, device: str, console: Console, changes: Sequence[str] = ()
    ) -> None:
        from iris_core.checkpoint import load_model
        from iris_core.segmenter import Segmenter

        self.device = choose_device(device)
        self.console = console
        self.loaded = load_model(checkpoint, self.device)
        self.settings = self.loaded.inference.changed(changes)
        self.segmenter = Segmenter(
            self.loaded.model, self.device, **self.loaded.settings | {"settings": self.settings}
        )
        self.checkpoint = checkpoint

    @property
    def weights(self) -> dict:
        """Preset, fingerprint and origin of the weights, and the settings of inference, for reports."""
        origin = "shipped" if self.checkpoint is None else str(self.checkpoint)
        return {
            "preset": self.loaded.preset,
            "fingerprint": self.loaded.fingerprint,
            "file": origin,
            "inference": self.settings.to_dict(),
        }

    def encode(
        self,
        references: Sequence[tuple[Volume, LabelVolume]],
        *,
        classes: Sequence[str] | None = None,
        strategy: str | None = None,
        modality: str | None = None,
        spacing: str | float | tuple[float, ...] | None = None,
        sparse: str | None = None,
        seed: int = 0,
    ) -> Task:
        """Makes a task from references; an option that is None is left to the task to decide."""
        from iris_core.task.reference import Reference
        from iris_core.task_encoding import encode_task

        task = encode_task(
            self.segmenter,
            [Reference(image, label) for image, label in references],
            classes=classes,
            modality=modality or "auto",
            spacing="auto" if spacing is None else spacing,
            strategy=strategy or "auto",
            sparse=sparse or "no",
            seed=seed,
            progress=self.console.steps("references", "step"),
        )
        for line in task.provenance.get("label_gaps", ()):
            self.console.warn(line)
        for reason in task.provenance.get("close_ups_left_out", ()):
            self.console.warn(f"no close-up of {reason}")
        return task

    def bank(self, *, classes: Sequence[str] | None = None, modality: str | None = None) -> BankTask:
        """The classes that the weights were trained on."""
        from iris_core.bank.bank_task import KEY, BankTask
        from iris_core.cli.notices.class_choice import chosen_names

        known = self.loaded.meta.get(KEY) or {}
        classes = chosen_names(classes, known.get("classes", ()))
        modality = None if modality == "auto" else modality
        return BankTask(self.loaded, classes=classes, modality=modality)

    def load(self, card: Path) -> Task:
        """Reads a task card that these weights wrote."""
        from iris_core.task.card import load_card

        return load_card(card, self.loaded.fingerprint)

    def save(self, task: Task, card: Path) -> dict[str, int]:
        """Writes a task card; gives the bytes of its "plain" embeddings and of its "extras"."""
        from iris_core.task.card import save_card

        return save_card(task, card)

    def apply(self, task: Applicable, image: Volume, title: str = "query") -> Prediction:
        """Segments one image."""
        return task.apply(self.segmenter, image, self.console.steps(title, "window"))


def choose_device(wanted: str) -> str:
    """Gives "cuda" or "cpu"; "auto" takes a GPU where torch sees one.

    Raises:
        InputError: cuda is asked for and torch sees none.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "no CUDA device is usable",
            where="--device",
            expected="a GPU that torch sees",
            found=f"torch {torch.__version__}",
            remedy="use --device cpu",
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def task_line(task: Applicable) -> str:
    """How queries will be treated, and why, in one line for a person."""
    task = task.facts
    reason = task.provenance.get("modality_reason")
    why = f" ({reason})" if reason else ""
    sizes = " x ".join(f"{size:.3g}" for size in task.spacing)
    return f"modality {task.modality}{why}, worked at {sizes} mm, {task.strategy}"


def describe_task(task: Applicable) -> dict:
    """A task in plain JSON types, for reports."""
    task = task.facts
    return {
        "classes": [{"name": entry.name, "value": int(entry.value)} for entry in task.classes],
        "modality": task.modality,
        "spacing_mm": [round(float(size), 4) for size in task.spacing],
        "strategy": task.strategy,
        "provenance": task.provenance,
    }
