"""How an export is called and written."""

from datetime import datetime

from ticketry.transfer.models import Format

MEDIA_TYPES: dict[Format, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def format_of(asked: Format | None, accept: str) -> Format:
    """How an export is written: as asked, else as the `Accept` header says, else as NDJSON."""
    return asked or ("csv" if "text/csv" in accept.lower() and "ndjson" not in accept.lower() else "ndjson")


def file_name(format_: Format, now: datetime) -> str:
    """What a browser calls the file: `tickets-20250115-163000.csv`."""
    return f"tickets-{now:%Y%m%d-%H%M%S}.{format_}"
