"""Turn: in which order unlabelled studies are pre-labelled, so that people open fresh ones.

Studies that somebody has open come first, and with them those that follow in the list, for people who go
through it. Then come the front of the queue of `next`, those about which nothing is known yet, and the rest
in the order of that queue. See docs/decisions/0081.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping

from apps.iris_app.computing.result_store import ResultStore
from apps.iris_app.lib.state import State, read_json

WALKERS = 8  # of the studies that were opened last, after which the next one of the list is computed too
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
        wanted = [name for name in reversed(read_json(self._state.wanted, [])) if isinstance(name, str)]
        opened = [name for name in wanted if name in weights]
        places = [bisect(waiting, name) for name in wanted[:WALKERS]]
        following = [waiting[place] for place in places if place < len(waiting)]
        first = list(dict.fromkeys([*opened, *following]))
        queue = [name for name in waiting if name not in first and weights[name] is not None]
        queue.sort(key=lambda name: -(weights[name] or 0.0))
        unknown = [name for name in waiting if name not in first and weights[name] is None]
        return [*first, *queue[:FRONT], *unknown, *queue[FRONT:]]

    def _weights(self, waiting: Iterable[str], seen: str) -> dict[str, float | None]:
        if self._known[0] != seen:
            self._known = (seen, {})
        known = self._known[1]
        for name in waiting:
            if name not in known:
                known[name] = usefulness(self._results.latest_likeness(name))
        return {name: known[name] for name in waiting}


def usefulness(likeness: Mapping[str, float] | None) -> float | None:
    """How much a study would teach, 0 to 2: more, the less its least alike class looks like the references.

    Args:
        likeness: class -> cosine; None or empty where nothing was measured.

    Returns:
        None where nothing is known.
    """
    return 1.0 - min(likeness.values()) if likeness else None
