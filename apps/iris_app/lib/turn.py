"""Turn: in which order unlabelled studies are pre-labelled, so that people open fresh ones.

Studies that somebody has open come first, then the front of the queue of `next`, then those about which
nothing is known yet, then the rest in the order of that queue. See docs/decisions/0081.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apps.iris_app.lib.result_store import ResultStore
from apps.iris_app.lib.state import State, read_json

FRONT = 32  # studies of the queue that are likely to be handed out before the next label comes


class Turn:
    """The order of one job.

    Args:
        state: says what is open.
        results: say how useful a study seems.
    """

    def __init__(self, state: State, results: ResultStore) -> None:
        self._state, self._results = state, results
        self._known: tuple[str, dict[str, float | None]] = ("", {})  # weights as of this catalogue

    def order(self, waiting: Iterable[str], seen: str) -> list[str]:
        """The studies that wait, first come first.

        Args:
            waiting: ids.
            seen: a word that changes with the catalogue; until then a study's weight stays what it was.
        """
        waiting = sorted(waiting)
        weights = self._weights(waiting, seen)
        wanted = {name: place for place, name in enumerate(reversed(read_json(self._state.wanted, [])))}
        opened = sorted((name for name in waiting if name in wanted), key=wanted.__getitem__)
        queue = [name for name in waiting if name not in wanted and weights[name] is not None]
        queue.sort(key=lambda name: -(weights[name] or 0.0))
        unknown = [name for name in waiting if name not in wanted and weights[name] is None]
        return [*opened, *queue[:FRONT], *unknown, *queue[FRONT:]]

    def _weights(self, waiting: Iterable[str], seen: str) -> dict[str, float | None]:
        if self._known[0] != seen:
            self._known = (seen, {})
        known = self._known[1]
        for name in waiting:
            if name not in known:
                known[name] = usefulness(self._results.latest_likeness(name))
        return known


def usefulness(likeness: Mapping[str, float] | None) -> float | None:
    """How much a study would teach, 0 to 2: more, the less its least alike class looks like the references.

    Args:
        likeness: class -> cosine; None or empty where nothing was measured.

    Returns:
        None where nothing is known.
    """
    return 1.0 - min(likeness.values()) if likeness else None
