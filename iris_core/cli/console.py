"""What a command says: notes and progress bars on stderr, results on stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


class Console:
    """Speaks to the person at the terminal.

    Args:
        quiet: no notes and no bars.

    Attributes:
        warnings: what was worth knowing, for the report.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.warnings: list[str] = []
        self._said: set[str] = set()
        _keep_warnings_in(self.warnings)

    def note(self, message: str) -> None:
        """Says something on stderr, unless quiet; a bar that is shown moves down."""
        if self.quiet:
            return
        if sys.stderr.isatty():
            from tqdm import tqdm

            tqdm.write(message, file=sys.stderr)
        else:
            print(message, file=sys.stderr, flush=True)

    def once(self, message: str) -> None:
        """Says something the first time it is to be said."""
        if message not in self._said:
            self._said.add(message)
            self.note(message)

    def warn(self, message: str) -> None:
        """Says once what is worth knowing, and keeps it for the report."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.note(f"note: {message}")

    def bar(self, total: int | None, unit: str, title: str | None = None) -> tqdm:
        """A progress bar on stderr; shown only on a terminal. A total of None is not known yet."""
        from tqdm import tqdm

        hidden = self.quiet or not sys.stderr.isatty() or total == 0
        look = {"file": sys.stderr, "leave": False, "dynamic_ncols": True}
        return tqdm(total=total, unit=unit, desc=title, disable=hidden, **look)

    def steps(self, title: str, unit: str) -> Callable[[int, int], None]:
        """A bar for work that reports (done, total), for instance the windows of one volume.

        It is there at once: minutes may pass before the first report.
        """
        bar = self.bar(None, unit, title)

        def step(done: int, total: int) -> None:
            nonlocal bar
            bar = self.bar(total, unit, title) if bar is None else bar
            bar.update(done - bar.n)
            if bar.total != total:
                bar.total = total
                bar.refresh()
            if done >= total:
                bar.close()
                bar = None

        return step


class _Keeper(logging.Handler):
    """Adds what the readers of files warn of to a list; the log shows it by itself."""

    def __init__(self, warnings: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.warnings = warnings

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.warnings:
            self.warnings.append(message)


def _keep_warnings_in(warnings: list[str]) -> None:
    """Lets a list, in place of that of an earlier run, receive what is logged about files."""
    for name in ("iris_core.remarks", "iris_core.volume_io"):
        log = logging.getLogger(name)
        for handler in [handler for handler in log.handlers if isinstance(handler, _Keeper)]:
            log.removeHandler(handler)
        log.addHandler(_Keeper(warnings))
