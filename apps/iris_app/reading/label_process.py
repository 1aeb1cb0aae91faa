"""The reader, a process that reads labels.

    python -m apps.iris_app.reading.label_process

It takes pickled pairs (final label, studies folder) from stdin and writes for each a pickled `Drawn`, or the
error that reading it raised. Both ends are this program, on one machine; nothing else writes into its pipes.
"""

from __future__ import annotations

import os
import pickle
import sys

CALM = 5  # how much it gives way to the server, which answers people meanwhile


def main() -> int:
    """Reads labels until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    if hasattr(os, "nice"):
        os.nice(CALM)
    from apps.iris_app.catalogue.drawn import read_drawn
    from iris_core.allocator import give_memory_back

    while True:
        try:
            final, folder = pickle.load(sys.stdin.buffer)
        except EOFError:
            return 0
        try:
            answer: object = read_drawn(final, folder)
        except Exception as error:  # for the server to judge
            answer = error
        pickle.dump(answer, answers)
        answers.flush()
        give_memory_back()


if __name__ == "__main__":
    sys.exit(main())
