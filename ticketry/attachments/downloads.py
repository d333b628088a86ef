"""How a file is sent: the headers that make it harmless, and which part of it is asked for."""

import re
import unicodedata
from urllib.parse import quote

from ticketry.attachments.models import Attachment
from ticketry.attachments.rules import served_as

POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&+.^_`{}~()\[\]@,'-]", re.ASCII)


def disposition(name: str) -> str:
    """Content-Disposition (RFC 6266): the name in full, and one of plain letters for old programs."""
    plain = _PLAIN.sub("_", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()) or "file"
    told = f'attachment; filename="{plain}"'
    return told if plain == name else f"{told}; filename*=UTF-8''{quote(name, safe='')}"


def headers(attachment: Attachment) -> dict[str, str]:
    """The headers of a download. Whatever the file is, a browser saves it and runs nothing of it."""
    return {
        "Content-Type": served_as(attachment.content_type),
        "Content-Disposition": disposition(attachment.name),
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "ETag": f'"{attachment.sha256}"',
    }


def names(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match names this ETag: the caller has these bytes already."""
    parts = [part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")]
    return etag in parts or parts == ["*"]


def part(asked: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that are to be sent; None if the range lies outside of the file.

    What is not one range of bytes (several, another unit, nonsense) asks for the whole, as RFC 9110 allows.
    """
    found = _one_range(asked)
    if found is None:
        return 0, size
    first, last = found
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None


def _one_range(asked: str | None) -> tuple[str, str] | None:
    found = _RANGE.fullmatch(asked or "")
    if found is None or found[1] == found[2] == "":
        return None
    backwards = found[1] != "" and found[2] != "" and int(found[2]) < int(found[1])
    return None if backwards else (found[1], found[2])


def is_one_range(asked: str | None) -> bool:
    """Whether a part is asked for, be it the whole."""
    return _one_range(asked) is not None
