"""Annotator: from a request to a finished segmentation. Flow C of docs/architecture, without the host.

catalogue, study, options -> references -> embeddings (kept) -> task -> query segmented -> result (kept)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from apps.iris_app.catalogue.catalogue import Catalogue, Outdated, ReferenceEntry
from apps.iris_app.catalogue.reference_choice import Choice, choose, chosen_references
from apps.iris_app.computing.embedding_store import EmbeddingStore, Facts
from apps.iris_app.computing.result_store import Result, ResultStore, result_key
from apps.iris_app.computing.tuned_store import TunedStore
from apps.iris_app.lib.options import Options
from apps.iris_app.lib.state import State, stamp
from iris_core.checkpoint import LoadedModel, load_model
from iris_core.config import PAPER_SPACING
from iris_core.errors import InputError, PassingError
from iris_core.prediction import Prediction
from iris_core.preprocessing.modality import in_hounsfield, query_modality
from iris_core.preprocessing.prepare import prepare_image, prepare_masks
from iris_core.progress import Progress
from iris_core.remarks import listening, texts
from iris_core.segmenter import Segmenter
from iris_core.strategies.ensemble import ensemble
from iris_core.task.close_up import Views
from iris_core.task.join import join_with_close_ups
from iris_core.task.reference import ClassInfo
from iris_core.task.task import Task
from iris_core.task_prediction import apply_task
from iris_core.triple import triple
from iris_core.volume_io import read_image

PREVIEW = 2.0  # voxels of the fast preview are this much larger
MOST_REFERENCES = 8  # that one class listens to at once, the newest ones


class Annotator:
    """Segments studies of a catalogue with its references.

    Args:
        state: where embeddings and results are kept.
        checkpoint: weights; the shipped ones when None.
        device: "auto", "cpu" or "cuda"; CUDA gives way to the CPU where torch sees none.
    """

    def __init__(self, state: State, checkpoint: Path | None = None, device: str = "auto") -> None:
        self.state, self.checkpoint, self.device = state, checkpoint, device
        self.results = ResultStore(state)
        self.tuned = TunedStore(state)

    @cached_property
    def _place(self) -> str:
        import torch

        return "cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu"

    @cached_property
    def _loaded(self) -> tuple[LoadedModel, str]:
        return load_model(self.checkpoint, self._place), self._place

    @property
    def threads(self) -> int:
        """Of the processor that may compute; 1 where a GPU does."""
        import torch

        return torch.get_num_threads() if self._place == "cpu" else 1

    @property
    def fingerprint(self) -> str:
        """Of the weights."""
        return self._loaded[0].fingerprint

    @property
    def weights(self) -> str:
        """A word for the weights with their settings, and whatever was tuned on top of them."""
        return weights_word(self.method, self.tuned)

    @property
    def method(self) -> str:
        """A word for the weights and the settings of inference."""
        return self._loaded[0].inference.method(self.fingerprint)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The network, loaded when it is first needed."""
        model, device = self._loaded
        return Segmenter(model.model, device, **model.settings)

    @cached_property
    def embeddings(self) -> EmbeddingStore:
        """The references' embeddings."""
        return EmbeddingStore(self.state, self.segmenter, self.fingerprint)

    def annotate(
        self, catalogue: Catalogue, study: str, options: Options, progress: Progress | None = None
    ) -> Result:
        """The finished segmentation of a study, kept or computed.

        Args:
            catalogue: as the server wrote it last.
            study: id of the query.
            options: of the request.
            progress: called with (windows done, windows in all).

        Raises:
            InputError: no reference, or an image that cannot be used.
            Outdated: a file changed on the way.
        """
        references = chosen_references(catalogue, study, options)
        key = result_key(catalogue, study, options, references, self.weights)
        kept = self.results.find(study, key)
        if kept is not None and "problem" not in kept.record:
            return kept
        started = time.perf_counter()
        with listening() as heard:
            image = read_image(catalogue.studies[study].image)
        choice = choose(catalogue, options, references, image, self.embeddings)
        choice.warnings[:0] = texts(heard, "this study")
        task = self._task(catalogue, options, choice)
        prediction = apply_task(self.segmenter, task, image, progress)
        if stamp(catalogue.studies[study].image) != catalogue.studies[study].stamp:
            raise Outdated("its image has just changed", where=study, remedy="ask again")
        record = _record(catalogue, study, task, prediction, choice, time.perf_counter() - started)
        return self.results.put(study, key, prediction.label, record)

    def likeness(self, catalogue: Catalogue, result: Result, options: Options) -> dict[str, float]:
        """Per class found in a result, the cosine between the study's own embedding and the references'."""
        image = read_image(catalogue.studies[result.study].image)
        references = chosen_references(catalogue, result.study, options)
        task = self._task(catalogue, options, choose(catalogue, options, references, image, self.embeddings))
        modality = query_modality(image, task.modality, given=False)[0]
        prepared = prepare_image(
            in_hounsfield(image, modality),
            modality=modality,
            spacing=task.spacing,
            recipe=self.segmenter.recipe,
        )
        label = result.label()
        numbers = catalogue.register.numbers
        masks = prepare_masks(label, [numbers[name] for name in task.names], prepared.grid)
        seen = [n for n, mask in enumerate(masks) if float(mask.sum()) > 0]
        if not seen:
            return {}
        names = [task.names[n] for n in seen]
        own = self.segmenter.tokens_of(prepared.image, masks[seen], names)
        return own.cosine(ensemble(task.pool, names)[0])

    def _task(self, catalogue: Catalogue, options: Options, choice: Choice) -> Task:
        views = _views(options.spacing, choice.references[0][1], choice.names)
        showing = {
            name: [entry.study for entry, _ in choice.references if name in entry.classes][-MOST_REFERENCES:]
            for name in choice.names
        }
        entries, cards = [], []
        for entry, _ in choice.references:
            own = [name for name in choice.names if entry.study in showing[name]]
            if not own:
                continue
            try:
                card = self.embeddings.get(catalogue, entry, views, options.sparse)
            except (Outdated, PassingError):
                raise
            except InputError as error:
                choice.warnings.append(f"{entry.study} is left out: {error}")
                continue
            held = [name for name in own if name in card.names]
            if held:
                entries.append(entry)
                cards.append(card.select(held))
        if not cards:
            raise InputError("No reference can be used", found="; ".join(choice.warnings))
        register = catalogue.register
        numbers = [(name, register.numbers[name]) for name in choice.names]
        classes = tuple(ClassInfo(name, number, register.color(number)) for name, number in numbers)
        given = options.strategy not in ("auto", "tuning")
        strategy = options.strategy if given else "one-shot" if len(cards) == 1 else "ensemble"
        provenance = {"modality_reason": "references"}
        empty = Task(classes, choice.modality, views.spacing, (), strategy, self.fingerprint, provenance)
        task = join_with_close_ups(empty, cards, views)
        if given:
            return task
        asked = options.strategy == "tuning"
        tuned = self.tuned.get(task, entries, self.method, once=asked, sparse=options.sparse)
        if tuned is None and asked:
            self.tuned.make(task, entries, catalogue, self.segmenter, shared=False, sparse=options.sparse)
            tuned = self.tuned.get(task, entries, self.method, once=True, sparse=options.sparse)
        return task if tuned is None else replace(task, strategy="tuning", tuned=tuned)

    def tune(self, catalogue: Catalogue, progress: Progress | None = None) -> list[dict]:
        """Tunes on all references, modality by modality.

        Args:
            catalogue: as the server wrote it last.
            progress: called with (steps done, steps in all) of one modality.

        Returns:
            For each modality what `TunedStore.make` gives.

        Raises:
            InputError: there is no reference.
        """
        groups: dict[str, list[tuple[ReferenceEntry, Facts]]] = {}
        warnings: list[str] = []
        for entry in chosen_references(catalogue, "", Options()):
            try:
                facts = self.embeddings.facts(catalogue, entry)
                groups.setdefault(facts.modality, []).append((entry, facts))
            except (Outdated, PassingError):
                raise
            except InputError as error:
                warnings.append(f"{entry.study} is left out: {error}")
        stats = []
        numbers = catalogue.register.numbers
        for modality, references in groups.items():
            held = sorted({n for entry, _ in references for n in entry.classes}, key=numbers.__getitem__)
            choice = Choice(tuple(references), tuple(held), modality, warnings)
            task = self._task(catalogue, Options(strategy="ensemble"), choice)
            sources = task.provenance["references"]
            entries = [entry for entry, _ in references if entry.study in sources]
            stats.append(self.tuned.make(task, entries, catalogue, self.segmenter, progress, shared=True))
        return stats


