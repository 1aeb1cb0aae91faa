"""Options of a request: what a viewer's user may choose, checked and told in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.iris_app.lib.catalogue import Catalogue
from iris_core.errors import InputError

STRATEGIES = ("auto", "one-shot", "ensemble", "retrieval", "image-retrieval", "tuning")
SPACINGS = ("auto", "preview", "paper")  # or millimetres
SAVE_AS = ("no", "original", "final")
DEVICES = ("auto", "cpu", "cuda")
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
        save_as: one of SAVE_AS.
        device: one of DEVICES.
    """

    strategy: str = "auto"
    classes: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()
    spacing: str = "auto"
    save_as: str = "no"
    device: str = "auto"

    @classmethod
    def read(cls, request: Mapping[str, object], catalogue: Catalogue) -> Options:
        """Reads a request; what is not in it is left at its default.

        Raises:
            InputError: a value that is not offered, a class nobody has labelled, a reference that is none.
        """
        options = cls(
            strategy=_choice(request, "strategy", STRATEGIES),
            classes=tuple(_class(name, catalogue) for name in _list(request, "classes") if name != EVERY),
            pinned=tuple(_reference(name, catalogue) for name in _list(request, "pinned_references")),
            banned=tuple(_list(request, "banned_references")),
            spacing=_spacing(_text(request, "spacing") or "auto"),
            save_as=_choice(request, "save_as", SAVE_AS),
            device=_device(_text(request, "device") or "auto"),
        )
        both = sorted({*options.pinned} & {*options.banned})
        if both:
            raise InputError("A reference is pinned and banned at once", where=", ".join(both))
        return options

    @property
    def decisive(self) -> tuple[object, ...]:
        """What a result depends on: all but the device and where it is saved."""
        return (
            self.strategy, sorted(self.classes), sorted(self.pinned), sorted(self.banned), self.spacing
        )  # fmt: skip


def config() -> dict[str, object]:
    """The options as viewers show them: a list offers its items, the first of which is the default."""
    return {
        "strategy": list(STRATEGIES),
        "classes": EVERY,
        "pinned_references": "",
        "banned_references": "",
        "spacing": list(SPACINGS),
        "save_as": list(SAVE_AS),
        "device": list(DEVICES),
    }


def _text(request: Mapping[str, object], name: str) -> str:
    value = request.get(name)
    value = value[0] if isinstance(value, list) and value else value
    return "" if value is None or isinstance(value, list) else str(value).strip()


def _list(request: Mapping[str, object], name: str) -> list[str]:
    value = request.get(name)
    words = value if isinstance(value, list) else str(value or "").split(",")
    return list(dict.fromkeys(word for word in (str(w).strip() for w in words) if word))


def _choice(request: Mapping[str, object], name: str, offered: tuple[str, ...]) -> str:
    value = _text(request, name) or offered[0]
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
            "No reference shows this class", where=name, expected=f"one of {', '.join(held) or 'none yet'}",
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
    """Hosts name GPUs by number ("cuda:0"); one that is not there gives way to the CPU when computing."""
    value = "cuda" if value.startswith("cuda") else value
    if value not in DEVICES:
        raise InputError("Unknown device", where=value, expected=f"one of {', '.join(DEVICES)}")
    return value
