"""How an export is called and written."""

import re
from datetime import datetime

from ticketry.transfer.models import Format

_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", re.ASCII)
MEDIA_TYPES: dict[Format, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def format_of(asked: Format | None, accept: str) -> Format:
    """How an export is written: as asked, else as the `Accept` header says, else as NDJSON."""
    if asked is not None:
        return asked
    wanted = {"csv": 0.0, "ndjson": 0.0}
    for part in accept.lower().split(","):
        name = part.partition(";")[0].strip().rpartition("/")[2].removeprefix("x-")
        if name in wanted:
            quality = _QUALITY.search(part)
            wanted[name] = max(wanted[name], float(quality[1]) if quality else 1.0)
    return "csv" if wanted["csv"] > wanted["ndjson"] else "ndjson"


def file_name(format_: Format, now: datetime) -> str:
    """What a browser calls the file: `tickets-20250115-163000.csv`."""
    return f"tickets-{now:%Y%m%d-%H%M%S}.{format_}"
