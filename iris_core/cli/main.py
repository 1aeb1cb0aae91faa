"""`iris`: finds the command, runs it, and turns every way it can end into an exit status.

0 done; 1 some cases failed, each named; 2 wrong use or bad input, told in one line; 70 a fault of the
program, with its traceback; 130 interrupted; 143 terminated. Only the chosen command's module is imported, so
that `iris --help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from iris_core.errors import IrisError
from iris_core.memory_reuse import reuse_memory

#: command -> what it does. Each is a module of a room's `cli` with add_arguments(parser) and run(arguments);
#: rooms behind the core are named here and imported only when their command is chosen.
COMMANDS = {
    "demo": "pre-label sample studies from one labelled study each: pictures and a table",
    "segment": "segment an image or a folder with references, or with a task card",
    "encode": "turn references into a task card, a small file without images",
    "evaluate": "measure on a labelled dataset, beside copying the reference's mask",
    "pretrain": "train weights on synthetic tasks",
    "union": "make one nnU-Net dataset of several, each with its own classes",
    "plan-and-preprocess": "prepare nnU-Net datasets for nnUNetv2_train -tr nnUNetTrainerIris",
    "trainer-path": "print the folder that nnU-Net's nnUNet_extTrainer must name",
    "export": "turn a training of nnUNetTrainerIris into one portable file",
    "graduate": "turn the final labels of a MONAI Label studies folder into an nnU-Net dataset",
    "serve": "start the MONAI Label server: label one study, find the others pre-labelled",
    "info": "show versions, weights and devices, and check the installation",
}
#: command -> package of its module, where it is not this one
ROOMS = {
    "union": "nnunet_trainers.cli",
    "plan-and-preprocess": "nnunet_trainers.cli",
    "graduate": "nnunet_trainers.cli",
    "trainer-path": "nnunet_trainers.cli",
    "export": "nnunet_trainers.cli",
    "serve": "apps.iris_app.cli",
}
FORKING = {"plan-and-preprocess"}
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
    parser = _parser(words[0] if words and words[0] in COMMANDS else None)
    try:
        arguments = parser.parse_args(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    if arguments.command is None:
        parser.print_help()
        return BAD_INPUT
    arguments.words = ["iris", *words]
    return _run(arguments)


def _parser(command: str | None) -> argparse.ArgumentParser:
    """A parser in which only `command` knows its options."""
    parser = OneLineParser(
        prog="iris",
        description="In-context segmentation of 3D images: one labelled study in, a folder segmented out.",
        epilog="Research use, not a medical device. `iris COMMAND --help` shows a command's options.",
    )
    parser.add_argument("--version", action="version", version=f"iris {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == command:
            room = ROOMS.get(name, "iris_core.cli")
            module = importlib.import_module(f"{room}.{name.replace('-', '_')}")
            module.add_arguments(sub)
            sub.add_argument("--verbose", action="store_true", help="show the log and tracebacks")
            sub.add_argument("--quiet", action="store_true", help="no progress and no notes on stderr")
            sub.set_defaults(run=module.run)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.ERROR if arguments.quiet else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s" if arguments.verbose else "iris: %(message)s",
    )
    if arguments.verbose:
        logging.getLogger("PIL").setLevel(logging.WARNING)
    try:
        with _terminated_like_interrupted(arguments.command):
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
def _terminated_like_interrupted(command: str) -> Iterator[None]:
    """While it lasts, SIGTERM raises KeyboardInterrupt, so that half-written files are cleared away.

    Commands whose work forks keep the system's own SIGTERM: a worker that is told to end in the moment after
    its fork would lose a signal that Python handles, and its pool would wait for it for ever.
    """

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt(signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread() or command in FORKING:
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("iris-incontext")
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
