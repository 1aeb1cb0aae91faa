"""The errors that a user can meet: what happened, where, what was expected, what was found, what to do."""

from __future__ import annotations

from pathlib import Path


class IrisError(Exception):
    """A user's mistake or a broken input, in one line.

    Args:
        what: the fact, as a short sentence without a full stop.
        where: file, folder, argument or case that it concerns.
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        expected: object = None,
        found: object = None,
        remedy: str | None = None,
    ) -> None:
        self.what, self.where, self.expected, self.found, self.remedy = what, where, expected, found, remedy
        parts = [what if where is None else f"{where}: {what}"]
        if expected is not None:
            parts.append(f"expected {expected}")
        if found is not None:
            parts.append(f"found {found}")
        if remedy is not None:
            parts.append(remedy)
        super().__init__("; ".join(" ".join(str(part).split()) for part in parts))


class InputError(IrisError):
    """A file, folder or argument that cannot be used as given."""


class PassingError(InputError):
    """Something beside the input failed that may pass: a full disk, a locked file, a lack of memory.

    The same attempt may succeed later, so nobody remembers it as a fault of the input.
    """


class CheckpointError(IrisError):
    """A file that is no checkpoint of this model, or one of another version."""


class CardError(IrisError):
    """A task card that cannot be read, or that another model wrote."""


def sentence_of(error: Exception, where: object) -> str:
    """An error in one line: an IrisError's own, or its kind and text after the file or case it concerns."""
    if isinstance(error, IrisError):
        return str(error)
    return f"{where}: unexpected {type(error).__name__}: {' '.join(str(error).split())}"


def may_pass(error: BaseException) -> bool:
    """Whether the same attempt may succeed later: the disk, the memory or a lock failed, and not the input.

    The error's causes count too, and so does a missing file, which may be on a share that is away.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, (PassingError, MemoryError, TimeoutError)):
            return True
        if isinstance(cause, OSError) and cause.errno is not None:  # a damaged packed file has no number
            return True
        if type(cause).__name__ == "OutOfMemoryError":  # of torch, which is not imported for this
            return True
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return False
