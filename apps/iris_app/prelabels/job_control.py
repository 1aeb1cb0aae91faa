"""How the server steers the pre-label job: through files of the state that the job looks at."""

from __future__ import annotations

from apps.iris_app.computing.tuned_store import TunedStore
from apps.iris_app.lib.state import State, read_json, stamp, write_json
from iris_core.errors import PassingError


def seen_by_job(state: State) -> list[str]:
    """Changes whenever there may be something new to do: the catalogue, what was tuned, a wish."""
    files = (state.catalogue, TunedStore(state).folder, state.cancelled, state.retry)
    return [stamp(file) for file in files]


def cancel(state: State) -> None:
    """Stops the job within a window, until `resume`."""
    state.cancelled.touch()


def resume(state: State) -> None:
    """Lets a cancelled job go on, and everything that failed and may succeed be tried again at once.

    Raises:
        PassingError: that cannot be written down.
    """
    state.cancelled.unlink(missing_ok=True)
    try:
        state.retry.touch()
    except OSError as error:
        raise PassingError("cannot be written", where=state.retry.name, found=error.strerror) from error


def want(state: State, study: str) -> None:
    """Puts a study first: somebody is about to open it."""
    wanted = [name for name in read_json(state.wanted, []) if name != study]
    write_json([*wanted[-19:], study], state.wanted)
