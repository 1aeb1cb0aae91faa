"""Which references answer for a study: those that may, and of them those of its own modality.

See docs/decisions/0052.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.iris_app.catalogue.catalogue import Catalogue, Outdated, ReferenceEntry
from apps.iris_app.computing.embedding_store import EmbeddingStore, Facts
from apps.iris_app.lib.options import Options
from iris_core.errors import InputError, PassingError
from iris_core.preprocessing.modality import detect_modality, query_modality
from iris_core.volume.even_values import label_map_doubt
from iris_core.volume.volume import Volume


@dataclass(frozen=True)
class Choice:
    """References in use.

    Attributes:
        references: with their facts, oldest first.
        names: of the classes, in the order of their numbers.
        modality: of the references.
        warnings: what a person should know; grows while references turn out to be unusable.
        study_modality: of the study that is asked about; "" where none is.
        other_modality: class -> modality of its references, for classes that no reference of the study's own
            modality shows.
    """

    references: tuple[tuple[ReferenceEntry, Facts], ...]
    names: tuple[str, ...]
    modality: str
    warnings: list[str]
    study_modality: str = ""
    other_modality: Mapping[str, str] = field(default_factory=dict)


def chosen_references(catalogue: Catalogue, study: str, options: Options) -> list[ReferenceEntry]:
    """The references that may be used for a study: final labels of other studies, pinned ones if any.

    Raises:
        InputError: there is none; the message says why and what to do.
    """
    others = [r for r in catalogue.usable if r.study != study]
    chosen = [r for r in others if r.study not in options.banned]
    if options.pinned:
        chosen = [r for r in chosen if r.study in options.pinned]
    if chosen:
        return chosen
    if others:
        raise InputError("Every reference is banned", remedy="leave at least one to learn from")
    if catalogue.problems:
        raise InputError(
            "No reference can be used",
            found="; ".join(f"{name}: {why}" for name, why in catalogue.problems.items()),
        )
    if catalogue.usable:
        raise InputError(
            "The only labelled study is this one", where=study, remedy="label another one to learn from"
        )
    raise InputError("There is no reference yet", remedy="label one study and submit that label as final")


def choose(
    catalogue: Catalogue,
    options: Options,
    references: Sequence[ReferenceEntry],
    image: Volume,
    embeddings: EmbeddingStore,
) -> Choice:
    """Of the references that may be used, those of the image's modality where there are any.

    Args:
        catalogue: studies and class numbers.
        options: of the request; a class that it names is worth another modality.
        references: that may be used, oldest first.
        image: the query.
        embeddings: knows the references' modalities.

    Raises:
        InputError: none can be used, or none of them shows a class that is asked for.
        Outdated: a label changed after it was catalogued.
    """
    facts: list[tuple[ReferenceEntry, Facts]] = []
    warnings: list[str] = []
    if doubt := label_map_doubt(image.array):
        warnings.append(f"this study {doubt}: check that it is an image")
    for entry in references:
        try:
            facts.append((entry, embeddings.facts(catalogue, entry, options.sparse)))
        except (Outdated, PassingError):
            raise
        except InputError as error:
            warnings.append(f"{entry.study} is left out: {error}")
    if not facts:
        raise InputError("No reference can be used", found="; ".join(warnings))
    modality = _modality_of(image, {fact.modality for _, fact in facts})
    alike = [(entry, fact) for entry, fact in facts if fact.modality == modality]
    used = alike if alike and {*options.classes} <= _shown(alike) else facts
    missing = [name for name in options.classes if name not in _shown(used)]
    if missing:
        raise InputError("No reference in use shows this class", where=", ".join(missing))
    if used is not alike and len(alike) < len(facts):
        found = Counter(f.modality for _, f in facts).most_common(1)[0][0]
        warnings.append(f"the references are {found}, this study looks like {modality}: check the result")
    for entry, fact in used:
        warnings += [*fact.remarks, *([f"{entry.study}: {entry.note}"] if entry.note else [])]
    numbers = catalogue.register.numbers
    names = sorted(options.classes or _shown(used), key=numbers.__getitem__)
    own = _shown([(entry, fact) for entry, fact in used if fact.modality == modality])
    other = {
        name: next(fact.modality for entry, fact in used if name in entry.classes)
        for name in names
        if name not in own
    }
    return Choice(tuple(used), tuple(names), used[0][1].modality, warnings, modality, other)


def _modality_of(image: Volume, offered: set[str]) -> str:
    """How an image is taken: as references of one modality unless it contradicts, else as it looks."""
    if len(offered) == 1:
        return query_modality(image, next(iter(offered)), given=False)[0]
    return detect_modality(image).name


def _shown(references: Sequence[tuple[ReferenceEntry, Facts]]) -> set[str]:
    return {name for entry, _ in references for name in entry.classes}
