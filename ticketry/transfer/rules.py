"""How an export is called and written, and how many may be sent at a time."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime

from ticketry.core.errors import RateLimited
from ticketry.transfer.models import Format

MEDIA_TYPES: dict[Format, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
RETRY_AFTER = 10


def format_of(asked: Format | None, accept: str) -> Format:
    """How an export is written: as asked, else as the `Accept` header says, else as NDJSON."""
    return asked or ("csv" if "text/csv" in accept.lower() and "ndjson" not in accept.lower() else "ndjson")


def file_name(format_: Format, now: datetime) -> str:
    """What a browser calls the file: `tickets-20250115-163000.csv`."""
    return f"tickets-{now:%Y%m%d-%H%M%S}.{format_}"


@contextmanager
def turn(sending: MutableMapping[str, int], workspace_id: str, most: int) -> Iterator[None]:
    """One of the `most` exports that a process sends at a time; a workspace may have half of them, so that its slow
    readers never keep out others. Raises `too_many_exports` (429).
    """
    if sum(sending.values()) >= most or sending.get(workspace_id, 0) >= max(1, most // 2):
        message = "Too many exports are being sent; try again when one has ended"
        raise RateLimited("too_many_exports", message, retry_after=RETRY_AFTER)
    sending[workspace_id] = sending.get(workspace_id, 0) + 1
    try:
        yield
    finally:
        sending[workspace_id] -= 1
        if not sending[workspace_id]:
            del sending[workspace_id]
