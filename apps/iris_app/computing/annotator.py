"""Annotator: from a request to a finished segmentation. Flow C of docs/architecture, without the host.

catalogue, study, options -> references -> embeddings (kept) -> task -> query segmented -> result (kept)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

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
from iris_core.task.closer_look import Place, Views
from iris_core.task.reference import ClassInfo
from iris_core.task.task import Look, Task
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
            name: [e.study for e, _ in choice.references if name in e.classes][-MOST_REFERENCES:]
            for name in choice.names
        }
        entries = [e for e, _ in choice.references if any(e.study in shown for shown in showing.values())]
        pool, sources, cards = [], [], []
        for entry in entries:
            try:
                card = self.embeddings.get(catalogue, entry, views, options.sparse)
            except (Outdated, PassingError):
                raise
            except InputError as error:
                choice.warnings.append(f"{entry.study} is left out: {error}")
                continue
            held = [n for n in choice.names if n in card.names and entry.study in showing[n]]
            if held:
                pool.append(card.pool[0].select(held))
                sources.append(entry.study)
                cards.append((card, held))
        names = [n for n in choice.names if any(n in embedding.names for embedding in pool)]
        if not names:
            raise InputError("No reference can be used", found="; ".join(choice.warnings))
        register = catalogue.register
        classes = tuple(
            ClassInfo(name, number, register.color(number))
            for name, number in ((name, register.numbers[name]) for name in names)
        )
        entries = [entry for entry in entries if entry.study in sources]
        provenance: dict[str, Any] = {"references": sources, "modality_reason": "references"}
        strategy = "one-shot" if len(pool) == 1 else "ensemble"
        if options.strategy not in ("auto", "tuning"):
            strategy = options.strategy
        task = Task(
            classes, choice.modality, views.spacing, tuple(pool), strategy, self.fingerprint, provenance
        )
        task = replace(task, looks=_looks(views, task, cards))
        if options.strategy not in ("auto", "tuning"):
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
        seen = first.views.looks[0][0] if first.views.looks else ()
        # the whole has to show what no look does
        whole = first.views.spacing if set(names) <= set(seen) else first.spacing
        return replace(first.views, spacing=whole)
    if wanted == "preview":
        return Views(triple(PREVIEW * size for size in first.spacing))
    return Views(PAPER_SPACING if wanted == "paper" else (float(wanted),) * 3)


def _looks(views: Views, task: Task, cards: Sequence[tuple[Task, Sequence[str]]]) -> tuple[Look, ...]:
    """The closer looks of a task, joined from the cards of its references and the classes taken of each."""
    looks = []
    for names, size in views.looks:
        parts = [
            (source, look, kept)
            for source, (card, held) in zip(task.provenance["references"], cards, strict=True)
            for look in card.looks
            if set(look.task.names) <= set(names) and (kept := [n for n in look.task.names if n in held])
        ]
        classes = tuple(c for c in task.classes if any(c.name in kept for _, _, kept in parts))
        if not classes:
            continue
        pool = tuple(look.task.pool[0].select(kept) for _, look, kept in parts)
        strategy = "one-shot" if len(pool) == 1 else task.strategy
        provenance = {**task.provenance, "references": [source for source, _, _ in parts]}
        extent = triple(max(sizes) for sizes in zip(*(look.extent for _, look, _ in parts), strict=True))
        closer = replace(
            task, classes=classes, spacing=size, pool=pool, strategy=strategy, provenance=provenance
        )
        places = tuple(
            _mean_place(info.name, [look for _, look, kept in parts if info.name in kept]) for info in classes
        )
        looks.append(Look(closer, extent, places))
    return tuple(looks)


def _mean_place(name: str, looks: Sequence[Look]) -> Place:
    places = [look.places[look.task.names.index(name)] for look in looks]
    first, last = (
        [sum(axis) / len(axis) for axis in zip(*ends, strict=True)] for ends in zip(*places, strict=True)
    )
    return triple(first), triple(last)


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
