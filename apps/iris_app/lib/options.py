"""Options of a request: what a viewer's user may choose, checked and told in sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apps.iris_app.catalogue.catalogue import Catalogue
from iris_core.config import STRATEGIES as OF_TASKS
from iris_core.errors import InputError
from iris_core.volume.name_list import read_names, write_names
from iris_core.volume.unknown import SPARSE

STRATEGIES = ("auto", *OF_TASKS)
SPACINGS = ("auto", "preview", "paper")  # or millimetres
SAVE_AS = ("no", "original", "final")
SPARSE_WORDS = {"true": "slices", "yes": "slices", "false": "no"}  # what a viewer's tick box sends
DEVICES = ("auto", "cpu", "cuda")
DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,2})?")  # hosts name GPUs by number
WITHHOLD_BELOW = 0.3  # expected Dice; see docs/decisions/0086
LONGEST = 86400.0  # seconds that a request may wait
EVERY = "all"


@dataclass(frozen=True)
class Options:
    """What is asked of a study.

    Attributes:
        strategy: one of STRATEGIES.
        classes: names in the register; empty for all that the references hold.
        pinned: only these references; empty for all.
        banned: never these references.
        spacing: one of SPACINGS, or millimetres as text.
        sparse: how references were labelled that show a structure in some slices only, one of SPARSE.
        save_as: one of SAVE_AS.
        device: one of DEVICES.
        withhold_below: a class whose expected Dice is less is left out of the answer; 0 for none.
        time_limit: seconds after which nobody waits for the answer any more; None for no limit.
    """

    strategy: str = "auto"
    classes: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()
    spacing: str = "auto"
    sparse: str = "no"
    save_as: str = "no"
    device: str = "auto"
    withhold_below: float = WITHHOLD_BELOW
    time_limit: float | None = None

    @classmethod
    def read(cls, request: Mapping[str, object], catalogue: Catalogue) -> Options:
        """Reads a request; what is not in it is left at its default.

        Raises:
            InputError: a value that is not offered, a class nobody has labelled, a reference that is none, a
                banned study that the datastore does not have.
        """
        options = cls(
            strategy=_choice(request, "strategy", STRATEGIES),
            classes=tuple(_class(name, catalogue) for name in _classes(request, catalogue)),
            pinned=tuple(_reference(name, catalogue) for name in _studies(request, "pinned", catalogue)),
            banned=tuple(_known(name, catalogue) for name in _studies(request, "banned", catalogue)),
            spacing=_spacing(_text(request, "spacing") or "auto"),
            sparse=_choice(request, "sparse", SPARSE),
            save_as=_choice(request, "save_as", SAVE_AS),
            device=_device(_text(request, "device") or "auto"),
            withhold_below=_bar(_text(request, "withhold_below")),
            time_limit=read_time_limit(request),
        )
        both = sorted({*options.pinned} & {*options.banned})
        if both:
            raise InputError("A reference is pinned and banned at once", where=", ".join(both))
        return options

    @property
    def decisive(self) -> tuple[object, ...]:
        """What a result depends on: all but the device, and what is done with the result afterwards."""
        sparse = () if self.sparse == "no" else (self.sparse,)
        studies = sorted(self.pinned), sorted(self.banned)
        return (self.strategy, sorted(self.classes), *studies, self.spacing, *sparse)


def config() -> dict[str, object]:
    """The options as viewers show them: a list offers its items, the first of which is the default."""
    return {
        "strategy": list(STRATEGIES),
        "classes": EVERY,
        "pinned_references": "",
        "banned_references": "",
        "spacing": list(SPACINGS),
        "sparse": list(SPARSE),
        "save_as": list(SAVE_AS),
        "device": list(DEVICES),
        "withhold_below": f"{WITHHOLD_BELOW:g}",
        "time_limit": "",
    }


def read_time_limit(request: Mapping[str, object]) -> float | None:
    """Seconds after which nobody waits for the answer any more; None for no limit.

    Raises:
        InputError: no number of seconds that anybody could wait.
    """
    value = _text(request, "time_limit")
    if not value:
        return None
    seconds = _number(value)
    if seconds is None or not 0 < seconds <= LONGEST:
        raise InputError(
            "Unusable time_limit", where=value[:40],
            expected=f"seconds, more than 0 and at most {LONGEST:.0f}, or nothing for no limit",
        )  # fmt: skip
    return seconds


def _text(request: Mapping[str, object], name: str) -> str:
    """An option as text; a viewer may send the whole list that it offers, whose first item counts.

    Raises:
        InputError: neither text, a number or a truth value, nor a list of texts.
    """
    value = request.get(name)
    if isinstance(value, list) and value and _are_texts(value):
        value = value[0]
    if not (value is None or isinstance(value, str | int | float)):
        raise _no_text(name, value)
    return "" if value is None else str(value).strip()


def _are_texts(values: list) -> bool:
    return all(isinstance(value, str) for value in values)


def _no_text(name: str, value: object) -> InputError:
    return InputError(f"Unusable {name}", where=str(value)[:40], expected="a text, or a list of texts")


def _classes(request: Mapping[str, object], catalogue: Catalogue) -> list[str]:
    """The classes that a request names; none where it names all of them."""
    names = _names(request, "classes", lambda name: catalogue.register.find(name) is not None)
    return names if EVERY not in names or catalogue.register.find(EVERY) else []


def _studies(request: Mapping[str, object], kind: str, catalogue: Catalogue) -> list[str]:
    return _names(request, f"{kind}_references", catalogue.studies.__contains__)


def _names(request: Mapping[str, object], name: str, known: Callable[[str], bool]) -> list[str]:
    value = request.get(name)
    if isinstance(value, dict) or (isinstance(value, list) and not _are_texts(value)):
        raise _no_text(name, value)
    return read_names(value if isinstance(value, list) else str(value or ""), known)


def _choice(request: Mapping[str, object], name: str, offered: tuple[str, ...]) -> str:
    value = _text(request, name) or offered[0]
    if offered is SPARSE:
        value = SPARSE_WORDS.get(value.lower(), value)
    if value not in offered:
        raise InputError(
            f"Unknown {name.replace('_', ' ')}", where=value, expected=f"one of {', '.join(offered)}"
        )
    return value


def _class(name: str, catalogue: Catalogue) -> str:
    known = catalogue.register.find(name)
    held = [c for c in catalogue.register.numbers if any(c in r.classes for r in catalogue.usable)]
    if known not in held:
        raise InputError(
            "No reference shows this class", where=name, expected=f"one of {write_names(held) or 'none yet'}",
            remedy="label it in one study and submit that label",
        )  # fmt: skip
    return known


def _reference(name: str, catalogue: Catalogue) -> str:
    if name in catalogue.problems:
        raise InputError("This reference cannot be used", where=name, found=catalogue.problems[name])
    if name not in catalogue.references:
        raise InputError(
            "This study has no final label", where=name,
            expected=f"one of {', '.join(r.study for r in catalogue.usable) or 'none yet'}",
        )  # fmt: skip
    return name


def _known(name: str, catalogue: Catalogue) -> str:
    if name not in catalogue.studies:
        raise InputError("A banned reference is no study of the datastore", where=name[:80])
    return name


def _spacing(value: str) -> str:
    if value in SPACINGS:
        return value
    try:
        if 0.1 <= float(value) <= 20:
            return f"{float(value):g}"
    except ValueError:
        pass
    raise InputError("Unusable spacing", where=value, expected=f"{', '.join(SPACINGS)}, or 0.1 to 20 mm")


def _device(value: str) -> str:
    """The kind of a device; a GPU that is not there gives way to the CPU when computing."""
    if not DEVICE.fullmatch(value):
        raise InputError("Unknown device", where=value[:40], expected=f"one of {', '.join(DEVICES)}")
    return value.partition(":")[0]


def _bar(value: str) -> float:
    bar = _number(value or str(WITHHOLD_BELOW))
    if bar is None or not 0 <= bar <= 1:
        raise InputError(
            "Unusable withhold_below", where=value[:40],
            expected="an expected Dice, 0 to 1; 0 withholds nothing",
        )  # fmt: skip
    return bar


def _number(value: str) -> float | None:
    """A number; None for any other text, and for one that is not finite."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
