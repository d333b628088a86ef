"""What Outlook packs into a winmail.dat (TNEF)."""

import logging
from dataclasses import dataclass, field
from typing import Any

from tnefparse import TNEF

from ticketry.mail.receiving.reading.charsets import decoded
from ticketry.mail.receiving.reading.headers import line
from ticketry.mail.receiving.reading.texts import STEP_SECONDS, at_most

MOST_FILES = 200
logging.getLogger("tnefparse").setLevel(logging.CRITICAL)


@dataclass(slots=True)
class Opened:
    """What was in it: the text in two forms, each of which may be empty, and files by name."""

    text: str = ""
    html: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)


def opened(content: bytes) -> Opened | None:
    """The pack opened, or None if it is none or is broken."""
    try:
        with at_most(STEP_SECONDS):
            pack = TNEF(content, do_checksum=False)
            files = [(_name(one), bytes(one.data)) for one in pack.attachments[:MOST_FILES] if one.data]
            return Opened(_text(pack.body), _text(pack.htmlbody), files)
    except Exception:  # noqa: BLE001
        return None


def _text(body: Any) -> str:
    if isinstance(body, list):
        body = body[0] if body else ""
    return decoded(body.rstrip(b"\0"), None) if isinstance(body, bytes) else str(body or "")


def _name(attachment: Any) -> str:
    try:
        name = str(attachment.long_filename())
    except Exception:  # noqa: BLE001
        name = ""
    clean = line(decoded(name.encode("utf-8", "surrogateescape"), None))
    return clean.replace("\\", "/").rpartition("/")[2].strip(". ")[:200] or "attachment.bin"
