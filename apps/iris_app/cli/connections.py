"""How many connections the serving process may have open."""

from __future__ import annotations

MOST = 65_536


def allow_connections() -> None:
    """Lets this process, and what it becomes, open as many files as the system allows it.

    The usual thousand is soon taken by clients that connect and say nothing.
    """
    try:
        import resource
    except ImportError:  # Windows has no such bound
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
