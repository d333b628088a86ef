"""What a file may be called, what it is, who may see it, and which part of it is asked for."""

import re
import unicodedata
from collections.abc import Sequence

import puremagic

from ticketry.attachments.models import MAX_NAME, MAX_TYPE, Attachment
from ticketry.core.errors import field_error

UNKNOWN = "application/octet-stream"
HEAD = 36_870
"""How many of the first bytes are looked at; the farthest signature known ends there."""
FOOT = 516
"""How many of the last bytes are looked at."""
NAMELESS = "file"
_LONGEST_ENDING = 20
_ZIP = b"PK\x03\x04"
_SHORTEST = 3
"""Signatures of fewer bytes say too little."""
_READABLE = (b"%PDF-", b"%!PS", b"{\\rtf")
"""Formats that may look like text all through."""
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_BEFORE_MARKUP = re.compile(r"(\s|<!--.*?-->|<\?xml.*?\?>|<!doctype\s+svg[^>]*>)*", re.DOTALL | re.IGNORECASE)
_ACTIVE = re.compile(
    r"<(!doctype\s+html|html|head|body|script|iframe|object|embed|meta|style|title|link|base|form|img|a|p|div|table"
    r"|svg|math|h[1-6]|br|b|i)\b",
    re.IGNORECASE,
)
SERVED_AS_THEY_ARE = frozenset(
    {
        "application/pdf",
        "application/zip",
        "audio/mpeg",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/plain",
        "video/mp4",
    }
)
"""Types that no browser runs. Whatever else a file is, it is served as bytes."""
_LONGEST_READ = 2_000
"""Characters of a name that are looked at: its beginning and its end."""


def clean_name(given: str | None) -> str:
    """A name to show and to save under: the last part of a path, without what cannot be seen, at most 255 characters.

    A name that turns the direction of writing (`exe.gpj` shown as `jpg.exe`) loses the characters that do it.
    """
    last = re.split(r"[/\\]", given or "")[-1]
    if len(last) > _LONGEST_READ:
        last = last[: _LONGEST_READ // 2] + last[-_LONGEST_READ // 2 :]  # normalizing takes the square of the length
    seen = "".join(" " if char in "\t\r\n" else char for char in last)
    seen = "".join(char for char in unicodedata.normalize("NFC", seen) if unicodedata.category(char) not in _UNSEEN)
    name = " ".join(seen.split()).strip(" .") if seen.strip(" .") else ""
    if len(name) > MAX_NAME:
        stem, dot, ending = name.rpartition(".")
        tail = dot + ending if dot and stem and len(ending) <= _LONGEST_ENDING else ""
        name = name[: MAX_NAME - len(tail)].rstrip(" .") + tail
    return name or NAMELESS


def clean_type(given: str | None) -> str | None:
    """The type that the uploader claimed, without parameters; None if it is none."""
    kind = (given or "").partition(";")[0].strip().lower()
    return kind if len(kind) <= MAX_TYPE and _TYPE.fullmatch(kind) else None


def as_text(head: bytes) -> str | None:
    """The bytes as text, if they look like it. The last character may be cut off where `HEAD` ends."""
    for cut in range(4 if len(head) >= HEAD else 1):
        try:
            text = head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        return None if _CONTROLS.search(text) else text
    return None


def _markup(text: str) -> str | None:
    start = _BEFORE_MARKUP.match(text)
    body = text[start.end() if start else 0 :]
    tag = found[1].lower() if (found := _ACTIVE.match(body)) else ""
    if tag == "svg":
        return "image/svg+xml"
    if text.lstrip().startswith("<?xml"):
        return "text/html" if "html" in tag else "application/xml"
    return "text/html" if tag else None


def sniff(head: bytes, foot: bytes) -> str:
    """What the bytes are, by the first `HEAD` and the last `FOOT` of them and by nothing else. Nothing is unpacked."""
    if not head:
        return UNKNOWN
    text = as_text(head)
    if text is None or head.startswith(_READABLE):
        return _signature(head, foot) or UNKNOWN
    return _markup(text) or "text/plain"


def _signature(head: bytes, foot: bytes) -> str | None:
    try:
        known = puremagic.magic_string(head if len(head) < HEAD else head + foot)
    except puremagic.PureError:
        return None
    for match in known:
        if len(match.byte_match) >= _SHORTEST and match.mime_type and match.offset >= 0:
            kind = "application/zip" if match.byte_match == _ZIP else str(match.mime_type).lower()
            return kind if len(kind) <= MAX_TYPE and _TYPE.fullmatch(kind) else None
    return None


def served_as(content_type: str) -> str:
    """The Content-Type of a download: what could run in a browser is bytes, and text says how to read it."""
    if content_type not in SERVED_AS_THEY_ARE:
        return UNKNOWN
    return "text/plain; charset=utf-8" if content_type == "text/plain" else content_type


def visible_to_customers(attachment: Attachment) -> bool:
    """Whether a customer may see it at all: it is on a ticket and did not come with an internal note.

    Which customer is the ticket's to say. An upload that nobody attached is shown to none.
    """
    return attachment.ticket_id is not None and attachment.visibility == "public"


def fits(attachment: Attachment, speaker_id: str | None, ticket_contact_id: str | None) -> bool:
    """Whether a file may go where it is sent: one of a customer to what this customer says or has asked, only.

    `speaker_id` is the customer who speaks, None if somebody else does; then it is the ticket's customer who counts.
    """
    return attachment.contact_id is None or attachment.contact_id == (speaker_id or ticket_contact_id)


def refusal(attachment_ids: Sequence[str], usable: set[str]) -> list[dict[str, str]]:
    """What is said of the ids that cannot be attached: each by its place in the list."""
    message = "no file of this workspace that is free to be attached here has this id"
    return [
        field_error(f"attachment_ids.{place}", "attachment_not_found", message)
        for place, attachment_id in enumerate(attachment_ids)
        if attachment_id not in usable
    ]