def weights_word(method: str, tuned: TunedStore) -> str:
    """A word for weights and whatever was tuned on top of them."""
    return f"{method}-{tuned.word}" if tuned.word else method


def _views(wanted: str, first: Facts, names: Sequence[str]) -> Views:
    """The views of a task: those of its oldest reference, unless the request names a voxel size."""
    if wanted == "auto":
        closer = first.views.close_ups[0][0] if first.views.close_ups else ()
        # the whole study has to show what no close-up does
        whole = first.views.spacing if set(names) <= set(closer) else first.spacing
        return replace(first.views, spacing=whole)
    if wanted == "preview":
        return Views(triple(PREVIEW * size for size in first.spacing))
    return Views(PAPER_SPACING if wanted == "paper" else (float(wanted),) * 3)


def _record(
    catalogue: Catalogue, study: str, task: Task, prediction: Prediction, choice: Choice, seconds: float
) -> dict:
    present = set(prediction.label.values)
    classes = [{"name": c.name, "idx": c.value, "color": list(c.color)} for c in task.classes]
    return {
        "study": study,
        "label_names": catalogue.register.numbers,
        "classes": classes,
        "label_info": [entry for entry in classes if entry["idx"] in present],
        "strategy": task.strategy,
        "modality": task.modality,
        "study_modality": choice.study_modality,
        "other_modality": dict(choice.other_modality),
        "spacing_mm": list(task.spacing),
        "references_used": prediction.references_used,
        "expected_dice": prediction.quality,
        "warnings": list(dict.fromkeys([*choice.warnings, *prediction.warnings])),
        "seconds": round(seconds, 2),
    }
