"""`iris`: finds the command, runs it, and turns every way it can end into an exit status.

0 done; 1 some cases failed, each named; 2 wrong use or bad input, told in one line; 70 a fault of the
program, with its traceback; 130 interrupted; 143 terminated. Only the chosen command's module is imported, so
that `iris --help` answers at once. Packages that build on this one bring commands of their own
(iris_core.cli.other_commands).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from iris_core import __version__
from iris_core.allocator import reuse_memory
from iris_core.cli.other_commands import Command, other_commands
from iris_core.errors import IrisError

#: command -> what it does. Each is a module of this package with add_arguments(parser) and run(arguments).
COMMANDS = {
    "demo": "pre-label sample studies from one labelled study each: pictures and a table",
    "segment": "segment an image or a folder with references, or with a task card",
    "encode": "turn references into a task card, a small file without images",
    "evaluate": "measure on a labelled dataset, beside copying the reference's mask",
    "pretrain": "train weights on synthetic tasks",
    "info": "show versions, weights and devices, and check the installation",
}
DONE, SOME_FAILED, BAD_INPUT, FAULT, INTERRUPTED, TERMINATED = 0, 1, 2, 70, 130, 143


class OneLineParser(argparse.ArgumentParser):
    """A parser that tells a wrong use in one line and points to the help."""

    def error(self, message: str) -> NoReturn:
        """Prints the message and exits with status 2."""
        self.exit(BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: words after `iris`; those of the process when not given.

    Returns:
        The exit status.
    """
    if argv is None:  # this process is ours
        reuse_memory()
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(words[0] if words else None)
    try:
        arguments = parser.parse_args(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    if arguments.command is None:
        parser.print_help()
        return BAD_INPUT
    arguments.words = ["iris", *words]
    return _run(arguments)


def _parser(word: str | None) -> argparse.ArgumentParser:
    """A parser in which only the command that is meant knows its options."""
    known = {name: Command(name, summary, __package__) for name, summary in COMMANDS.items()}
    if word not in known:
        known = known | {name: other for name, other in other_commands().items() if name not in known}
    parser = OneLineParser(
        prog="iris",
        description="In-context segmentation of 3D images: one labelled study in, a folder segmented out.",
        epilog="Research use, not a medical device. `iris COMMAND --help` shows a command's options.",
    )
    parser.add_argument("--version", action="version", version=f"iris {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in known.values():
        summary = command.summary
        description = summary[0].upper() + summary[1:] + "."
        sub = commands.add_parser(command.name, help=summary, description=description)
        if command.name == word:
            module = command.module()
            module.add_arguments(sub)
            sub.add_argument("--verbose", action="store_true", help="show the log and tracebacks")
            sub.add_argument("--quiet", action="store_true", help="no progress and no notes on stderr")
            sub.set_defaults(run=module.run, forks=getattr(module, "FORKS", False))
    return parser


def _run(arguments: argparse.Namespace) -> int:
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.ERROR if arguments.quiet else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s" if arguments.verbose else "iris: %(message)s",
    )
    if arguments.verbose:
        logging.getLogger("PIL").setLevel(logging.WARNING)
    try:
        with _terminated_like_interrupted(arguments.forks):
            return arguments.run(arguments)
    except IrisError as error:
        return _end(BAD_INPUT, str(error), arguments)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - so that the interpreter's last flush finds no closed pipe
        return DONE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _end(BAD_INPUT, f"{where}{error.strerror or error}", arguments)
    except KeyboardInterrupt as interrupt:
        terminated = interrupt.args == (signal.SIGTERM,)
        return _end(
            TERMINATED if terminated else INTERRUPTED, "interrupted; finished results are whole", arguments
        )
    except Exception as error:
        if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
            return _end(BAD_INPUT, "memory ran out; use --device cpu, or a coarser --spacing", arguments)
        logging.getLogger(__name__).critical("a fault of the program, please report it", exc_info=True)
        return FAULT


def _end(status: int, message: str, arguments: argparse.Namespace) -> int:
    if arguments.verbose:
        logging.getLogger(__name__).debug("ended by", exc_info=True)
    print(f"iris {arguments.command}: {'error: ' if status == BAD_INPUT else ''}{message}", file=sys.stderr)
    return status


@contextlib.contextmanager
def _terminated_like_interrupted(forks: bool) -> Iterator[None]:
    """While it lasts, SIGTERM raises KeyboardInterrupt, so that half-written files are cleared away.

    Commands whose work forks (their module says so in FORKS) keep the system's own SIGTERM: a process that
    gets the signal right after its fork would lose it in Python, and its pool would wait for it for ever.
    """

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt(signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread() or forks:
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
