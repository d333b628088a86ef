"""How much of something costly a process does at a time, and no workspace all of it."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from ticketry.core.errors import RateLimited

RETRY_AFTER = 10


@contextmanager
def turn(taken: MutableMapping[str, int], workspace_id: str, most: int, *, code: str) -> Iterator[None]:
    """One of the `most` turns of a process; a workspace may have half of them, so that its slow clients never keep out
    others. Raises `RateLimited` with this code.
    """
    if sum(taken.values()) >= most or taken.get(workspace_id, 0) >= max(1, most // 2):
        message = "Too many of these are under way; try again when one has ended"
        raise RateLimited(code, message, retry_after=RETRY_AFTER)
    taken[workspace_id] = taken.get(workspace_id, 0) + 1
    try:
        yield
    finally:
        taken[workspace_id] -= 1
        if not taken[workspace_id]:
            del taken[workspace_id]
